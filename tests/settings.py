"""The site's settings with a data folder of their own and the engine of the tests."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# One folder a test process (pytest-xdist starts several), set before the settings read the environment.
for name in [*os.environ]:
    if name.startswith("TRANSCRIBE_") or name in {"SECRET_KEY", "DATABASE_URL", "REDIS_URL", "DEBUG", "HOST", "PORT"}:
        del os.environ[name]
_folder = tempfile.mkdtemp(prefix="transcribe-tests-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
os.environ["TRANSCRIBE_DATA_DIR"] = _folder
os.environ["SECRET_KEY"] = "only for tests"

from transcribe_site.settings import *  # noqa: E402, F403
from transcribe_site.settings import DATABASES, STORAGES  # noqa: E402

TRANSCRIBE_ENGINES = ["local", "scripted"]
TRANSCRIBE_DEFAULT_ENGINE = "scripted"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# A file, not memory: threads and a server process of the tests have connections of their own.
DATABASES["default"]["TEST"] = {"NAME": str(Path(_folder) / "test.sqlite3")}
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
