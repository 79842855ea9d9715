"""The isolation level in the URI of a store on PostgreSQL."""

from __future__ import annotations

from psycopg2 import extensions
from storm.databases.postgres import Postgres
from storm.uri import URI

from storm_django.conf import SERVERS_LEVEL

LEVELS = {
    "serializable": extensions.ISOLATION_LEVEL_SERIALIZABLE,
    "repeatable-read": extensions.ISOLATION_LEVEL_REPEATABLE_READ,
    "read-committed": extensions.ISOLATION_LEVEL_READ_COMMITTED,
    "read-uncommitted": extensions.ISOLATION_LEVEL_READ_UNCOMMITTED,
}
"""Storm's words, and the driver's constants."""

STORMS_LEVEL = "repeatable-read"
"""The level where the URI has none."""


class LevelledPostgres(Postgres):
    """Storm's database, which can leave the isolation level to the server."""

    def __init__(self, uri: URI) -> None:
        is_servers = uri.options.get("isolation") == SERVERS_LEVEL
        if is_servers:
            uri = uri.copy()
            del uri.options["isolation"]
        super().__init__(uri)
        if is_servers:
            self._isolation = extensions.ISOLATION_LEVEL_DEFAULT
