"""Django's PostgreSQL backend with a pool that recovers from a restart of the server. `settings.py` names it.

Django can have the pool check a connection before its use (`CONN_HEALTH_CHECKS`). But after a restart all pooled
connections are dead, and the pool waits 1, 2, 4 … seconds after each dead one. This backend discards all of them after
the first.
"""

from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg_pool import ConnectionPool

from streaming import outages


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:  # a psycopg connection; the stubs have no type
        connection = super().get_new_connection(conn_params)
        if not self.pool:
            return connection
        try:
            ConnectionPool.check_connection(connection)
        except psycopg.OperationalError:
            # The server has restarted or closed the connection. The pool replaces connections in use when they return.
            self.pool.putconn(connection)
            self.pool.drain()
            connection = super().get_new_connection(conn_params)
        outages.DATABASE.worked()
        return connection
