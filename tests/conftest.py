"""Fixtures for all tests: the cast (Alice, Bob, Charlie) and real components.

The components are Redis, PostgreSQL, an S3 server, small disks and served sites. Each test process starts its own.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django import Settings

from tests.postgres import Postgres
from tests.s3 import KEYS, Bucket, S3Server
from tests.servers import Redis
from tests.site import Site
from tests.visitor import Visitor

# Use the same examples in every run, and do not fail slow ones, because the machine may be busy.
hypothesis.settings.register_profile(
    "tests",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("tests")


# Fixtures that start a server, a browser or a site, and folders whose tests start one themselves.
SLOW_FIXTURES = {"browser", "bucket", "new_site", "other", "over_redis", "postgres", "redis_url", "s3_server"}
SLOW_FOLDERS = {"browser", "compose", "docs", "faults", "interop", "moonshine", "served_site", "standin"}
# Modules whose tests run whole jobs, decode many files, or start other programs.
SLOW_MODULES = {
    "streaming/engines/aws/test_jobs.py",
    "streaming/engines/aws/test_network.py",
    "streaming/engines/aws/test_random_cuts.py",
    "streaming/engines/aws/test_requested_options.py",
    "streaming/engines/aws/test_sent_audio.py",
    "streaming/engines/aws/test_stream.py",
    "streaming/jobs/test_claims.py",
    "streaming/management/test_transcribe_answers.py",
    "streaming/management/test_transcribe_command.py",
    "streaming/test_locked_sqlite.py",
    "streaming/web/test_tracks.py",
    "streaming/worker/test_killed_workers.py",
    "streaming/worker/test_preemption.py",
    "streaming/worker/test_runner.py",
    "streaming/worker/test_runner_failures.py",
    "test_benchmarks.py",
    "test_migrations.py",
    "transcribe_site/test_sign_in.py",
    "uploads/decoder/test_word_times.py",
    "uploads/test_tracks.py",
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests that need a server, a browser or a site as slow: `make test-fast` leaves them out.

    On PostgreSQL, deselect tests that do not use the database in this process: they have run on SQLite.
    """
    for item in items:
        path = item.path.relative_to(Path(__file__).parent)
        is_slow = not SLOW_FOLDERS.isdisjoint(path.parts) or path.as_posix() in SLOW_MODULES
        if is_slow or not SLOW_FIXTURES.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    if not settings.IS_ON_POSTGRES:
        return

    def touches_database(item: pytest.Item) -> bool:
        fixtures = getattr(item, "fixturenames", ())
        return item.get_closest_marker("django_db") is not None or "db" in fixtures or "transactional_db" in fixtures

    config.hook.pytest_deselected(items=[item for item in items if not touches_database(item)])
    items[:] = filter(touches_database, items)


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> Iterator[None]:
    """Start the PostgreSQL that the settings name, before pytest-django creates the test database there."""
    if not settings.IS_ON_POSTGRES:
        yield
        return
    with Postgres(settings.DATABASES["default"]["PORT"]):
        yield


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """Stop pytest-django from dropping the test database on PostgreSQL: it is deleted with its server."""
    return bool(settings.IS_ON_POSTGRES)


@pytest.fixture
def alice(db: None) -> User:
    """Alice owns recordings and jobs."""
    return User.objects.create_user("alice", password="wonderland")


@pytest.fixture
def bob(db: None) -> User:
    """Bob is staff: may see and change the recordings and jobs of other people."""
    bob = User.objects.create_user("bob", password="builder", is_staff=True)
    bob.user_permissions.set(Permission.objects.filter(content_type__app_label__in=["uploads", "streaming"]))
    return bob


@pytest.fixture
def charlie(db: None) -> User:
    """Charlie is a stranger: signed in, without any permission."""
    return User.objects.create_user("charlie", password="chocolate")


@pytest.fixture
def client_of() -> Callable[[User], Client]:
    def client_of(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return client_of


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The address of a Redis server, one for each test process."""
    redis = Redis()
    redis.start()
    yield redis.url
    redis.kill()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    server = S3Server()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def bucket(s3_server: S3Server) -> Iterator[Bucket]:
    bucket = Bucket(s3_server)
    yield bucket
    bucket.close()


@pytest.fixture
def in_bucket(bucket: Bucket, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the site store recordings in the bucket."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    options = {"bucket_name": bucket.name, "endpoint_url": bucket.gate.url, "region_name": None}
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "uploads.files.s3.BucketStorage", "OPTIONS": options},
    }


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, one for each test process. Tests may restart it, and create their own databases."""
    with Postgres() as postgres:
        yield postgres


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The folder of a file system of 24 MB in memory. Skips the test without permission to mount it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("Only root can mount a small file system.")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="session")
def prepared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a migrated database, the static files and the account `admin`. Tests copy it."""
    folder = tmp_path_factory.mktemp("prepared")
    site = Site(folder)
    site.manage("migrate", "--verbosity", "0")
    site.manage("collectstatic", "--noinput", "--verbosity", "0")
    site.manage("ensure_admin")
    return folder


@pytest.fixture(scope="session")
def prepared_database(postgres: Postgres, prepared_folder: Path) -> str:
    """The name of a migrated PostgreSQL database with the account `admin`. Tests copy it."""
    site = Site(prepared_folder, {"DATABASE_URL": postgres.create_database("prepared")})
    site.manage("migrate", "--verbosity", "0")
    site.manage("ensure_admin")
    return "prepared"


@pytest.fixture
def database(postgres: Postgres, prepared_database: str) -> str:
    """The name of a new PostgreSQL database with the account `admin`."""
    name = f"site_{uuid4().hex}"
    postgres.execute(f"create database {name} template {prepared_database}")
    return name


@pytest.fixture
def new_site(prepared_folder: Path, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """A function that creates sites without starting them. All of them are killed at the end of the test."""
    sites = []

    def new_site(**environment: str) -> Site:
        folder = tmp_path / f"site-{len(sites)}"
        shutil.copytree(prepared_folder, folder)
        sites.append(Site(folder, environment))
        return sites[-1]

    yield new_site
    for site in sites:
        if site.process is not None:
            site.kill()


@pytest.fixture
def site(new_site: Callable[..., Site], request: pytest.FixtureRequest) -> Site:
    """A running site with the in-memory channel layer. An indirect parameter adds environment variables."""
    site = new_site(**getattr(request, "param", {}))
    site.start()
    return site


@pytest.fixture
def visitor(site: Site) -> Iterator[Visitor]:
    """A client of `site`, signed in as `admin`."""
    with Visitor(site) as visitor:
        yield visitor
