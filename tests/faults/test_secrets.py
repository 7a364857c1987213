"""A site's log contains no passwords, tokens, cookies or transcripts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import METRICS_TOKEN, finished_job
from tests.site import Site
from tests.visitor import Visitor, events


@pytest.mark.parametrize("format", ["line", "json"])
def test_the_log_contains_no_tokens_passwords_cookies_or_transcripts(
    new_site: Callable[..., Site], tmp_path: Path, format: str
) -> None:
    secrets = [METRICS_TOKEN, "a secret key", "wonderland", "w0 w1", "w38"]
    settings = {"TRANSCRIBE_METRICS_TOKEN": METRICS_TOKEN, "SECRET_KEY": secrets[1], "TRANSCRIBE_LOG_FORMAT": format}
    web = new_site(DJANGO_SETTINGS_MODULE="tests.served", **settings)
    web.start()
    with Visitor(web) as visitor:
        job = finished_job(visitor, tmp_path)
        with visitor.watch(job) as viewer:
            assert next(events(viewer))["segments"]
        assert "w0" in visitor.transcript(job)
        assert visitor.http.get("/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"}).status_code == 200
        assert visitor.http.post("/uploads/", headers={"X-CSRFToken": "", "Origin": "http://evil"}).status_code == 403
        secrets += visitor.http.cookies.values()
    assert web.stop() == 0
    log = web.log()
    assert "Attempt started" in log
    assert [secret for secret in secrets if secret in log] == []
