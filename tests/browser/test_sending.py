"""Uploads: their progress, and how they are cancelled, refused, retried and interrupted."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import CDPSession, Dialog, Locator, Page, Route, expect

from tests import recordings
from tests.browser.test_library import names
from tests.site import Site, wait_until
from tests.visitor import rows

pytestmark = pytest.mark.chromium("it slows the network by CDP or makes ClipboardEvents")

NewPage = Callable[..., Page]
KIB = 1024


@pytest.fixture(scope="module")
def site(still_site: Site) -> Site:
    return still_site


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return a recording of 938 KiB with a name that no other test uses."""
    path = tmp_path / f"{tmp_path.name}.wav"
    path.write_bytes(recordings.tone(30.0).read_bytes())
    return path


def limit(page: Page, bytes_a_second: int) -> CDPSession:
    """Limit the page's upload speed; -1 is no limit. Returns the session that can change the limit (`throttle`)."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    throttle(session, bytes_a_second)
    return session


def throttle(session: CDPSession, bytes_a_second: int) -> None:
    conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_a_second}
    session.send("Network.emulateNetworkConditions", conditions)


def hold_answers(page: Page) -> CDPSession:
    """Hold the server's answers to the page's uploads until the session receives `Fetch.disable`."""
    session = page.context.new_cdp_session(page)
    session.send("Fetch.enable", {"patterns": [{"urlPattern": "*/uploads/", "requestStage": "Response"}]})
    return session


def choose(page: Page, path: Path) -> Locator:
    """Choose a file for the upload, and return its row on the page."""
    page.locator("#files").set_input_files([path])
    return page.locator(".sending", has_text=path.name)


def sent(row: Locator) -> float:
    part: float = row.locator("progress").evaluate("bar => bar.value")
    return part


def test_the_progress_bar_moves_during_an_upload(new_page: NewPage, site: Site, recording: Path) -> None:
    page = new_page()
    page.goto("/")
    line = limit(page, 20 * KIB)
    row = choose(page, recording)
    expect(row).to_have_attribute("data-state", "sending")
    wait_until(lambda: 0 < sent(row) < 1, what="the first part")
    first = sent(row)
    wait_until(lambda: first < sent(row) < 1, what="more of it")
    expect(row.locator(".detail")).to_have_text(re.compile(r"^[1-9]\d?% of 938 KB$"))
    throttle(line, -1)
    expect(row.locator(".detail")).to_have_text("Uploaded, 938 KB")
    expect(row.locator("progress")).to_be_hidden()
    expect(row.get_by_role("link", name=recording.name)).to_be_visible()
    assert recording.name in names(site)


def test_every_file_name_is_kept_by_uploads_and_renames(new_page: NewPage, site: Site, tmp_path: Path) -> None:
    """Browsers write quotes as %22 in a multipart file name, and Django removes all text before a backslash."""
    given = ['say "hi".wav', "back\\slash.wav", "100% %22.wav", "&amp;<b>.wav", "ראיון 🎙️.wav", "n" * 240 + ".wav"]
    given = [f"{tmp_path.name} {name}"[-251:] for name in given]
    for name in given:
        (tmp_path / name).write_bytes(recordings.tone(1.0).read_bytes())
    page = new_page()
    page.goto("/")
    page.locator("#files").set_input_files([tmp_path / name for name in given])
    expect(page.locator(".sending[data-state='done']")).to_have_count(len(given))
    assert set(given) <= set(names(site))
    page.get_by_role("link", name=given[0]).click()
    expect(page.get_by_role("heading", name=given[0])).to_be_visible()


def test_cancelling_an_upload_aborts_it_and_stores_nothing(new_page: NewPage, site: Site, recording: Path) -> None:
    page = new_page()
    page.goto("/")
    line = limit(page, 10 * KIB)
    before = names(site)
    with page.expect_event("requestfailed", lambda request: request.method == "POST"):
        row = choose(page, recording)
        wait_until(lambda: 0 < sent(row) < 1, what="the first part")
        row.get_by_role("button", name="Cancel").click()
    expect(page.locator(".sending")).to_have_count(0)
    throttle(line, -1)
    other = choose(page, recordings.tone(1.0))
    expect(other).to_have_attribute("data-state", "done")
    assert names(site) == sorted([*before, recordings.tone(1.0).name])


def test_cancelling_a_received_upload_deletes_the_stored_recording(
    new_page: NewPage, site: Site, recording: Path
) -> None:
    page = new_page()
    page.goto("/")
    line = hold_answers(page)
    before = names(site)
    row = choose(page, recording)
    expect(row.locator(".detail")).to_have_text("Checking the audio…")
    wait_until(lambda: recording.name in names(site), what="the recording is stored")
    row.get_by_role("button", name="Cancel").click()
    expect(row.locator(".detail")).to_have_text("Cancelling…")
    line.send("Fetch.disable")
    expect(page.locator(".sending")).to_have_count(0)
    assert names(site) == before


def test_a_failed_or_refused_upload_can_be_retried(new_page: NewPage, site: Site, recording: Path) -> None:
    page = new_page(tells_errors=False)  # the browser logs both on its console
    answers = [
        lambda route: route.abort("connectionreset"),
        lambda route: route.fulfill(status=507, json={"error": "The disk is full."}),
        lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"),
    ]

    def answer(route: Route) -> None:
        if answers:
            answers.pop(0)(route)
        else:
            route.continue_()

    page.route("**/uploads/", answer)
    page.goto("/")
    row = choose(page, recording)
    for said in ("The connection was lost", "The disk is full.", "Something went wrong"):
        expect(row.locator(".detail")).to_contain_text(said)
        expect(row).to_have_attribute("data-state", "failed")
        expect(row.get_by_role("button", name="Cancel")).to_be_hidden()
        expect(row.get_by_role("button", name="Transcribe")).to_be_hidden()
        assert recording.name not in names(site)
        row.get_by_role("button", name="Try again").click()
    expect(row.get_by_role("button", name="Transcribe")).to_be_visible()
    expect(row.get_by_role("button", name="Try again")).to_be_hidden()
    assert names(site).count(recording.name) == 1


def test_a_recording_can_be_pasted_and_transcribed(new_page: NewPage, site: Site, recording: Path) -> None:
    page = new_page()
    page.goto("/")
    page.evaluate(
        """([name, bytes]) => {
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File([new Uint8Array(bytes)], name, {type: "audio/wav"}));
            document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true, cancelable: true}));
        }""",
        [recording.name, list(recordings.tone(1.0).read_bytes())],
    )
    row = page.locator(".sending", has_text=recording.name)
    expect(row.get_by_role("button", name="Transcribe")).to_be_visible()
    assert recording.name in names(site)
    expect(row.locator("input[name=request_id]")).to_have_value(re.compile(r"^[0-9a-f]{32}$"))
    row.get_by_role("button", name="Transcribe").click()
    page.wait_for_url("**/jobs/*/")


def test_leaving_the_page_during_an_upload_shows_a_warning(new_page: NewPage, recording: Path) -> None:
    page = new_page()
    page.goto("/")
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    line = limit(page, 10 * KIB)
    row = choose(page, recording)
    expect(row).to_have_attribute("data-state", "sending")
    page.get_by_role("link", name="History").click()
    wait_until(lambda: page.title() and asked == ["beforeunload"], what="the question")
    expect(page).to_have_title("Library · Transcribe")
    expect(row).to_have_attribute("data-state", "sending")
    row.get_by_role("button", name="Cancel").click()
    throttle(line, -1)
    page.get_by_role("link", name="History").click()
    expect(page).to_have_title("History · Transcribe")
    assert asked == ["beforeunload"]


def test_starting_a_job_during_an_upload_stays_on_the_page(new_page: NewPage, site: Site, recording: Path) -> None:
    page = new_page()
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.goto("/")
    first = choose(page, recordings.tone(1.0))
    expect(first.get_by_role("button", name="Transcribe")).to_be_visible()
    line = limit(page, 10 * KIB)
    second = choose(page, recording)
    expect(second).to_have_attribute("data-state", "sending")
    throttle(line, 40 * KIB)
    first.get_by_role("button", name="Transcribe").click()
    expect(first.get_by_role("link", name="Watch")).to_have_attribute("href", re.compile("^/jobs/[-0-9a-f]{36}/$"))
    assert asked == []
    throttle(line, -1)
    expect(second).to_have_attribute("data-state", "done")
    first.get_by_role("link", name="Watch").click()
    page.wait_for_url("**/jobs/*/")


def test_a_form_can_be_submitted_again_after_the_reader_stayed_on_the_page(
    new_page: NewPage, site: Site, recording: Path
) -> None:
    """Deleting leaves the page, so the browser asks the reader. After “Stay” the form's button must work again."""
    page = new_page()
    page.on("dialog", lambda dialog: dialog.dismiss())
    with_one = choose_and_wait(page)
    # Without this wait the page may request the waveform of the deleted recording, and the console reports a 404.
    made = f"select 1 from uploads_upload where id = '{with_one.replace('-', '')}' and peaks is not null"
    wait_until(lambda: bool(rows(site, made)), what="the waveform")
    page.reload()
    line = limit(page, 10 * KIB)
    row = choose(page, recording)
    expect(row).to_have_attribute("data-state", "sending")
    page.locator(f"[data-row='{with_one}']").get_by_label("Actions for").click()
    page.locator(f"[data-row='{with_one}']").get_by_role("link", name="Delete…").click()
    button = page.get_by_role("dialog").get_by_role("button", name="Delete")
    button.click()
    expect(button).to_be_enabled()
    expect(row).to_have_attribute("data-state", "sending")
    row.get_by_role("button", name="Cancel", include_hidden=True).evaluate("button => button.click()")
    throttle(line, -1)
    button.click()
    expect(page.locator(f"[data-row='{with_one}']")).to_have_count(0)


def choose_and_wait(page: Page) -> str:
    """Upload a file from the library, and return the id of its recording."""
    page.goto("/")
    row = choose(page, recordings.tone(1.0))
    expect(row).to_have_attribute("data-state", "done")
    return row.get_attribute("data-upload") or ""


def test_files_chosen_while_signed_out_are_uploaded_after_a_sign_in(
    new_page: NewPage, site: Site, recording: Path
) -> None:
    page = new_page(tells_errors=False)  # the browser logs the refusal on its console
    page.goto("/")
    signed_in = page.context.cookies()
    page.context.clear_cookies(name="sessionid")
    row = choose(page, recording)
    other = choose(page, recordings.tone(1.0))
    expect(page.get_by_text("You've been signed out.")).to_be_visible()
    for each in (row, other):
        expect(each).to_have_attribute("data-state", "waiting")
    with page.expect_popup() as popup:
        page.locator("#signed-out").get_by_role("link", name="Sign in").click()
    tab = popup.value
    tab.get_by_label("Username").fill("admin")
    tab.get_by_label("Password").fill("wonderland")
    tab.get_by_role("button", name="Sign in").click()
    tab.wait_for_url(site.url + "/")
    assert {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}["csrftoken"] != {
        cookie["name"]: cookie["value"] for cookie in signed_in
    }.get("csrftoken")
    tab.close()
    for each in (row, other):
        expect(each).to_have_attribute("data-state", "done")
    expect(page.get_by_text("You've been signed out.")).to_be_hidden()
    assert recording.name in names(site)
