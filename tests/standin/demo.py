"""`make demo-aws`: the site with Amazon's engine, on a stand-in that hears real words with the local recogniser.

Nothing leaves the machine and nothing costs money. The data folder is one of its own, `var/demo-aws`.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def main() -> int:
    os.chdir(ROOT)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.standin", "--local"], stdout=subprocess.PIPE, text=True
    ) as standin:
        try:
            assert standin.stdout is not None
            lines = [line.rstrip("\n") for line in iter(standin.stdout.readline, "\n")]
            ours = {
                "TRANSCRIBE_ENGINE": "aws",
                "TRANSCRIBE_DATA_DIR": os.environ.get("TRANSCRIBE_DATA_DIR", "var/demo-aws"),
            }
            environ = os.environ | dict(line.split("=", 1) for line in lines) | ours
            print("A stand-in for Amazon Transcribe runs beside the site. Sign in, and try the sample.", flush=True)
            for command in ("migrate --verbosity 0", "collectstatic --noinput --verbosity 0", "ensure_admin"):
                subprocess.run([sys.executable, "manage.py", *command.split()], env=environ, check=True)
            return subprocess.run([sys.executable, "manage.py", "serve"], env=environ).returncode
        except KeyboardInterrupt:
            return 0  # both were told by the terminal
        finally:
            standin.terminate()


if __name__ == "__main__":
    sys.exit(main())
