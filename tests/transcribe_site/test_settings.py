"""The database settings that each kind of DATABASE_URL yields."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PRINT = "import json, transcribe_site.settings as s; print(json.dumps(s.DATABASES['default'], default=str))"


def database(folder: Path, url: str) -> dict[str, Any]:
    environ = os.environ | {"TRANSCRIBE_DATA_DIR": str(folder), "DATABASE_URL": url}
    printed = subprocess.run([sys.executable, "-c", PRINT], cwd=ROOT, env=environ, check=True, capture_output=True)
    values: dict[str, Any] = json.loads(printed.stdout)
    return values


def test_options_in_the_database_url_are_passed_to_postgresql(tmp_path: Path) -> None:
    options = database(tmp_path, "postgres://me@db/x?sslmode=require&connect_timeout=2")["OPTIONS"]
    assert (options["sslmode"], str(options["connect_timeout"])) == ("require", "2")
    assert options["pool"]["max_size"] == 16


def test_without_an_address_the_database_is_a_file_in_the_data_folder(tmp_path: Path) -> None:
    values = database(tmp_path, "")
    assert (values["ENGINE"], values["NAME"]) == ("django.db.backends.sqlite3", str(tmp_path / "db.sqlite3"))
