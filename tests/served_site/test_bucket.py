"""A web process and a worker that share the database, Redis and bucket but no folder, as on two machines."""

import json
from collections.abc import Callable

from tests import recordings
from tests.s3 import Bucket
from tests.site import Site, wait_until
from tests.visitor import Visitor, rows


def test_a_web_process_and_a_worker_without_a_shared_folder_transcribe_a_recording(
    new_site: Callable[..., Site], redis_url: str, bucket: Bucket
) -> None:
    web = new_site()
    shared = {
        "SECRET_KEY": "the same on both machines",
        "DATABASE_URL": f"sqlite:///{web.folder / 'db.sqlite3'}",
        "REDIS_URL": redis_url,
        **bucket.environment,
    }
    web.environment |= shared | {"TRANSCRIBE_RUN_JOBS": "0"}
    worker = new_site(**shared, TRANSCRIBE_LOG_FORMAT="json")
    web.start()
    worker.start_worker()
    content = recordings.speech("beckett").read_bytes()
    with Visitor(web) as visitor:
        upload = visitor.upload(recordings.speech("beckett"))
        assert bucket.names() == [f"uploads/{upload.replace('-', '')[:2]}/{upload}"]
        job = visitor.start(upload)
        wait_until(lambda: rows(web, "select status from streaming_job") == [("completed",)], 90, "the end of the job")
        assert len(visitor.transcript(job).split()) > 10
        part = visitor.http.get(f"/uploads/{upload}/audio/", headers={"Range": "bytes=1000-1999"})
        assert (part.status_code, part.content) == (206, content[1000:2000])
        assert part.headers["Content-Range"] == f"bytes 1000-1999/{len(content)}"
        assert visitor.http.get(f"/uploads/{upload}/audio/?download").content == content
        waveform = f"/uploads/{upload}/waveform.svg"
        wait_until(lambda: visitor.http.get(waveform).text.count(",") == 2004, what="the waveform")
        assert visitor.http.post(f"/uploads/{upload}/delete/").status_code == 204
    assert bucket.names() == []
    assert worker.stop() == 0
    assert web.stop() == 0
    lines = [json.loads(line) for line in worker.log().splitlines()]
    begun = {"message": "Attempt started, engine local", "job": job, "attempt": 1}
    assert [line for line in lines if line | begun == line] != []
    assert bucket.environment["AWS_SECRET_ACCESS_KEY"] not in web.log() + worker.log()
    for site in (web, worker):
        assert "Traceback" not in site.log()
        folders = {path.relative_to(site.folder).parts[0] for path in site.folder.rglob("*") if path.is_file()}
        assert folders <= {"log", "secret_key", "static", "db.sqlite3", "db.sqlite3-wal", "db.sqlite3-shm"}
