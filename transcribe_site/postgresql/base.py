"""Django's PostgreSQL with a pool that survives a restart of the server; named in the settings as ENGINE.

Django can ask the pool to look at a connection before it is given out (`CONN_HEALTH_CHECKS`), but after a restart
all that lie there are dead, and the pool waits 1, 2, 4 … seconds between one that is found dead and the next. Here
the first that is found dead means all of them.
"""

from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg_pool import ConnectionPool

from streaming import outages


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:  # psycopg's, as the stubs don't say
        connection = super().get_new_connection(conn_params)
        if not self.pool:
            return connection
        try:
            ConnectionPool.check_connection(connection)
        except psycopg.OperationalError:
            # The server has restarted, or cut us off. What is in use is replaced when it comes back to the pool.
            self.pool.putconn(connection)
            self.pool.drain()
            connection = super().get_new_connection(conn_params)
        outages.DATABASE.worked()
        return connection
