"""The view that stores an upload: names, several files, refusals, and answers for browsers and for programs."""

from collections.abc import Callable
from email.message import EmailMessage

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from tests import recordings as made
from tests.uploads.conftest import messages_of
from uploads import recordings
from uploads.models import Upload

ClientOf = Callable[[User], Client]
JSON = {"Accept": "application/json"}


def sound(name: str = "talk.wav", content_type: str = "audio/wav", content: bytes | None = None) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, made.tone(1.0).read_bytes() if content is None else content, content_type)


def send(client: Client, *files: SimpleUploadedFile, **headers: str) -> HttpResponse:
    return client.post(reverse("upload-create"), {"file": list(files)}, headers=headers)


def test_a_browser_is_redirected_to_the_recording_that_it_uploaded(alice: User, client_of: ClientOf) -> None:
    response = send(client_of(alice), sound("Grüße 🎙️.wav"))
    upload = Upload.objects.get()
    assert (response.status_code, response.url) == (302, f"/uploads/{upload.pk}/")
    assert (upload.owner, upload.name) == (alice, "Grüße 🎙️.wav")
    assert messages_of(response) == ["Uploaded Grüße 🎙️.wav."]


HOSTILE_NAMES = [
    'say "hello".wav',
    "back\\slash.wav",
    "100% %22 %0D%0A.wav",
    "&quot;&amp;.wav",
    "a/b.wav",
    "家族 👩‍👩‍👧.wav",
    "ראיון.wav",
    ";filename=x.wav",
    "y" * 251 + ".wav",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_the_field_name_is_the_recordings_name(alice: User, client_of: ClientOf, name: str) -> None:
    client = client_of(alice)
    fields = {"name": name, "file": sound("changed-by-the-browser.wav")}
    response = client.post(reverse("upload-create"), fields, headers=JSON)
    assert response.status_code == 201
    upload = Upload.objects.get()
    assert upload.name == name
    client.post(reverse("upload-rename", args=[upload.pk]), {"name": f"x {name}"[:255]}, headers=JSON)
    upload.refresh_from_db()
    assert upload.name == f"x {name}"[:255]
    # A download has the same name, with dashes for slashes.
    header = client.get(reverse("upload-audio", args=[upload.pk]), {"download": ""})["Content-Disposition"]
    message = EmailMessage()
    message["Content-Disposition"] = header
    assert message.get_filename() == upload.name.replace("/", "-").replace("\\", "-")


def test_a_form_can_name_several_files_in_their_order(alice: User, client_of: ClientOf) -> None:
    fields = {"name": ['"a"', ""], "file": [sound("a.wav"), sound("b.wav")]}
    assert client_of(alice).post(reverse("upload-create"), fields).status_code == 302
    assert sorted(Upload.objects.values_list("name", flat=True)) == ['"a"', "b.wav"]


def test_ignores_names_if_there_are_more_names_than_files(alice: User, client_of: ClientOf) -> None:
    fields = {"name": ["x", "y"], "file": sound("a.wav")}
    assert client_of(alice).post(reverse("upload-create"), fields, headers=JSON).status_code == 201
    assert Upload.objects.get().name == "a.wav"


def test_a_program_gets_the_id_and_address_of_its_upload(alice: User, client_of: ClientOf) -> None:
    response = send(client_of(alice), sound(), **JSON)
    upload = Upload.objects.get()
    assert response.status_code == 201
    assert response.json() == {"id": str(upload.pk), "url": f"/uploads/{upload.pk}/"}


@pytest.mark.parametrize("accept", ["*/*", "text/html,application/xhtml+xml,*/*;q=0.8", ""])
def test_a_client_that_accepts_anything_is_answered_like_a_browser(
    alice: User, client_of: ClientOf, accept: str
) -> None:
    assert send(client_of(alice), sound(), Accept=accept).status_code == 302


def test_ignores_the_content_type_that_a_client_claims_for_a_file(alice: User, client_of: ClientOf) -> None:
    assert send(client_of(alice), sound(content_type="image/png"), **JSON).status_code == 201
    lie = sound("talk.wav", "audio/wav", b"\x89PNG\r\n" + bytes(1_000))
    assert send(client_of(alice), lie, **JSON).status_code == 415


def test_a_form_without_javascript_keeps_the_good_ones_of_several_files(alice: User, client_of: ClientOf) -> None:
    response = send(client_of(alice), sound("a.wav"), sound("b.txt", content=b"Dear Alice\n"), sound("c.wav"))
    assert (response.status_code, response.url) == (302, reverse("library"))
    assert sorted(Upload.objects.values_list("name", flat=True)) == ["a.wav", "c.wav"]
    messages = messages_of(response)
    assert messages[0].startswith("b.txt: This is a text file.")
    assert messages[1:] == ["Uploaded a.wav.", "Uploaded c.wav."]


def test_refuses_several_files_in_one_request_of_a_program(alice: User, client_of: ClientOf) -> None:
    response = send(client_of(alice), sound(), sound(), **JSON)
    assert (response.status_code, response.json()) == (400, {"error": "Send one file per request."})
    assert not Upload.objects.exists()


BAD = [
    ({"content": b"", "name": "empty.wav"}, 400, "This file is empty."),
    ({"content": b"Dear Alice\n", "name": "letter.wav"}, 415, "This is a text file."),
    ({"content": made.speech().read_bytes()[:40], "name": "cut.wav"}, 415, "We couldn't read this file as audio"),
    ({"content": made.video_without_sound().read_bytes(), "name": "mute.mp4"}, 415, "This is a video without an audio"),
    ({"content": bytes(40_000), "name": "large.wav"}, 413, "This file is larger than"),
]


@pytest.mark.parametrize(("file", "status", "reason"), BAD)
def test_refuses_an_upload_that_is_no_recording_with_a_sentence(
    alice: User, client_of: ClientOf, settings: Settings, file: dict[str, str], status: int, reason: str
) -> None:
    settings.MAX_UPLOAD_BYTES = 35_000
    response = send(client_of(alice), sound(**file), **JSON)
    assert response.status_code == status
    assert response.json()["error"].startswith(reason)
    response = send(client_of(alice), sound(**file))
    assert (response.status_code, response.url) == (302, reverse("library"))
    (message,) = messages_of(response)
    assert message.startswith(f"{file['name']}: {reason}")
    assert not Upload.objects.exists()


def test_answers_an_upload_with_507_when_the_disk_is_full(
    alice: User, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recordings, "_save", full)
    response = send(client_of(alice), sound(), **JSON)
    assert response.status_code == 507
    assert response.json() == {"error": "The server's disk is full. Nothing was stored; try again later."}


@pytest.mark.parametrize("data", [{}, {"file": "not a file"}, {"other": sound()}])
def test_refuses_an_upload_without_a_file(alice: User, client_of: ClientOf, data: dict[str, object]) -> None:
    response = client_of(alice).post(reverse("upload-create"), data, headers=JSON)
    assert (response.status_code, response.json()) == (400, {"error": "Choose a file first."})


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a" * 300 + ".wav", "会" * 255, "🎙" * 127, "a\x00b.wav", "%22; x=%22.wav", "..."]
)
def test_accepts_an_upload_with_any_file_name(alice: User, client_of: ClientOf, name: str) -> None:
    assert send(client_of(alice), sound(name), **JSON).status_code == 201
    stored_name = Upload.objects.get().name
    assert "/" not in stored_name
    assert 0 < len(stored_name) <= 255


FORM = "multipart/form-data; boundary=x"

PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename='


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"garbage", FORM),
        (b"garbage", "multipart/form-data"),
        (b"{}", "application/json"),
        (PART + b'"a.wav"\r\n\r\nRIFF', FORM),
        (PART + b'""\r\n\r\nRIFF\r\n--x--', FORM),
    ],
)
def test_refuses_an_upload_whose_body_is_not_a_form(
    alice: User, client_of: ClientOf, body: bytes, content_type: str
) -> None:
    response = client_of(alice).post(reverse("upload-create"), body, content_type=content_type, headers=JSON)
    assert response.status_code in {400, 415}
    assert not Upload.objects.exists()


def test_an_anonymous_upload_is_redirected_to_the_sign_in_page(db: None) -> None:
    response = send(Client(), sound())
    assert (response.status_code, response.url) == (302, "/accounts/login/?next=/uploads/")
    response = send(Client(), sound(), **JSON)
    assert (response.status_code, response.json()) == (401, {"error": "You are signed out. Sign in and try again."})
    assert not Upload.objects.exists()


def test_refuses_an_upload_form_of_another_site(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert send(client, sound()).status_code == 403
    assert not Upload.objects.exists()
