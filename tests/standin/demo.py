"""`make demo-aws`: the site with Amazon's engine, connected to a stand-in that uses the built-in recogniser.

No data leaves the machine and nothing is billed. It uses a data folder of its own, `var/demo-aws`.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.standin.process import standin

ROOT = Path(__file__).parent.parent.parent


def main() -> int:
    os.chdir(ROOT)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ours = {"TRANSCRIBE_ENGINE": "aws", "TRANSCRIBE_DATA_DIR": os.environ.get("TRANSCRIBE_DATA_DIR", "var/demo-aws")}
    try:
        with standin("--local") as environ:
            return serve(os.environ | environ | ours)
    except KeyboardInterrupt:
        return 0  # the terminal has signalled the other processes too


def serve(environ: dict[str, str]) -> int:
    print("A stand-in for Amazon Transcribe runs beside the site. Sign in, and try the sample.", flush=True)
    for command in ("migrate --verbosity 0", "collectstatic --noinput --verbosity 0", "ensure_admin"):
        subprocess.run([sys.executable, "manage.py", *command.split()], env=environ, check=True)
    with subprocess.Popen([sys.executable, "manage.py", "serve"], env=environ) as site:
        try:
            return site.wait()
        finally:
            site.terminate()


if __name__ == "__main__":
    sys.exit(main())
