"""`make compose-test`: start the services of docker-compose.yml, use, break, upgrade, back up and restore the site.

The environment variable COMPOSE is the command for Compose. The test uses its own project, volumes, ports and folder.
"""

import os
import re
import ssl
import sys
import time
import wave
from pathlib import Path

import httpx
from moonshine_voice.utils import get_assets_path
from websockets.exceptions import ConnectionClosed

from tests.compose.deployment import Deployment, NoEngine
from tests.compose.people import Clicker, Person, Watcher
from tests.docs.document import commands

COMPOSE = "With Docker Compose"
PASSWORD = "a new password of mine"
RECORDINGS = 7
REQUESTS = 200
UPGRADE_SECONDS = 120.0  # an upgrade takes about as long, so the job that runs meanwhile must too
ASSETS = Path(get_assets_path())


def repeated(name: str, times: int, folder: Path) -> Path:
    """Return a recording that repeats one of the recogniser's recordings `times` times."""
    path = folder / f"{name}-{times}.wav"
    with wave.open(str(ASSETS / f"{name}.wav")) as source, wave.open(str(path), "wb") as target:
        target.setparams(source.getparams())
        frames = source.readframes(source.getnframes())
        for _ in range(times):
            target.writeframes(frames)
    return path


def step(what: str) -> None:
    print(f"\n== {what}", flush=True)


def start(deployment: Deployment) -> None:
    """Start the site over plain HTTP as documented, sign in with the password in the log, and change it."""
    step("Start it from a checkout made under umask 077")
    install, change_password = commands(COMPOSE)
    ports = f"HTTP_PORT={deployment.http_port}\nHTTPS_PORT={deployment.https_port}\n"
    (deployment.folder / ".env").write_text(ports)
    log = deployment.run(install)
    (password,) = re.findall(r"user admin, password (\S+)", log)
    origin = f"http://localhost:{deployment.http_port}"
    Person(origin, password)
    deployment.type_into(change_password, [PASSWORD, PASSWORD])
    Person(origin, PASSWORD)


def switch_to_tls(deployment: Deployment) -> Person:
    """Give the site a TLS address, and sign in there with the certificate of the proxy's own authority."""
    step("Give it TLS")
    origin = f"https://localhost:{deployment.https_port}"
    with open(deployment.folder / ".env", "a") as file:
        file.write(f"SITE_ADDRESS=localhost\nALLOWED_HOSTS=localhost\nCSRF_TRUSTED_ORIGINS={origin}\n")
    deployment.run("docker compose up --detach --wait")
    certificate = "/data/caddy/pki/authorities/local/root.crt"
    deployment.run(f"docker compose exec -T proxy cat {certificate} > authority.crt")
    context = ssl.create_default_context(cafile=str(deployment.folder / "authority.crt"))
    return Person(origin, PASSWORD, context)


def check_security(deployment: Deployment, person: Person) -> None:
    step("Check origins, HSTS, collected files and the containers")
    plain = person.origin.replace("https", "http", 1)
    assert person.sign_in(PASSWORD, plain) == 403
    with person.socket("/ws/stream/", origin=plain) as socket:
        try:
            socket.recv(timeout=60)
        except ConnectionClosed as closed:
            assert closed.rcvd is not None
            assert closed.rcvd.code == 1008
    page = person.http.get("/", headers={"Accept": "text/html"})
    assert page.headers["strict-transport-security"].startswith("max-age=")
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
    assert files
    assert [file for file in files if person.http.get(file).status_code != 200] == []
    for hidden in ("/readyz", "/metrics"):
        assert person.http.get(hidden).status_code == 404
    deployment.run("docker compose exec -T web python manage.py check --deploy --fail-level WARNING")
    form = "{{.Name}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.LogConfig}}"
    form += "{{range .Mounts}} [{{.Type}} {{.Name}}]{{end}}"
    listed = deployment.run(f"docker inspect --format '{form}' $(docker compose ps --all --quiet)").splitlines()
    assert len(listed) == 8, listed
    for line in listed:
        assert " true " in line, f"the container's root file system is writable: {line}"
        assert "max-size:10m" in line, f"the container's log has no limit: {line}"
        assert not re.search(r"\[volume [0-9a-f]{64}\]", line), f"the container has an anonymous volume: {line}"
    images = deployment.run(
        "docker inspect --format '{{.Image}}' $(docker compose ps --all --quiet web worker migrate)"
    )
    assert len(set(images.split())) == 1
    before = len(deployment.run("docker compose logs proxy").splitlines())
    time.sleep(25)  # long enough for two health checks, which must not be logged
    assert len(deployment.run("docker compose logs proxy").splitlines()) == before


def kill_a_worker(deployment: Deployment, person: Person, upload: str) -> None:
    step("Kill the worker of a job, restart Redis and PostgreSQL, and check that the viewer misses no final")
    watcher = Watcher(person, person.start(upload))
    watcher.start()
    watcher.wait_for_final(2)
    workers = deployment.run("docker compose ps --quiet worker").split()
    (busy,) = [each for each in workers if watcher.job in deployment.run(f"docker logs {each}")]
    # Kill all processes but the first, which Linux protects. Then the container exits, and Docker restarts it.
    deployment.run(f'docker exec {busy} python -c "import os; os.kill(-1, 9)"', is_checked=False)
    deployment.run("docker compose restart redis")
    deployment.run("docker compose restart postgres")
    watcher.finish()
    assert watcher.words() == person.transcript(watcher.job).split()
    deployment.run("docker compose up --detach --wait --no-recreate")


def upgrade(deployment: Deployment, person: Person, upload: str, word_count: int) -> None:
    step("Upgrade it while a job runs and a person uses the pages")
    page = deployment.folder / "templates" / "base.html"
    page.write_text(page.read_text() + "<!-- the new version -->\n")
    watcher = Watcher(person, person.start(upload))
    watcher.start()
    clicker = Clicker(person, upload, (ASSETS / "beckett.wav").read_bytes())
    clicker.start()
    (script,) = commands("Upgrade with Docker Compose")
    deployment.run(script)
    at_the_end = clicker.count
    while clicker.count < max(REQUESTS, at_the_end + 20):
        assert clicker.is_alive()
        time.sleep(0.1)
    clicker.end.set()
    clicker.join()
    print(f"  {clicker.count} requests, {len(clicker.failures)} failed, the slowest took {clicker.slowest:.1f} s")
    assert clicker.failures == [], clicker.failures
    watcher.finish()
    print(f"  {len(watcher.finals)} finals over {watcher.reconnects + 1} connections")
    assert watcher.words() == person.transcript(watcher.job).split()
    assert abs(len(watcher.words()) / word_count - 1) < 0.03, f"{len(watcher.words())} of {word_count} words"
    log = deployment.run("docker compose logs worker")
    taken_over = [line for line in log.splitlines() if watcher.job in line and "begins" in line]
    assert taken_over, "the job ended before the old workers stopped: make the recording longer"
    assert "<!-- the new version -->" in person.http.get("/", headers={"Accept": "text/html"}).text
    names = deployment.run("docker compose ps web worker --format '{{.Name}} {{.Status}}'").splitlines()
    assert len(names) == 4, names
    planned = deployment.run("docker compose --dry-run up --detach")
    assert "Recreate" not in planned, "the next `up` would interrupt the site"


def back_up_and_restore(deployment: Deployment, person: Person, recordings: dict[str, bytes]) -> None:
    step("Back it up, lose everything, restore it")
    back_up, restore = commands("Back up and restore with Docker Compose")
    transcripts = {job: person.transcript(job) for job in jobs_of(person)}
    deployment.run(back_up)
    deployment.run("docker compose down --volumes")
    (deployment.folder / ".env").unlink()
    deployment.run(restore)
    certificate = "/data/caddy/pki/authorities/local/root.crt"
    deployment.run(f"docker compose exec -T proxy cat {certificate} > authority.crt")
    context = ssl.create_default_context(cafile=str(deployment.folder / "authority.crt"))
    again = Person(person.origin, PASSWORD, context)
    assert {upload: again.audio(upload) for upload in recordings} == recordings
    assert {job: again.transcript(job) for job in jobs_of(again)} == transcripts
    assert len(recordings) == RECORDINGS
    print(f"  {len(recordings)} recordings and {len(transcripts)} transcripts are back")
    watcher = Watcher(again, again.start(next(iter(recordings))))
    watcher.start()
    watcher.finish()


def jobs_of(person: Person) -> list[str]:
    page = person.http.get("/jobs/", headers={"Accept": "text/html"}).text
    return sorted(set(re.findall(r"/jobs/([0-9a-f-]{36})/", page)))


def check_all(deployment: Deployment) -> None:
    deployment.copy_checkout()
    start(deployment)
    person = switch_to_tls(deployment)
    check_security(deployment, person)
    step("Upload recordings and watch a job by wss")
    paths = [ASSETS / "two_cities.wav", repeated("two_cities", 4, deployment.folder)]
    paths += [ASSETS / "beckett.wav"] * (RECORDINGS - 3)
    uploads = [person.upload(path) for path in paths]
    recordings = {upload: path.read_bytes() for upload, path in zip(uploads, paths, strict=True)}
    begun = time.monotonic()
    watcher = Watcher(person, person.start(uploads[0]))
    watcher.start()
    watcher.finish()
    assert watcher.words() == person.transcript(watcher.job).split()
    assert len(watcher.words()) > 80
    times = max(3, min(20, round(UPGRADE_SECONDS / (time.monotonic() - begun))))
    long = repeated("two_cities", times, deployment.folder)
    uploads.append(person.upload(long))
    recordings[uploads[-1]] = long.read_bytes()
    kill_a_worker(deployment, person, uploads[1])
    upgrade(deployment, person, uploads[-1], times * len(watcher.words()))
    back_up_and_restore(deployment, person, recordings)


def main() -> int:
    deployment = Deployment(os.environ.get("COMPOSE", "docker compose"))
    try:
        deployment.check_engine()
    except NoEngine as error:
        deployment.remove()
        print(f"make compose-test needs a Docker engine with Compose. None could be reached: {error}", file=sys.stderr)
        return 1
    begun = time.monotonic()
    try:
        check_all(deployment)
    except (AssertionError, httpx.HTTPError, OSError):
        print(deployment.run("docker compose ps --all; docker compose logs --tail 30", is_checked=False)[-20000:])
        raise
    finally:
        step("Clean up")
        deployment.remove()
    print(f"\nThe deployment works. ({time.monotonic() - begun:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
