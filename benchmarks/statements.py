"""How many statements a PostgreSQL was sent, by its own log: also those that no program of ours knows of."""

import re
from collections import Counter

from tests.postgres import Postgres

STATEMENT = re.compile(r"LOG:  (?:statement|execute [^:]*): (.*)")
# What a statement is about, by what it names: the first that fits.
ABOUT = {
    "session": "django_session",
    "people": "auth_",
    "finals stored": 'INSERT INTO "streaming_segment"',
    "finals fetched": "streaming_segment",
    "looks": '"streaming_job"."id" IN',
    "job": "streaming_job",
    "whether a connection lives": "SELECT 1",
}


class Statements:
    """What PostgreSQL was asked, by its own log."""

    def __init__(self, postgres: Postgres) -> None:
        self._log = postgres._folder / "log"
        postgres.execute("alter system set log_statement = 'all'")
        postgres.execute("select pg_reload_conf()")
        self._begin = 0

    def begin(self) -> None:
        self._begin = self._log.stat().st_size

    def since(self) -> Counter[str]:
        """Return how many statements there were since `begin`, by what they are about."""
        with open(self._log, "rb") as file:
            file.seek(self._begin)
            text = file.read().decode(errors="replace")
        statements = STATEMENT.findall(text)
        return Counter(
            next((name for name, part in ABOUT.items() if part in statement), "other") for statement in statements
        )
