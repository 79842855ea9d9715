"""Real conflicts: each makes the running transaction fail as others make it fail."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from django.db import connection

from tests.storm_django.models import Entry, Unique

Conflict = Callable[[], None]


def _change_elsewhere() -> None:
    """PostgreSQL at repeatable read: somebody else changes the row that was read."""
    entry = Entry.objects.get()
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute(f"UPDATE {Entry._meta.db_table} SET position = position + 100")
    finally:
        other.close()
    Entry.objects.filter(pk=entry.pk).update(name="changed")


@contextmanager
def _locked_row() -> Iterator[Conflict]:
    """MariaDB: somebody else has locked the row and keeps it for longer than we wait."""
    other = connection.copy()
    other.set_autocommit(False)

    def wait() -> None:
        with other.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {Entry._meta.db_table} FOR UPDATE")
        with connection.cursor() as cursor:
            cursor.execute("SET innodb_lock_wait_timeout = 0")
        try:
            Entry.objects.update(name="changed")
        finally:
            other.rollback()

    try:
        yield wait
    finally:
        other.close()


def _connect() -> sqlite3.Connection:
    return sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None, timeout=0.1)


@contextmanager
def _locked_file() -> Iterator[Conflict]:
    """SQLite: somebody else is writing, for longer than we wait."""
    with closing(_connect()) as other:

        def wait() -> None:
            Entry.objects.get()
            other.execute("BEGIN IMMEDIATE")
            try:
                with connection.cursor() as cursor:
                    cursor.execute("PRAGMA busy_timeout = 20")
                Entry.objects.update(name="changed")
            finally:
                other.execute("ROLLBACK")

        yield wait


@contextmanager
def conflict() -> Iterator[Conflict]:
    """A function that fails with this vendor's error for a conflict. There is one Entry."""
    if connection.vendor == "postgresql":
        yield _change_elsewhere
    elif connection.vendor == "mysql":
        with _locked_row() as wait:
            yield wait
    else:
        with _locked_file() as wait:
            yield wait


def insert_elsewhere(value: int) -> None:
    """Somebody else inserts the value, and commits, after this transaction has begun to read."""
    list(Unique.objects.all())
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute(f"INSERT INTO {Unique._meta.db_table} (value) VALUES (%s)", [value])
    finally:
        other.close()
