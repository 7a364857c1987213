"""Counts the statements that PostgreSQL received, by its log, which also has those of libraries."""

import re
from collections import Counter

from tests.postgres import Postgres

STATEMENT = re.compile(r"LOG:  (?:statement|execute [^:]*): (.*)")
# The subject of a statement, by a name in it: the first that fits.
SUBJECTS = {
    "session": "django_session",
    "people": "auth_",
    "finals stored": 'INSERT INTO "streaming_segment"',
    "finals fetched": "streaming_segment",
    "polls": '"streaming_job"."id" IN',
    "job": "streaming_job",
}
EMPTY = "checks of a connection"  # empty statements, which the pool sends before it returns a connection


class Statements:
    """The statements in the log of a PostgreSQL."""

    def __init__(self, postgres: Postgres) -> None:
        self._log = postgres._folder / "log"
        postgres.execute("alter system set log_statement = 'all'")
        postgres.execute("select pg_reload_conf()")
        self._begin = 0

    def begin(self) -> None:
        self._begin = self._log.stat().st_size

    def since(self) -> Counter[str]:
        """Return the number of statements since `begin`, by subject."""
        with open(self._log, "rb") as file:
            file.seek(self._begin)
            text = file.read().decode(errors="replace")
        return Counter(subject(statement) for statement in STATEMENT.findall(text))


def subject(statement: str) -> str:
    if not statement:
        return EMPTY
    return next((name for name, part in SUBJECTS.items() if part in statement), "other")
