"""Which transaction wrote each row, told by the database itself.

PostgreSQL: a column whose default is ``txid_current()``. MariaDB: the transaction's id that a table
with system versioning keeps for each row. SQLite has no such ids: a second connection looks, after
each change, at what has been committed.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from django.db import connection

from tests.storm_django.models import Entry

TABLE = Entry._meta.db_table


class PostgresqlWitness:
    """Reads the id that the server gave to the transaction."""

    add: tuple[str, ...] = (
        f"ALTER TABLE {TABLE} ADD COLUMN writer bigint NOT NULL DEFAULT txid_current()",
    )
    remove: tuple[str, ...] = (f"ALTER TABLE {TABLE} DROP COLUMN writer",)

    def __enter__(self) -> PostgresqlWitness:
        self.execute(self.add)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.execute(self.remove)

    def execute(self, statements: tuple[str, ...]) -> None:
        """Change the table."""
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def look(self) -> None:
        """Nothing to do: each row tells by itself."""

    def transactions(self) -> list[set[int]]:
        """The positions of the committed rows, those of one transaction together."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT writer, position FROM {TABLE} ORDER BY writer, position")
            groups: dict[Any, set[int]] = {}
            for writer, position in cursor.fetchall():
                groups.setdefault(writer, set()).add(position)
        return list(groups.values())


class MysqlWitness(PostgresqlWitness):
    """Reads the id that InnoDB keeps for each row of a table with system versioning."""

    add = (
        f"ALTER TABLE {TABLE} "
        "ADD COLUMN writer bigint unsigned GENERATED ALWAYS AS ROW START, "
        "ADD COLUMN overwriter bigint unsigned GENERATED ALWAYS AS ROW END, "
        "ADD PERIOD FOR SYSTEM_TIME (writer, overwriter), ADD SYSTEM VERSIONING",
    )
    remove = (
        "SET @@system_versioning_alter_history = KEEP",
        f"ALTER TABLE {TABLE} DROP SYSTEM VERSIONING, DROP COLUMN writer, "
        "DROP COLUMN overwriter, DROP PERIOD FOR SYSTEM_TIME",
    )


class SqliteWitness:
    """Looks from a second connection after each change."""

    def __enter__(self) -> SqliteWitness:
        self.seen: set[int] = set()
        self.groups: list[set[int]] = []
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def look(self) -> None:
        """Note what has been committed since the last look."""
        with closing(sqlite3.connect(connection.settings_dict["NAME"])) as outside:
            rows = {position for (position,) in outside.execute(f"SELECT position FROM {TABLE}")}
        if rows - self.seen:
            self.groups.append(rows - self.seen)
        self.seen |= rows

    def transactions(self) -> list[set[int]]:
        """The positions of the committed rows, those that appeared together together."""
        self.look()
        return self.groups


def witness() -> PostgresqlWitness | SqliteWitness:
    """The witness for the vendor of the ``default`` database."""
    return {"postgresql": PostgresqlWitness, "mysql": MysqlWitness, "sqlite": SqliteWitness}[
        connection.vendor
    ]()
