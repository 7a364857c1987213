"""Forms that the server parses while they arrive: they equal those that Django parses, and leave no file or thread."""

import asyncio
import base64
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from django.core.files.uploadhandler import FileUploadHandler
from pytest_django.fixtures import Settings

from tests import recordings
from tests.faults.raw_clients import connected
from tests.recordings import numbers
from tests.site import Site, wait_until
from tests.visitor import Visitor, rows
from transcribe_site.server import multipart

JSON, PAGE = "application/json", "text/html"
FIELD = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
END = b"--x--\r\n"
PADDING = FIELD % (b"other", b"a" * 70_000)  # Django itself parses a shorter body


def file(content: bytes, name: bytes = b'filename="talk.wav"', *more: bytes) -> bytes:
    head = b"\r\n".join([b'--x\r\nContent-Disposition: form-data; name="file"; ' + name, *more])
    return head + b"\r\n\r\n" + content + b"\r\n"


@pytest.fixture(scope="module")
def talk() -> bytes:
    return recordings.tone(5.0).read_bytes()  # 160 KB


@pytest.fixture
def servers(new_site: Callable[..., Site]) -> tuple[Site, Site]:
    """Start two sites: one on our server, and one on uvicorn, where Django parses forms."""
    ours, others = (new_site(DJANGO_SETTINGS_MODULE="tests.served", TRANSCRIBE_RUN_JOBS="0") for _ in range(2))
    ours.start()
    others.start_uvicorn()
    return ours, others


def forms(talk: bytes) -> dict[str, tuple[str, bytes, str]]:
    """Return the content type, the body and the Accept header of forms of all kinds."""
    x = "multipart/form-data; boundary=x"
    name = "Gespräch 日本 🎙.wav"
    return {
        "a file": (x, file(talk) + END, JSON),
        "a name in UTF-8": (x, file(talk, f'filename="{name}"'.encode()) + END, JSON),
        "a name in Latin-1": (x, file(talk, 'filename="Gespräch.wav"'.encode("latin-1")) + END, JSON),
        "a name as RFC 5987 has it": (x, file(talk, b"filename*=UTF-8''Gespr%C3%A4ch.wav") + END, JSON),
        "a name as a field": (x, FIELD % (b"name", name.encode()) + file(talk) + END, JSON),
        "a name after the file": (x, file(talk) + FIELD % (b"name", name.encode()) + END, JSON),
        "a name in an unknown encoding": (x, file(talk, b"filename*=bogus''talk.wav") + END, JSON),
        "a file without a name": (x, file(talk, b'filename=""') + PADDING + END, JSON),
        "an empty file": (x, PADDING + file(b"") + END, JSON),
        "three files": (x, file(talk) + file(b"") + file(talk, b'filename="b.wav"') + END, PAGE),
        "two files for a program": (x, file(talk) + file(talk) + END, JSON),
        "base64": (
            x,
            file(base64.encodebytes(talk), b'filename="talk.wav"', b"Content-Transfer-Encoding: base64") + END,
            JSON,
        ),
        "broken base64": (x, file(b"a" * 100_001, b'filename="a"', b"Content-Transfer-Encoding: base64") + END, JSON),
        "no end": (x, file(talk)[:-2], JSON),
        "text after the end": (x, file(talk) + END + b"a" * 200_000, JSON),
        "no parts": (x, b"a" * 200_000, JSON),
        "a wrong boundary": ("multipart/form-data; boundary=y", file(talk) + END, JSON),
        "no boundary": ("multipart/form-data", file(talk) + END, JSON),
        "an invalid boundary": ('multipart/form-data; boundary="ä"', file(talk) + END, JSON),
        "too many fields": (x, FIELD % (b"a", b"b") * 1500 + file(talk) + END, JSON),
        "a field that is too long": (x, FIELD % (b"a", b"b" * 3_000_000) + file(talk) + END, JSON),
        "too many files": (x, file(b"a") * 101 + PADDING + END, JSON),
        "another encoding": (x + "; charset=latin-1", file(talk, 'filename="é.wav"'.encode("latin-1")) + END, JSON),
        "an encoding that is no text": (x + "; charset=zlib", file(talk) + END, JSON),
        "an unknown encoding": (x + "; charset*=bogus''a", file(talk) + END, JSON),
        "capitals": ("Multipart/Form-Data; boundary=x", file(talk) + END, JSON),
        "another kind of multipart": ("multipart/mixed; boundary=x", file(talk) + END, JSON),
    }


def answered(visitor: Visitor, content_type: str, body: bytes, accept: str) -> tuple[int, object]:
    headers = {"Content-Type": content_type.encode("latin-1"), "Accept": accept.encode()}
    answer = visitor.http.post("/uploads/", content=body, headers=headers)
    if answer.status_code >= 400 and answer.headers["Content-Type"] == JSON:
        return answer.status_code, answer.json()
    return answer.status_code, None


def incoming(site: Site) -> list[Path]:
    return list((site.folder / "incoming").iterdir())


def test_forms_are_answered_and_stored_as_by_django(servers: tuple[Site, Site], talk: bytes) -> None:
    results = []
    for site in servers:
        with Visitor(site) as visitor:
            answers = {kind: answered(visitor, *form) for kind, form in forms(talk).items()}
        results.append((answers, rows(site, "select name, size, sha256 from uploads_upload order by created_at, name")))
    assert results[0] == results[1]
    codes = {kind: code for kind, (code, _) in results[0][0].items()}
    assert codes["a file"] == codes["base64"] == 201
    assert codes["three files"] == 302
    assert codes["a wrong boundary"] == codes["broken base64"] == codes["too many files"] == 400
    wait_until(lambda: not incoming(servers[0]), what="the removal of temporary files")


@pytest.fixture
def site(new_site: Callable[..., Site]) -> Site:
    site = new_site(DJANGO_SETTINGS_MODULE="tests.served", TRANSCRIBE_RUN_JOBS="0")
    site.start()
    return site


def test_accepts_a_csrf_token_as_field_and_refuses_a_wrong_one(site: Site, visitor: Visitor, talk: bytes) -> None:
    token = visitor.http.headers.pop("X-CSRFToken")
    sent = ("multipart/form-data; boundary=x", file(talk) + END, JSON)
    assert answered(visitor, *sent)[0] == 403
    for given, code in (("b" * 32, 403), (token, 201)):
        for body in (
            FIELD % (b"csrfmiddlewaretoken", given.encode()) + file(talk) + END,
            file(talk) + FIELD % (b"csrfmiddlewaretoken", given.encode()) + END,
        ):
            assert answered(visitor, sent[0], body, JSON)[0] == code
    wait_until(lambda: not incoming(site), what="the removal of temporary files")


def test_a_session_that_ends_during_an_upload_stores_nothing(site: Site, visitor: Visitor, talk: bytes) -> None:
    def body() -> Iterator[bytes]:
        yield file(talk)[:100_000]
        wait_until(lambda: incoming(site), what="the beginning of the file")
        assert other.post("/accounts/logout/").status_code == 302
        yield file(talk)[100_000:] + END

    headers = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": str(len(file(talk) + END))}
    with httpx.Client(base_url=site.url, headers=visitor.http.headers, cookies=visitor.http.cookies) as other:
        assert visitor.http.post("/uploads/", content=body(), headers=headers).status_code in (401, 403)
    assert rows(site, "select count(*) from uploads_upload") == [(0,)]
    wait_until(lambda: not incoming(site), what="the removal of the temporary file")


def test_a_server_that_is_stopped_during_uploads_ends_and_leaves_no_file(
    site: Site, visitor: Visitor, talk: bytes
) -> None:
    cookie = "; ".join(f"{name}={value}" for name, value in visitor.http.cookies.items())
    lines = ("POST /uploads/ HTTP/1.1", "Host: localhost", f"Cookie: {cookie}", "Content-Length: 9000000")
    head = "\r\n".join([*lines, "Content-Type: multipart/form-data; boundary=x", "", ""]).encode()
    senders = [connected(site) for _ in range(multipart.MAX_FORMS_OF_PERSON + 3)]
    for sender in senders:
        sender.sendall(head + file(talk)[:150_000])
    wait_until(lambda: len(incoming(site)) == multipart.MAX_FORMS_OF_PERSON, what="the beginning of the files")
    began = time.monotonic()
    assert site.stop() == 0
    assert time.monotonic() - began < 30
    assert incoming(site) == []
    for sender in senders:
        sender.close()


def test_a_form_that_fails_to_parse_at_once_does_not_pause_its_sender(visitor: Visitor) -> None:
    body = b"a" * 8_000_000  # more than the queue and the system's buffers can hold
    headers = {"Content-Type": "multipart/form-data"}
    assert visitor.http.post("/uploads/", content=body, headers=headers).status_code == 400


def test_parses_an_upload_in_a_chunked_body(site: Site, visitor: Visitor, tmp_path: Path) -> None:
    content = numbers(tmp_path / "numbers.wav", 400).read_bytes()
    body = file(content) + END
    pieces = (body[start : start + 50_000] for start in range(0, len(body), 50_000))
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = visitor.http.post("/uploads/", content=pieces, headers=headers)
    assert answer.status_code == 201
    assert visitor.http.get(f"/uploads/{answer.json()['id']}/audio/").content == content


class SlowDisk(FileUploadHandler):
    """An upload handler that writes when the test allows it."""

    may_write = threading.Event()
    written = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        assert self.may_write.wait(60)
        SlowDisk.written += len(raw_data)

    def file_complete(self, file_size: int) -> None:
        return None


async def test_a_sender_is_paused_while_the_disk_is_slow(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FILE_UPLOAD_HANDLERS = [f"{__name__}.SlowDisk"]
    monkeypatch.setattr(SlowDisk, "may_write", threading.Event())
    monkeypatch.setattr(SlowDisk, "written", 0)
    may_send, is_parsed = asyncio.Event(), asyncio.Event()
    may_send.set()
    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    form = multipart.begin(
        b"POST", headers, None, 1, lambda is_full: may_send.clear() if is_full else may_send.set(), is_parsed.set
    )
    assert form is not None
    form.write(file(b"")[:-2])
    sent = 0
    while may_send.is_set():
        form.write(bytes(65536))
        sent += 65536
        await asyncio.sleep(0)
    assert sent <= multipart.QUEUE_BYTES + 4 * 65536
    SlowDisk.may_write.set()
    for _ in range(100):
        await asyncio.wait_for(may_send.wait(), 60)
        form.write(bytes(65536))
        sent += 65536
    form.write(b"\r\n" + END)
    form.end()
    await asyncio.wait_for(is_parsed.wait(), 60)
    assert (form.error, SlowDisk.written) == (None, sent)
    form.close()


async def end(forms: list[multipart.Form]) -> None:
    """Close forms, and wait until their threads have ended."""
    for form in forms:
        form.close()
    while multipart._forms_of:
        await asyncio.sleep(0.01)
    forms.clear()


@pytest.fixture
async def begun() -> AsyncIterator[list[multipart.Form]]:
    """Yield a list for a test's forms. Closes them after it: a waiting parser thread would keep the process alive."""
    forms: list[multipart.Form] = []
    yield forms
    await end(forms)


def begin(forms: list[multipart.Form], person_id: int) -> bool:
    """Begin to parse a form of a person. Returns False if no thread is free."""
    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    form = multipart.begin(b"POST", headers, None, person_id, lambda _: None, lambda: None)
    if form is not None:
        forms.append(form)
    return form is not None


async def test_a_form_has_no_thread_while_all_threads_are_in_use(begun: list[multipart.Form]) -> None:
    for number in range(multipart.MAX_FORMS):
        assert begin(begun, number // multipart.MAX_FORMS_OF_PERSON)
    assert not begin(begun, multipart.MAX_FORMS)
    await end(begun)
    assert begin(begun, multipart.MAX_FORMS)


async def test_one_person_leaves_threads_for_the_forms_of_other_people(begun: list[multipart.Form]) -> None:
    for _ in range(multipart.MAX_FORMS_OF_PERSON):
        assert begin(begun, 1)
    assert not begin(begun, 1)
    assert begin(begun, 2)
    await end(begun)
    assert begin(begun, 1)
