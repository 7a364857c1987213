"""A short round of faults; `make faults` has the long ones."""

import pytest

from tests.faults.chaos import SHORT, SHORT_ONE, storm
from tests.postgres import Postgres

pytestmark = pytest.mark.timeout(600)  # a round says itself which jobs did not end


async def test_every_word_is_there_once_whatever_is_killed_on_postgresql(postgres: Postgres) -> None:
    print(await storm(7, postgres.create_database("faults"), postgres.restart, SHORT))


async def test_every_word_is_there_once_whatever_is_killed_on_sqlite() -> None:
    print(await storm(8, "", None, SHORT))


async def test_every_word_is_there_once_whatever_happens_to_the_one_process_on_sqlite() -> None:
    print(await storm(9, "", None, SHORT_ONE))
