"""A site that has switched on ``transaction.manager.explicit``: only ``begin()`` begins."""

from __future__ import annotations

import transaction
from django.db.transaction import TransactionManagementError, atomic
from django.test import TransactionTestCase
from transaction import TransactionManager
from transaction.interfaces import ISynchronizer
from zope.interface import implementer

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from txmiddleware import commit_on_success, is_managed, on_abort, on_commit


@implementer(ISynchronizer)
class Synchronizer:
    """Wants to know of each transaction."""

    def beforeCompletion(self, txn: object) -> None: ...

    def afterCompletion(self, txn: object) -> None: ...

    def newTransaction(self, txn: object) -> None: ...


class ExplicitModeTest(TransactionTestCase):
    def setUp(self) -> None:
        manager: TransactionManager = transaction.manager
        transaction.abort()
        self.addCleanup(setattr, manager, "explicit", False)
        manager.explicit = True

    def write(self) -> None:
        self.assertFalse(is_managed())
        Entry.objects.create(name="django")
        get_store().add(StormEntry("storm"))
        get_store().flush()
        transaction.get()

    def test_a_block_on_a_store_begins_for_both_orms(self) -> None:
        with atomic():
            self.write()
        with self.assertRaises(ZeroDivisionError), atomic():
            self.write()
            _ = 1 / 0
        self.assertTrue(transaction.manager.explicit)
        self.assertEqual(Entry.objects.count(), 2)

    def test_it_does_also_where_others_want_to_know(self) -> None:
        synchronizer = Synchronizer()
        transaction.manager.registerSynch(synchronizer)
        self.addCleanup(transaction.manager.unregisterSynch, synchronizer)
        with atomic():
            self.write()
        self.assertTrue(transaction.manager.explicit)
        self.assertEqual(Entry.objects.count(), 2)

    def test_without_a_transaction_on_commit_runs_at_once(self) -> None:
        ran: list[str] = []
        on_commit(lambda: ran.append("commit"))
        on_abort(lambda: ran.append("abort"))
        self.assertEqual(ran, ["commit"])
        with commit_on_success():
            on_commit(lambda: ran.append("later"))
            self.assertEqual(ran, ["commit"])
        self.assertEqual(ran, ["commit", "later"])

    def test_storm_alone_is_told_to_begin(self) -> None:
        with self.assertRaisesMessage(TransactionManagementError, "explicit is on"):
            get_store().execute("SELECT 1")

    def test_an_abort_inside_of_a_block_is_still_told_as_such(self) -> None:
        with self.assertRaisesMessage(TransactionManagementError, "abort() was called"), atomic():
            transaction.get()
            transaction.abort()
            on_commit(lambda: None)
