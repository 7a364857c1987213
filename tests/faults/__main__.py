"""`python -m tests.faults [ROUNDS] [SEED]`: rounds of faults; stops at the first that fails, whose seed repeats it."""

import argparse
import asyncio
import logging
import os

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from tests.faults.storm import storm  # it makes recordings with what Django has set up

    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=50)
    parser.add_argument("seed", nargs="?", type=int, default=1, help="of the first round")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    for seed in range(options.seed, options.seed + options.rounds):
        print(asyncio.run(storm(seed, "", None, jobs=20, viewers=40, words=200)), flush=True)


if __name__ == "__main__":
    main()
