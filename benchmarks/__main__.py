"""`make bench`: runs the benchmarks and prints their figures as tables.

These machines differ and are shared, so what counts are the ratios to a peer that is measured in the same run.
Name one to run it alone: `python -m benchmarks hour`; `--quick` runs them with tiny sizes, as the suite does.
"""

import argparse
import logging
import os
import platform
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
    outages,
    partials,
    preemption,
    probes,
    site,
    slow,
    strangers,
    takeover,
    viewers,
)

BENCHMARKS = {
    "first_words": first_words,
    "partials": partials,
    "aws": aws,
    "viewers": viewers,
    "slow": slow,
    "joining": joining,
    "crowd": crowd,
    "burst": burst,
    "strangers": strangers,
    "probes": probes,
    "outages": outages,
    "preemption": preemption,
    "takeover": takeover,
    "claims": claims,
    "history": history,
    "hour": hour,
    "media": media,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(BENCHMARKS)}; all without one")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that each runs to its end")
    given = parser.parse_args()
    if unknown := set(given.names) - set(BENCHMARKS):
        parser.error(f"There is no benchmark {', '.join(sorted(unknown))}.")
    logging.disable(logging.INFO)  # every request of a visitor is none of the table's business
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before"
    print(f"{date.today()}, Python {platform.python_version()}, {machine}\n")
    if given.quick:
        print("Quick: the sizes are too small for the figures to mean anything.\n")
        for module in (site, *BENCHMARKS.values()):
            vars(module).update(module.QUICK)
    for name in given.names or BENCHMARKS:
        print(f"## {name}\n")
        print("| figure | value |\n|---|---|")
        for figure, value in BENCHMARKS[name].run():
            print(f"| {figure} | {value} |", flush=True)
        print()


main()
