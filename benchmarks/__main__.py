"""`make bench`: runs the benchmarks and prints their figures as tables.

These machines differ and are shared, so what counts are the ratios to a peer that is measured in the same run.
Name one to run it alone: `python -m benchmarks hour`.
"""

import logging
import os
import platform
import sys
from datetime import date

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "transcribe_site.settings")
django.setup()  # before what is measured is imported

from benchmarks import (  # noqa: E402
    aws,
    burst,
    claims,
    crowd,
    first_words,
    history,
    hour,
    joining,
    media,
    partials,
    slow,
    strangers,
    takeover,
    viewers,
)

BENCHMARKS = {
    "first_words": first_words.run,
    "partials": partials.run,
    "aws": aws.run,
    "viewers": viewers.run,
    "slow": slow.run,
    "joining": joining.run,
    "crowd": crowd.run,
    "burst": burst.run,
    "strangers": strangers.run,
    "takeover": takeover.run,
    "claims": claims.run,
    "history": history.run,
    "hour": hour.run,
    "media": media.run,
}


def main() -> None:
    logging.disable(logging.INFO)  # every request of a visitor is none of the table's business
    wanted = sys.argv[1:] or list(BENCHMARKS)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before"
    print(f"{date.today()}, Python {platform.python_version()}, {machine}\n")
    for name in wanted:
        print(f"## {name}\n")
        print("| figure | value |\n|---|---|")
        for figure, value in BENCHMARKS[name]():
            print(f"| {figure} | {value} |", flush=True)
        print()


main()
