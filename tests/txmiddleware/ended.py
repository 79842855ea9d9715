"""Statements after which the server has rolled back the whole transaction by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, connections

from storm_django import get_store
from tests.storm_django.aliases import extra_alias
from tests.storm_django.models import Entry, Unique

ENTRIES = Entry._meta.db_table
VALUES = Unique._meta.db_table
HEAVY = 50
"""Rows that the other transaction has written, so that InnoDB's victim is ours."""

Execute = Callable[[str], Any]


def by_django(alias: str) -> Execute:
    """Execute a statement with a cursor of Django's."""

    def execute(sql: str) -> None:
        with connections[alias].cursor() as cursor:
            cursor.execute(sql)

    return execute


def by_storm(alias: str) -> Execute:
    """Execute it with the store of the alias."""
    return lambda sql: get_store().execute(sql)


def end(alias: str, execute: Execute) -> None:
    """Fail so that the transaction is gone. There are Unique(1), and Entries 1 and 2."""
    if connections[alias].vendor == "sqlite":
        execute(f"INSERT OR ROLLBACK INTO {VALUES} (value) VALUES (1)")
    else:
        _deadlock(execute)


def _deadlock(execute: Execute) -> None:
    other: Any = connection.copy()
    other.set_autocommit(False)
    with other.cursor() as cursor:
        cursor.execute(f"UPDATE {ENTRIES} SET name = 'theirs' WHERE id = 2")
        rows = ", ".join(f"({value})" for value in range(1000, 1000 + HEAVY))
        cursor.execute(f"INSERT INTO {VALUES} (value) VALUES {rows}")
    execute(f"UPDATE {ENTRIES} SET name = 'ours' WHERE id = 1")

    def want_the_first() -> None:
        with other.cursor() as cursor:
            cursor.execute(f"UPDATE {ENTRIES} SET name = 'theirs' WHERE id = 1")

    other.inc_thread_sharing()
    thread = threading.Thread(target=want_the_first)
    thread.start()
    try:
        execute(f"UPDATE {ENTRIES} SET name = 'ours' WHERE id = 2")
    finally:
        thread.join()
        other.rollback()
        other.close()


@contextmanager
def stock_alias() -> Iterator[str]:
    """An alias of Django's own engine on a database of this vendor, with the tests' tables."""
    if connection.vendor == "sqlite":
        yield "plain"
        return
    there = {key: connection.settings_dict[key] for key in ("USER", "PASSWORD", "HOST", "PORT")}
    engine = f"django.db.backends.{connection.vendor}"
    with extra_alias("stock", connection.settings_dict["NAME"], ENGINE=engine, **there):
        yield "stock"
