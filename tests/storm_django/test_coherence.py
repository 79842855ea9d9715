"""Each ORM sees the other's work in the same transaction, with no call by the application."""

from __future__ import annotations

import transaction
from django.db import connection
from django.db import transaction as django_transaction
from django.db.models import F
from django.test import TransactionTestCase
from storm.exceptions import LostObjectError

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from txmiddleware import commit_on_success


class CoherenceTest(TransactionTestCase):
    def setUp(self) -> None:
        self.store = get_store()
        scope = commit_on_success()
        scope.__enter__()
        self.addCleanup(scope.__exit__, None, None, None)

    def storm(self, name: str = "a", position: int = 0) -> StormEntry:
        return self.store.add(StormEntry(name, position))

    def test_djangos_reads_see_what_storm_has_pending(self) -> None:
        self.storm("a", 1)
        self.assertEqual(Entry.objects.get().position, 1)
        self.storm("b")
        self.assertTrue(Entry.objects.filter(name="b").exists())
        self.storm("c")
        self.assertEqual(Entry.objects.count(), 3)
        self.storm("d")
        self.assertEqual(len(list(Entry.objects.iterator())), 4)
        self.storm("e")
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {Entry._meta.db_table}")
            self.assertEqual(cursor.fetchone()[0], 5)
            self.storm("f")
            cursor.execute(f"SELECT count(*) FROM {Entry._meta.db_table}")
            self.assertEqual(cursor.fetchone()[0], 6)

    def test_storm_sees_what_django_wrote(self) -> None:
        entry = self.storm("a", 1)
        self.store.flush()
        row = Entry.objects.get()
        row.position = 2
        row.save()
        self.assertEqual(entry.position, 2)
        Entry.objects.update(position=F("position") + 1)
        self.assertEqual(entry.position, 3)
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE {Entry._meta.db_table} SET position = %s", [4])
        self.assertEqual(entry.position, 4)
        row.position = 5
        Entry.objects.bulk_update([row], ["position"])
        self.assertEqual(entry.position, 5)

    def test_a_row_that_django_deleted_is_lost(self) -> None:
        entry = self.storm()
        self.store.flush()
        key = entry.id
        Entry.objects.all().delete()
        with self.assertRaises(LostObjectError):
            entry.name  # noqa: B018
        self.assertIsNone(self.store.get(StormEntry, key))

    def test_what_storm_has_changed_is_not_thrown_away(self) -> None:
        entry = self.storm("a", 1)
        self.store.flush()
        entry.name = "changed"
        Entry.objects.update(position=9)
        self.assertEqual((entry.name, entry.position), ("changed", 9))
        self.assertEqual(Entry.objects.get().name, "changed")

    def test_a_rollback_to_a_savepoint_takes_both_back(self) -> None:
        kept = self.storm("kept", 1)
        with self.assertRaises(ZeroDivisionError), django_transaction.atomic():
            gone = self.storm("gone")
            Entry.objects.filter(name="kept").update(position=2)
            self.assertEqual(kept.position, 2)
            kept.name = "changed"
            _ = 1 / 0
        self.assertEqual((kept.name, kept.position), ("kept", 1))
        self.assertEqual([entry.name for entry in Entry.objects.all()], ["kept"])
        self.assertEqual(self.store.find(StormEntry, name="gone").count(), 0)
        self.assertIsNotNone(gone)

    def test_a_savepoint_of_zope_takes_both_back(self) -> None:
        kept = self.storm("kept", 1)
        savepoint = transaction.savepoint()
        self.storm("gone")
        Entry.objects.create(name="gone too")
        kept.position = 2
        savepoint.rollback()
        self.assertEqual([entry.name for entry in Entry.objects.all()], ["kept"])
        self.assertEqual(kept.position, 1)

    def test_storm_can_block_the_flush(self) -> None:
        self.store.block_implicit_flushes()
        self.storm()
        self.assertEqual(Entry.objects.count(), 0)
        self.store.unblock_implicit_flushes()
        self.assertEqual(Entry.objects.count(), 1)
