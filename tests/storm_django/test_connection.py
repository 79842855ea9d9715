"""The life of a connection: closed by Django, killed by the server, inherited by a fork."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from contextlib import AbstractContextManager

import transaction
from django.db import Error, connection, connections
from django.db import transaction as django_transaction
from django.test import TransactionTestCase, skipUnlessDBFeature
from storm.exceptions import Error as StormError

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from txmiddleware import commit_on_success

OWN_ID = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}
KILL = {"postgresql": "SELECT pg_terminate_backend(%s, 5000)", "mysql": "KILL %s"}
ROUNDS = int(os.environ.get("TEST_KILL_ROUNDS", "1"))
"""How often each way to lose a connection is tried."""


def write_with_django(name: str) -> None:
    Entry.objects.create(name=name)


def write_with_storm(name: str) -> None:
    store = get_store()
    store.add(StormEntry(name))
    store.flush()


class ImplicitTransaction:
    """What Storm code does without a scope."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name

    def __enter__(self) -> None:
        try:
            get_store(self.name).execute("SELECT 1")
        except BaseException:
            transaction.abort()
            raise

    def __exit__(self, exc_type: object, *exc_info: object) -> None:
        if exc_type is None:
            try:
                transaction.commit()
            except BaseException:
                transaction.abort()
                raise
        else:
            transaction.abort()


@skipUnlessDBFeature("has_select_for_update")  # not SQLite: nobody can kill it
class KilledConnectionTest(TransactionTestCase):
    """No wrong result, no lost or doubled row, and the next transaction has a new connection."""

    def setUp(self) -> None:
        self.killer = connection.copy()
        self.addCleanup(self.killer.close)

    def kill(self) -> None:
        """Have the server end the session that both ORMs use."""
        with connection.wrap_database_errors:
            cursor = connection.connection.cursor()
            cursor.execute(OWN_ID[connection.vendor])
            (session,) = cursor.fetchone()
            cursor.close()
        with self.killer.cursor() as cursor:
            cursor.execute(KILL[connection.vendor], [session])

    def attempt(
        self,
        scope: Callable[[], AbstractContextManager[None]],
        writes: tuple[Callable[[str], None], Callable[[str], None]],
        when: str,
        name: str,
    ) -> bool:
        """Two writes in one transaction, losing the connection; whether it was reported done."""
        if when == "before":
            connection.ensure_connection()
            self.kill()
        try:
            with scope():
                writes[0](name)
                if when == "inside":
                    self.kill()
                writes[1](name)
                if when == "at the end":
                    self.kill()
        except (Error, StormError):
            return False
        return True

    def test_a_killed_session_loses_the_transaction_and_nothing_else(self) -> None:
        ways = itertools.product(
            (commit_on_success, django_transaction.atomic, ImplicitTransaction),
            itertools.product((write_with_django, write_with_storm), repeat=2),
            ("before", "inside", "at the end"),
        )
        for number, (scope, writes, when) in enumerate(list(ways) * ROUNDS):
            name = f"row {number}"
            with self.subTest(scope=scope, writes=writes, when=when):
                done = self.attempt(scope, writes, when, name)
                self.assertFalse(done)
                self.assertFalse(transaction.manager.explicit)
                # The next transaction is none the wiser.
                self.assertTrue(self.attempt(scope, writes, "never", f"{name} again"))
                self.assertTrue(connection.get_autocommit())
                found = list(
                    Entry.objects.filter(name__startswith=name).values_list("name", flat=True)
                )
                self.assertEqual(found, [f"{name} again"] * 2)
                Entry.objects.all().delete()

    def test_a_new_connection_is_prepared_for_both_orms(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        before = connection.connection
        self.kill()
        with self.assertRaises((Error, StormError)), commit_on_success():
            write_with_storm("lost")
        with commit_on_success():
            write_with_storm("a")
            write_with_django("b")
        self.assertIsNot(connection.connection, before)
        self.assertIs(get_store()._connection._raw_connection._connection, connection.connection)
        self.assertEqual(Entry.objects.count(), 2)


class ClosedConnectionTest(TransactionTestCase):
    def test_storm_goes_on_after_django_has_closed_the_connection(self) -> None:
        write_with_storm("a")
        transaction.commit()
        for _ in range(3):
            connections.close_all()
            self.assertEqual(get_store().find(StormEntry).count(), 1)
            transaction.abort()

    def test_an_object_of_storm_is_read_again_on_the_new_connection(self) -> None:
        write_with_storm("a")
        transaction.commit()
        entry = get_store().find(StormEntry).one()
        transaction.commit()
        connection.close()
        Entry.objects.update(name="b")
        self.assertEqual(entry.name, "b")
        transaction.abort()

    def test_an_old_connection_is_closed_between_requests(self) -> None:
        get_store().execute("SELECT 1")
        transaction.commit()
        raw = connection.connection
        connection.close_at = 0
        connection.close_if_unusable_or_obsolete()
        get_store().execute("SELECT 1")
        transaction.abort()
        self.assertIsNot(connection.connection, raw)

    @skipUnlessDBFeature("has_select_for_update")
    def test_a_health_check_replaces_a_dead_connection_without_an_error(self) -> None:
        connection.ensure_connection()
        killer = connection.copy()
        self.addCleanup(killer.close)
        with connection.cursor() as cursor:
            cursor.execute(OWN_ID[connection.vendor])
            (session,) = cursor.fetchone()
        with killer.cursor() as cursor:
            cursor.execute(KILL[connection.vendor], [session])
        self.addCleanup(setattr, connection, "health_check_enabled", False)
        for write in (write_with_django, write_with_storm):
            connection.health_check_enabled = True
            connection.health_check_done = False
            with commit_on_success():
                write("a")
        self.assertEqual(Entry.objects.count(), 2)
