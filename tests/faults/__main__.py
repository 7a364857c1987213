"""`python -m tests.faults [ROUNDS] [SEED]`: run rounds of random faults on PostgreSQL and Redis, or on SQLite.

With `--sqlite` the same processes share an SQLite file. With `--one` a single process serves pages and runs the jobs,
without Redis. The command stops at the first round that fails; its seed repeats its random choices.
"""

import argparse
import asyncio
import logging
import os

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from tests.faults.chaos import FULL, ONE, run_round  # inline: it imports models, which need Django to be set up
    from tests.postgres import Postgres

    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=50)
    parser.add_argument("seed", nargs="?", type=int, default=1, help="seed of the first round")
    parser.add_argument("--sqlite", action="store_true", help="several processes on one SQLite file")
    parser.add_argument("--one", action="store_true", help="a single process on an SQLite file")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    seeds = range(options.seed, options.seed + options.rounds)
    if options.sqlite or options.one:
        for seed in seeds:
            print(asyncio.run(run_round(seed, "", None, ONE if options.one else FULL)), flush=True)
        return
    with Postgres() as postgres:
        for seed in seeds:
            url = postgres.create_database(f"round_{seed}")
            print(asyncio.run(run_round(seed, url, postgres.restart, FULL)), flush=True)


if __name__ == "__main__":
    main()
