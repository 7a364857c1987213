"""`make bench`: runs the benchmarks and prints their figures as tables.

Machines differ and are shared, so only the ratios to a peer that is measured in the same run can be compared.
`python -m benchmarks hour` runs one benchmark. `--quick` runs them with tiny sizes, as the suite does.
"""

import argparse
import logging
import os
import platform
from datetime import date

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "transcribe_site.settings")
django.setup()  # before the imports below, which need the apps

from benchmarks import (  # noqa: E402
    aws,
    burst,
    claims,
    first_words,
    history,
    hour,
    joining,
    many_viewers,
    media,
    outages,
    partials,
    preemption,
    probes,
    site,
    slow_viewers,
    strangers,
    takeover,
    viewers,
)

BENCHMARKS = {
    "first_words": first_words,
    "partials": partials,
    "aws": aws,
    "viewers": viewers,
    "slow_viewers": slow_viewers,
    "joining": joining,
    "many_viewers": many_viewers,
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
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one of: {', '.join(BENCHMARKS)}; without a name: all"
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes: only checks that each runs to its end")
    given = parser.parse_args()
    if unknown := set(given.names) - set(BENCHMARKS):
        parser.error(f"There is no benchmark {', '.join(sorted(unknown))}.")
    logging.disable(logging.INFO)  # otherwise a line for each request would stand between the rows of the table
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
