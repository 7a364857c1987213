"""A short round of random faults in each configuration. `make faults` runs long ones."""

import pytest

from tests.faults.chaos import SHORT, SHORT_ONE, run_round
from tests.postgres import Postgres

pytestmark = pytest.mark.timeout(600)  # longer than the round's own limit, whose message names the unfinished jobs


async def test_random_faults_lose_no_word_on_postgresql(postgres: Postgres) -> None:
    print(await run_round(7, postgres.create_database("faults"), postgres.restart, SHORT))


async def test_random_faults_lose_no_word_on_sqlite() -> None:
    print(await run_round(8, "", None, SHORT))


async def test_random_faults_lose_no_word_in_a_single_process_on_sqlite() -> None:
    print(await run_round(9, "", None, SHORT_ONE))
