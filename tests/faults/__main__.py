"""`python -m tests.faults [ROUNDS] [SEED]`: rounds of faults on PostgreSQL and Redis, or on SQLite.

With `--sqlite` the same processes share a file; with `--one` there is one process, with the jobs in it, and no Redis.

Stops at the first that fails; its seed repeats its choices.
"""

import argparse
import asyncio
import logging
import os

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from tests.faults.chaos import FULL, ONE, storm  # it makes recordings with what Django has set up
    from tests.postgres import Postgres

    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=50)
    parser.add_argument("seed", nargs="?", type=int, default=1, help="of the first round")
    parser.add_argument("--sqlite", action="store_true", help="all processes on one file")
    parser.add_argument("--one", action="store_true", help="one process, on a file")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    seeds = range(options.seed, options.seed + options.rounds)
    if options.sqlite or options.one:
        for seed in seeds:
            print(asyncio.run(storm(seed, "", None, ONE if options.one else FULL)), flush=True)
        return
    with Postgres() as postgres:
        for seed in seeds:
            url = postgres.create_database(f"round_{seed}")
            print(asyncio.run(storm(seed, url, postgres.restart, FULL)), flush=True)


if __name__ == "__main__":
    main()
