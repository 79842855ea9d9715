"""How an outermost block ends: what is flushed then, what is refused, what runs afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import transaction
from django.db import DatabaseError, connection
from django.db.transaction import TransactionManagementError, atomic, rollback, set_autocommit
from django.db.transaction import on_commit as django_on_commit
from django.test import TransactionTestCase
from storm.exceptions import IntegrityError

from storm_django import get_store
from storm_django.signals import saved
from tests.storm_django.models import Entry, StormEntry, Unique
from tests.storm_django.test_signals import StormUnique
from txmiddleware import commit_on_success, is_managed, on_abort, on_commit

BLOCKS: tuple[Callable[[], Any], ...] = (atomic, commit_on_success)


def committed() -> list[str]:
    """What another thread, which has a connection of its own, sees."""
    found: list[str] = []

    def look() -> None:
        found.extend(Entry.objects.order_by("name").values_list("name", flat=True))
        connection.close()

    if connection.vendor == "sqlite":  # in memory: shared with nobody
        look_here = Entry.objects.order_by("name").values_list("name", flat=True)
        assert not connection.in_atomic_block
        return list(look_here)
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found


class EndTest(TransactionTestCase):
    def setUp(self) -> None:
        self.events: list[str] = []
        self.addCleanup(transaction.abort)

    def note(self, event: str) -> Callable[[], None]:
        def callback() -> None:
            self.assertFalse(connection.in_atomic_block or is_managed(), event)
            self.events.append(event)

        return callback

    def receive(self, receivers: dict[str, Callable[[], Any]]) -> None:
        """Have a row of each name, when Storm has saved it, call something."""

        def receiver(instance: Any, **kwargs: Any) -> None:
            receivers.get(instance.name, lambda: None)()

        saved.connect(receiver, sender=StormEntry)
        self.addCleanup(saved.disconnect, receiver, sender=StormEntry)

    def test_what_waits_for_a_commit_that_fails_never_runs(self) -> None:
        def duplicate() -> None:
            get_store().add(StormUnique(1))

        def broken_hook() -> None:
            transaction.get().addBeforeCommitHook(lambda: 1 / 0)

        Unique.objects.create(value=1)
        for block in BLOCKS:
            for breaks, error in ((duplicate, IntegrityError), (broken_hook, ZeroDivisionError)):
                with self.subTest(block=block, breaks=breaks):
                    self.events.clear()
                    with self.assertRaises(error), block():
                        Entry.objects.create(name="gone")
                        django_on_commit(self.note("committed, Django"))
                        on_commit(self.note("committed"))
                        on_abort(self.note("aborted"))
                        breaks()
                    self.assertEqual(self.events, ["aborted"])
                    with block():
                        Entry.objects.create(name="next")
                    self.assertEqual(self.events, ["aborted"])
                    self.assertEqual(committed(), ["next"])
                    Entry.objects.all().delete()

    def test_a_commit_by_hand_that_is_refused_runs_nothing(self) -> None:
        connection.set_autocommit(False)
        try:
            with atomic():
                Entry.objects.create(name="gone")
                django_on_commit(self.note("committed"))
            with self.assertRaises(ZeroDivisionError), commit_on_success():
                raise ZeroDivisionError
            with self.assertRaisesMessage(TransactionManagementError, "doomed"):
                connection.commit()
        finally:
            connection.set_autocommit(True)
        self.assertEqual(self.events, [])
        if connection.vendor != "sqlite":  # whose driver lets the end of a savepoint commit here
            self.assertEqual(committed(), [])

    def test_each_commit_by_hand_runs_its_callbacks(self) -> None:
        connection.set_autocommit(False)
        try:
            for name in ("first", "second"):
                get_store().add(StormEntry(name))
                on_commit(self.note(name))
                connection.commit()
        finally:
            connection.set_autocommit(True)
        self.assertEqual(self.events, ["first", "second"])

    def test_a_callback_of_django_may_have_a_block_of_its_own(self) -> None:
        def another() -> None:
            with atomic():
                get_store().add(StormEntry("another"))
                on_commit(self.note("inner"))

        with atomic():
            get_store().add(StormEntry("one"))
            on_commit(self.note("outer"))
            django_on_commit(another)
        self.assertCountEqual(self.events, ["outer", "inner"])
        self.assertEqual(committed(), ["another", "one"])

    def test_a_receiver_that_the_last_flush_calls_is_inside_of_the_block(self) -> None:
        def use() -> None:
            self.assertTrue(connection.in_atomic_block)
            django_on_commit(self.note("committed, Django"))
            on_commit(self.note("committed"))
            transaction.get().addBeforeCommitHook(self.events.append, args=("before",))
            with self.assertRaises(ZeroDivisionError), atomic():
                Entry.objects.create(name="undone")
                raise ZeroDivisionError
            with atomic():
                Entry.objects.create(name="by the receiver")

        self.receive({"first": use})
        for block in BLOCKS:
            with self.subTest(block=block):
                self.events.clear()
                with block():
                    get_store().add(StormEntry("first"))
                self.assertEqual(self.events[0], "before")
                self.assertCountEqual(self.events[1:], ["committed, Django", "committed"])
                self.assertEqual(committed(), ["by the receiver", "first"])
                Entry.objects.all().delete()

    def test_a_receiver_can_doom(self) -> None:
        self.receive({"first": transaction.doom})
        for block in BLOCKS:
            with (
                self.subTest(block=block),
                self.assertRaisesMessage(TransactionManagementError, "doomed"),
                block(),
            ):
                Entry.objects.create(name="gone")
                get_store().add(StormEntry("first"))
        self.assertEqual(committed(), [])

    def test_what_a_receiver_changes_is_flushed_before_anything_is_committed(self) -> None:
        def audit() -> None:
            get_store().add(StormEntry("audit"))

        def use() -> None:
            on_commit(self.note("committed"))
            get_store().add(StormEntry("last"))

        self.receive({"first": audit, "audit": use})
        for block in BLOCKS:
            with self.subTest(block=block):
                self.events.clear()
                with block():
                    get_store().add(StormEntry("first"))
                self.assertEqual(self.events, ["committed"])
                for name in ("later", "latest"):
                    with block():
                        Entry.objects.create(name=name)
                self.assertEqual(committed(), ["audit", "first", "last", "later", "latest"])
                Entry.objects.all().delete()

    def test_who_joins_while_the_only_database_commits_is_committed_too(self) -> None:
        store = get_store()

        def commit() -> None:  # as applications do that learn of the end by it
            on_commit(self.note("committed"))
            type(store).commit(store)

        store.commit = commit
        self.addCleanup(store.__dict__.pop, "commit", None)
        with commit_on_success():
            store.add(StormEntry("first"))
        del store.commit
        self.assertEqual(self.events, ["committed"])
        with commit_on_success():
            Entry.objects.create(name="later")
        self.assertEqual(committed(), ["first", "later"])


class FreeAgainTest(TransactionTestCase):
    """What comes after a block, or a commit, finds the connection free."""

    def setUp(self) -> None:
        self.addCleanup(transaction.abort)

    def fails(self) -> None:
        """A scope that leaves nothing behind."""
        with suppress(ZeroDivisionError), commit_on_success():
            Entry.objects.create(name="gone")
            get_store().add(StormEntry("gone too"))
            get_store().flush()
            raise ZeroDivisionError

    def test_after_a_block_that_lost_its_connection(self) -> None:
        if connection.vendor == "sqlite" and connection.is_in_memory_db():
            self.skipTest("a database in memory is never closed")
        for block in BLOCKS:
            with self.subTest(block.__name__):
                with suppress(TransactionManagementError), block():
                    Entry.objects.create(name="lost")
                    connection.close()
                self.fails()
                self.assertEqual(committed(), [])

    def test_in_a_callback_of_the_stores_own_commit(self) -> None:
        for fails in (self.fails, self.roll_back):
            with self.subTest(fails.__name__):
                get_store().add(StormEntry("a"))
                get_store().flush()
                django_on_commit(fails)
                get_store().commit()
                self.assertTrue(connection.get_autocommit())
                self.assertEqual(committed(), ["a"])
                Entry.objects.all().delete()

    def roll_back(self) -> None:
        get_store().add(StormEntry("gone"))
        get_store().flush()
        get_store().rollback()

    def test_after_autocommit_was_switched_on_without_a_commit(self) -> None:
        set_autocommit(False)
        Entry.objects.create(name="by the driver")
        with suppress(DatabaseError):  # PostgreSQL's driver refuses, the others commit
            set_autocommit(True)
        Entry.objects.all().delete()
        self.fails()
        self.assertEqual(committed(), [])
        self.assertFalse(is_managed())

    def test_autocommit_cant_be_switched_on_in_a_transaction_of_both(self) -> None:
        set_autocommit(False)
        Entry.objects.create(name="a")
        get_store().add(StormEntry("b"))
        get_store().flush()
        with self.assertRaisesMessage(TransactionManagementError, "rollback() first"):
            set_autocommit(True)
        rollback()
        set_autocommit(True)
        self.fails()
        self.assertEqual(committed(), [])
