"""Settings for pytest: the site's own, with a temporary data folder and the test engine `scripted`."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from tests.site import free_port

# Each test process has its own folder, because pytest-xdist starts several. The environment is set here, before the
# site's settings read it.
for name in [*os.environ]:
    if name.startswith("TRANSCRIBE_") or name in {"SECRET_KEY", "DATABASE_URL", "REDIS_URL", "DEBUG", "HOST", "PORT"}:
        del os.environ[name]
_folder = tempfile.mkdtemp(prefix="transcribe-tests-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
os.environ["TRANSCRIBE_DATA_DIR"] = _folder
os.environ["SECRET_KEY"] = "only for tests"

# `TEST_DATABASE=postgres` runs the tests that use the database on PostgreSQL; conftest.py starts it on this port.
IS_ON_POSTGRES = {"sqlite": False, "postgres": True}[os.environ.get("TEST_DATABASE", "sqlite")]
if IS_ON_POSTGRES:
    os.environ["DATABASE_URL"] = f"postgres://postgres@127.0.0.1:{free_port()}/postgres"

from transcribe_site.settings import *  # noqa: E402, F403
from transcribe_site.settings import DATABASES, STORAGES  # noqa: E402

TRANSCRIBE_ENGINES = ["local", "scripted"]
TRANSCRIBE_DEFAULT_ENGINE = "scripted"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
os.environ.pop("DATABASE_URL", None)  # sites that tests start inherit the environment but use other databases
# A file, not memory: threads and server processes of the tests open their own connections.
DATABASES["default"]["TEST"] = {"NAME": "test" if IS_ON_POSTGRES else str(Path(_folder) / "test.sqlite3")}
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
