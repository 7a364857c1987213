"""The library's page: uploads, refused files, renames and deletions."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests import recordings
from tests.browser.conftest import JOB_TIMEOUT
from tests.site import Site, wait_until
from tests.visitor import Visitor, rows, status

NewPage = Callable[..., Page]


def names(site: Site) -> list[str]:
    return [row[0] for row in rows(site, "select name from uploads_upload order by name")]


def test_a_new_user_transcribes_the_sample(new_page: NewPage, site: Site) -> None:
    page = new_page()
    page.goto("/")
    page.get_by_role("button", name="Try it with a sample").click()
    page.wait_for_url("**/uploads/*/")
    page.get_by_role("button", name="Transcribe", exact=True).click()
    page.wait_for_url("**/jobs/*/")
    expect(page.get_by_text("Done")).to_be_visible(timeout=JOB_TIMEOUT)
    page.goto("/jobs/")
    expect(page.get_by_role("link", name="Sample: A Tale of Two Cities.wav")).to_be_visible()


def test_several_files_are_uploaded_at_once_and_one_without_audio_shows_why_it_failed(
    new_page: NewPage, site: Site, tmp_path: Path
) -> None:
    lie = tmp_path / "song.mp3"
    lie.write_text("This is not a song. " * 100)
    page = new_page(tells_errors=False)  # the browser logs the refusal on its console
    page.goto("/")
    page.locator("#files").set_input_files([recordings.speech("beckett"), lie, recordings.tone(1.0)])
    refused = page.locator(".sending", has_text="song.mp3")
    expect(refused).to_have_attribute("data-state", "failed")
    expect(refused.locator(".detail")).not_to_be_empty()
    for name in ("beckett.wav", recordings.tone(1.0).name):
        row = page.locator(".sending", has_text=name)
        expect(row.get_by_role("button", name="Transcribe")).to_be_visible()
    assert names(site) == sorted(["beckett.wav", recordings.tone(1.0).name])


def test_a_file_can_be_dropped_on_the_page(new_page: NewPage, site: Site) -> None:
    page = new_page()
    page.goto("/")
    transfer = page.evaluate_handle(
        """(bytes) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "dropped.wav", {type: "audio/wav"}));
            return transfer;
        }""",
        list(recordings.tone(1.0).read_bytes()),
    )
    page.dispatch_event("body", "dragenter", {"dataTransfer": transfer})
    page.dispatch_event("body", "dragover", {"dataTransfer": transfer})
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    expect(page.locator(".sending", has_text="dropped.wav").get_by_role("button", name="Transcribe")).to_be_visible()
    assert names(site) == ["dropped.wav"]


def test_a_file_above_the_size_limit_is_refused_before_its_upload(new_page: NewPage, site: Site) -> None:
    page = new_page()
    page.goto("/")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.evaluate(
        """() => {
            const transfer = new DataTransfer();
            const file = new File([new Uint8Array(1)], "long.wav", {type: "audio/wav"});
            Object.defineProperty(file, "size", {value: 100 * 1024 * 1024 + 1});
            transfer.items.add(file);
            const event = new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: transfer});
            Object.defineProperty(event, "dataTransfer", {value: {files: [file], types: ["Files"], items: []}});
            document.body.dispatchEvent(event);
        }"""
    )
    expect(page.locator(".sending", has_text="long.wav").locator(".detail")).to_contain_text("100")
    assert "POST" not in sent


def test_an_owner_renames_and_deletes_a_recording_in_the_library(
    new_page: NewPage, site: Site, visitor: Visitor
) -> None:
    upload = visitor.upload(recordings.speech("beckett"))
    stored = next((site.folder / "media").rglob(upload))
    page = new_page()
    page.goto("/")
    page.get_by_label("Actions for beckett.wav").click()
    page.get_by_role("link", name="Rename").click()
    page.keyboard.press("Control+a")
    page.keyboard.type("Worstward <b>Ho.wav")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Worstward <b>Ho.wav")).to_be_visible()
    assert names(site) == ["Worstward <b>Ho.wav"]
    page.reload()
    page.get_by_label("Actions for Worstward").click()
    page.get_by_role("link", name="Delete…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Worstward <b>Ho.wav")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    assert names(site) == ["Worstward <b>Ho.wav"]
    page.get_by_label("Actions for Worstward").click()
    page.get_by_role("link", name="Delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Drop a recording here")).to_be_visible()
    assert names(site) == []
    assert not stored.exists()


@pytest.mark.chromium("JavaScript can't be switched off")
@pytest.mark.parametrize("java_script", [True, False])
def test_pages_read_and_work_without_javascript(
    new_page: NewPage, site: Site, visitor: Visitor, java_script: bool
) -> None:
    page = new_page(java_script_enabled=java_script)
    page.goto("/")
    if java_script:
        return
    page.locator("#files").set_input_files([recordings.speech("beckett")])
    page.get_by_role("button", name="Upload", exact=True).click()
    page.wait_for_url("**/uploads/*/")
    page.goto("/")
    page.get_by_role("link", name="beckett.wav").click()
    page.get_by_role("button", name="Transcribe", exact=True).click()
    page.wait_for_url("**/jobs/*/")
    job = page.url.rstrip("/").rsplit("/", 1)[1]
    wait_until(lambda: status(site) == "completed", JOB_TIMEOUT / 1000, "the end of the job")
    page.reload()
    expect(page.locator(".state[data-status=completed]")).to_be_visible()
    assert page.locator(".segment .text").first.text_content() in visitor.transcript(job)
