"""The site's settings with a data folder of their own and the engine of the tests."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from tests.site import free_port

# One folder a test process (pytest-xdist starts several), set before the settings read the environment.
for name in [*os.environ]:
    if name.startswith("TRANSCRIBE_") or name in {"SECRET_KEY", "DATABASE_URL", "REDIS_URL", "DEBUG", "HOST", "PORT"}:
        del os.environ[name]
_folder = tempfile.mkdtemp(prefix="transcribe-tests-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
os.environ["TRANSCRIBE_DATA_DIR"] = _folder
os.environ["SECRET_KEY"] = "only for tests"

# `TEST_DATABASE=postgres` runs the tests that touch the database on PostgreSQL; conftest.py starts it on this port.
IS_ON_POSTGRES = {"sqlite": False, "postgres": True}[os.environ.get("TEST_DATABASE", "sqlite")]
if IS_ON_POSTGRES:
    os.environ["DATABASE_URL"] = f"postgres://postgres@127.0.0.1:{free_port()}/postgres"

from transcribe_site.settings import *  # noqa: E402, F403
from transcribe_site.settings import DATABASES, STORAGES  # noqa: E402

TRANSCRIBE_ENGINES = ["local", "scripted"]
TRANSCRIBE_DEFAULT_ENGINE = "scripted"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
os.environ.pop("DATABASE_URL", None)  # the sites that tests serve have databases of their own
# A file, not memory: threads and a server process of the tests have connections of their own.
DATABASES["default"]["TEST"] = {"NAME": "test" if IS_ON_POSTGRES else str(Path(_folder) / "test.sqlite3")}
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
