"""Which connections of a store's database are shared, and what becomes of those that are not."""

from __future__ import annotations

import warnings

import transaction
from django.db import connection
from django.test import TransactionTestCase
from storm.exceptions import ClosedError
from storm.store import Store
from storm.zope.zstorm import global_zstorm

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from txmiddleware import commit_on_success


def raw(store: Store) -> object:
    """The driver's connection of a store."""
    return store._connection._raw_connection._connection


class BorrowingTest(TransactionTestCase):
    def setUp(self) -> None:
        self.store = get_store()
        self.addCleanup(self.forget)
        # Plain Storm calls ping(False) on a connection to MySQL.
        warned = warnings.catch_warnings()
        warned.__enter__()
        self.addCleanup(warned.__exit__, None, None, None)
        warnings.filterwarnings("ignore", "The reconnect parameter", DeprecationWarning)

    def forget(self) -> None:
        transaction.abort()
        if (store := global_zstorm._named.get("main")) is not None:
            global_zstorm.remove(store)

    def names(self) -> list[str]:
        return sorted(Entry.objects.values_list("name", flat=True))

    def test_a_connection_without_a_store_is_its_own(self) -> None:
        own = self.store.get_database().connect()
        self.addCleanup(own.close)
        self.assertIsNot(own._raw_connection._connection, raw(self.store))
        own.execute(
            "INSERT INTO tests_storm_django_entry (name, position, done) VALUES (?, 1, ?)",
            ("own", False),
        )
        self.assertEqual(self.names(), [])
        own.commit()
        self.assertEqual(self.names(), ["own"])
        self.assertFalse(connection.in_atomic_block)

    def test_a_second_store_of_the_database_is_plain(self) -> None:
        second = Store(self.store.get_database())
        self.addCleanup(second.close)
        self.assertIsNot(raw(second), raw(self.store))
        second.add(StormEntry("second"))
        second.flush()
        self.assertFalse(connection.in_atomic_block)
        second.rollback()
        self.assertEqual(self.names(), [])

    def test_a_removed_store_stays_in_the_transaction_that_it_is_in(self) -> None:
        with commit_on_success():
            entry = self.store.add(StormEntry("a"))
            global_zstorm.remove(self.store)
            entry.name = "changed after that"
        self.assertEqual(self.names(), ["changed after that"])

    def test_a_removed_store_has_then_a_connection_of_its_own(self) -> None:
        self.store.execute("SELECT 1")
        global_zstorm.remove(self.store)
        transaction.abort()
        self.store.add(StormEntry("a"))
        self.store.flush()
        self.addCleanup(self.store.close)
        self.assertIsNot(raw(self.store), connection.connection)
        self.store.rollback()
        self.assertEqual(self.names(), [])

    def test_a_closed_store_rolls_its_own_transaction_back(self) -> None:
        self.store.add(StormEntry("a"))
        self.store.flush()
        self.store.close()
        self.assertFalse(connection.in_atomic_block)
        self.assertEqual(self.names(), [])
        with self.assertRaises(ClosedError):
            self.store.execute("SELECT 1")

    def test_a_closed_store_leaves_the_transaction_of_others_alone(self) -> None:
        with commit_on_success():
            Entry.objects.create(name="django")
            self.store.close()
        self.assertEqual(self.names(), ["django"])


class EndTest(TransactionTestCase):
    """The store's own commit() and rollback() are what ends its part, as with plain ZStorm."""

    def setUp(self) -> None:
        self.store = get_store()
        self.calls: list[str] = []
        commit, rollback = self.store.commit, self.store.rollback
        self.store.commit = lambda: (self.calls.append("commit"), commit())
        self.store.rollback = lambda: (self.calls.append("rollback"), rollback())
        self.addCleanup(self.restore)

    def restore(self) -> None:
        del self.store.commit, self.store.rollback

    def test_a_replaced_commit_is_called_once(self) -> None:
        with commit_on_success():
            self.store.add(StormEntry("a"))
        self.assertEqual(self.calls, ["commit"])
        self.assertEqual(Entry.objects.count(), 1)

    def test_a_replaced_rollback_is_called_once(self) -> None:
        with self.assertRaises(ZeroDivisionError), commit_on_success():
            self.store.add(StormEntry("a"))
            _ = 1 / 0
        self.assertEqual(self.calls, ["rollback"])
        self.assertEqual(Entry.objects.count(), 0)

    def test_what_a_blocked_flush_left_is_committed(self) -> None:
        with commit_on_success():
            self.store.block_implicit_flushes()
            self.addCleanup(self.store.unblock_implicit_flushes)
            self.store.add(StormEntry("a"))
            Entry.objects.count()
        self.assertEqual(Entry.objects.count(), 1)


class ImplicitTest(TransactionTestCase):
    """Storm code without a scope."""

    def test_a_change_that_begins_the_transaction_is_kept(self) -> None:
        store = get_store()
        entry = store.add(StormEntry("a"))
        store.commit()
        for name in ("b", "c"):
            entry.name = name
            store.commit()  # the flush begins the transaction
            self.assertEqual(Entry.objects.get().name, name)

    def test_a_change_that_connects_is_kept(self) -> None:
        store = get_store()
        entry = store.add(StormEntry("a"))
        store.commit()
        connection.close()
        entry.name = "b"
        store.commit()
        self.assertEqual(Entry.objects.get().name, "b")

    def test_a_commit_that_django_would_turn_into_a_rollback_is_refused(self) -> None:
        store = get_store()
        store.add(StormEntry("a"))
        connection.set_rollback(True)
        with self.assertRaisesMessage(Exception, "asks for a rollback"):
            store.commit()
        store.rollback()
        self.assertEqual(Entry.objects.count(), 0)
