"""An outermost ``atomic()`` block is alone with Django until somebody asks for the transaction."""

from __future__ import annotations

import threading
from typing import Any

import transaction
from django.db import connection, connections
from django.db.transaction import TransactionManagementError, atomic
from django.test import TransactionTestCase
from transaction.interfaces import AlreadyInTransaction

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from txmiddleware import commit_on_success


class Synchronizer:
    """Notes which transactions there are (``ISynchronizer``)."""

    def __init__(self) -> None:
        self.completed = 0

    def newTransaction(self, txn: Any) -> None:
        pass

    def beforeCompletion(self, txn: Any) -> None:
        pass

    def afterCompletion(self, txn: Any) -> None:
        self.completed += 1


class BlockTest(TransactionTestCase):
    def setUp(self) -> None:
        self.addCleanup(transaction.abort)

    def names(self) -> list[str]:
        return sorted(Entry.objects.values_list("name", flat=True))

    def test_a_block_of_django_alone_makes_no_zope_transaction(self) -> None:
        for block in (atomic, commit_on_success):
            with block():
                Entry.objects.create(name="django")
                with atomic():
                    Entry.objects.create(name="inner")
                self.assertIsNone(transaction.manager.manager._txn)
        self.assertEqual(self.names(), ["django", "django", "inner", "inner"])

    def test_a_synchronizer_is_told_of_each_transaction(self) -> None:
        synchronizer = Synchronizer()
        transaction.manager.registerSynch(synchronizer)
        self.addCleanup(transaction.manager.unregisterSynch, synchronizer)
        for number, block in enumerate((atomic, commit_on_success), start=1):
            with block():
                Entry.objects.create(name="django")
            self.assertEqual(synchronizer.completed, number)

    def test_the_transaction_that_somebody_asks_for_is_the_blocks(self) -> None:
        with self.assertRaisesMessage(TransactionManagementError, "doomed"), atomic():
            Entry.objects.create(name="gone")
            transaction.doom()
        self.assertEqual(self.names(), [])

    def test_commit_begin_and_abort_inside_are_noticed(self) -> None:
        refused = (
            (transaction.commit, TransactionManagementError),
            (transaction.begin, AlreadyInTransaction),
            (transaction.abort, TransactionManagementError),  # where the block ends
        )
        for call, error in refused:
            with self.assertRaises(error), atomic():
                Entry.objects.create(name="gone")
                call()
        self.assertEqual(self.names(), [])

    def test_what_storm_does_late_in_a_block_is_a_part_of_it(self) -> None:
        with atomic():
            Entry.objects.create(name="django")
            get_store().add(StormEntry("storm"))
        self.assertEqual(self.names(), ["django", "storm"])
        with self.assertRaises(ZeroDivisionError), atomic():
            Entry.objects.create(name="gone")
            get_store().add(StormEntry("gone too"))
            raise ZeroDivisionError
        self.assertEqual(self.names(), ["django", "storm"])

    def test_a_savepoint_of_the_transaction_inside_a_block_undoes_what_came_after(self) -> None:
        with atomic():
            Entry.objects.create(name="kept")
            savepoint = transaction.savepoint()
            Entry.objects.create(name="gone")
            savepoint.rollback()
        self.assertEqual(self.names(), ["kept"])

    def test_a_scope_inside_a_block_takes_part_in_it(self) -> None:
        with self.assertRaisesMessage(TransactionManagementError, "doomed"), atomic():
            Entry.objects.create(name="gone")
            try:
                with commit_on_success():
                    raise ZeroDivisionError
            except ZeroDivisionError:
                pass
        self.assertEqual(self.names(), [])

    def test_a_block_whose_connection_was_closed_leaves_the_thread_usable(self) -> None:
        with atomic():
            Entry.objects.create(name="gone")
            connection.close()
        with commit_on_success():
            Entry.objects.create(name="later")
        self.assertIsNone(transaction.manager.manager._txn)
        self.assertEqual(self.names(), ["later"])

    def test_a_block_and_its_end_may_be_in_two_threads(self) -> None:
        shared = connections["default"]

        def use() -> None:
            connections["default"] = shared
            get_store().add(StormEntry("other thread"))
            get_store().flush()

        shared.inc_thread_sharing()
        self.addCleanup(shared.dec_thread_sharing)
        with atomic():
            Entry.objects.create(name="this thread")
            thread = threading.Thread(target=use)
            thread.start()
            thread.join()
            self.assertEqual(self.names(), ["other thread", "this thread"])
            transaction.doom()
            connection.set_rollback(True)
        self.assertEqual(self.names(), [])
        with commit_on_success():  # this thread's manager is as before
            Entry.objects.create(name="later")
        self.assertEqual(self.names(), ["later"])
