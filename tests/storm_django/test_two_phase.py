"""ZStorm's two-phase commit on the shared connection."""

from __future__ import annotations

from typing import Any

import transaction
from django.db import connection
from django.test import TransactionTestCase
from storm.zope.zstorm import global_zstorm

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from tests.txmiddleware.resource import Resource
from txmiddleware import commit_on_success


class Voter(Resource):
    """A resource that looks at what is prepared, and may refuse."""

    def __init__(self, refuses: bool) -> None:
        self.refuses = refuses
        self.prepared = -1

    def tpc_vote(self, txn: Any) -> None:
        other = connection.copy()
        with other.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_prepared_xacts")
            self.prepared = cursor.fetchone()[0]
        other.close()
        if self.refuses:
            raise ZeroDivisionError

    def sortKey(self) -> str:
        return "voter"


class TwoPhaseTest(TransactionTestCase):
    def setUp(self) -> None:
        if connection.vendor != "postgresql":
            self.skipTest("only the driver for PostgreSQL has the methods of two-phase commit")
        with connection.cursor() as cursor:
            cursor.execute("SHOW max_prepared_transactions")
            if cursor.fetchone()[0] == "0":
                self.skipTest("the server's max_prepared_transactions is 0")
        get_store()
        global_zstorm.set_default_tpc("main", True)
        self.addCleanup(global_zstorm._default_tpcs.pop, "main")

    def work(self, voter: Voter) -> None:
        with commit_on_success():
            transaction.get().join(voter)
            Entry.objects.create(name="django")
            get_store().add(StormEntry("storm"))

    def test_both_orms_are_prepared_before_anybody_votes_and_then_committed(self) -> None:
        voter = Voter(refuses=False)
        self.work(voter)
        self.assertEqual(voter.prepared, 1)
        self.assertEqual(Entry.objects.count(), 2)
        self.assertFalse(connection.in_atomic_block)

    def test_a_refusal_takes_both_back(self) -> None:
        voter = Voter(refuses=True)
        with self.assertRaises(ZeroDivisionError):
            self.work(voter)
        self.assertEqual(voter.prepared, 1)
        self.assertEqual(Entry.objects.count(), 0)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_prepared_xacts")
            self.assertEqual(cursor.fetchone()[0], 0)
        self.work(Voter(refuses=False))
        self.assertEqual(Entry.objects.count(), 2)
