"""Each ORM sees the other's work in the same transaction, with no call by the application."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import transaction
from django.db import DatabaseError, IntegrityError, connection
from django.db import transaction as django_transaction
from django.db.models import F
from django.test import TransactionTestCase
from storm.exceptions import IntegrityError as StormIntegrityError
from storm.exceptions import LostObjectError
from storm.expr import SQL
from storm.tracer import install_tracer, remove_tracer

from storm_django import get_store
from tests.storm_django.boxes import Box, Item, StormBox, StormCount, StormItem
from tests.storm_django.models import Entry, StormEntry
from txmiddleware import commit_on_success


class StormsStatements:
    """A tracer of Storm's that keeps the statements."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def connection_raw_execute(
        self, connection: Any, raw_cursor: Any, statement: str, params: Any
    ) -> None:
        self.seen.append(statement)


@contextmanager
def storms_statements() -> Iterator[list[str]]:
    """What Storm executes inside of the block."""
    tracer = StormsStatements()
    install_tracer(tracer)
    try:
        yield tracer.seen
    finally:
        remove_tracer(tracer)


class ScopeTestCase(TransactionTestCase):
    """Each test is in a transaction, which the test commits."""

    def setUp(self) -> None:
        self.store = get_store()
        scope = commit_on_success()
        scope.__enter__()
        self.addCleanup(scope.__exit__, None, None, None)

    def raw(self, sql: str, *params: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql, params or None)

    def storm(self, name: str = "a", position: int = 0) -> StormEntry:
        return self.store.add(StormEntry(name, position))


class CoherenceTest(ScopeTestCase):
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

    def test_a_document_that_was_changed_in_place_is_sent(self) -> None:
        Item.objects.create(pk=1, name="a")
        item = self.store.get(StormItem, 1)
        item.bag = [1]
        self.store.flush()
        item.bag.append(2)
        with storms_statements() as seen:
            Item.objects.update(count=3)
        self.assertEqual(len(seen), 1)
        self.assertEqual((item.bag, item.count), ([1, 2], 3))

    def test_an_object_shows_what_any_form_of_write_of_django_wrote(self) -> None:
        entry = self.storm("a", 1)
        self.store.flush()
        table, key = Entry._meta.db_table, entry.id
        target = connection.features.supports_update_conflicts_with_target
        upsert = {
            "update_conflicts": True,
            "update_fields": ["position"],
            "unique_fields": ["pk"] if target else None,
        }
        for number, write in enumerate(
            [
                lambda n: Entry(pk=key, name="b", position=n).save(),
                lambda n: Entry.objects.bulk_create([Entry(pk=key, position=n)], **upsert),
                lambda n: Entry.objects.update_or_create(pk=key, defaults={"position": n}),
                lambda n: self.raw(f"/* why */ UPDATE {table} SET position = %s", n),
                lambda n: self.raw(f"UPDATE {table} SET position = {n}, id = id"),
                lambda n: connection.cursor().executemany(
                    f"UPDATE {table} SET position = %s WHERE id = %s", [(0, -1), (n, key)]
                ),
                lambda n: Entry.objects.filter(pk__in=[key, key + 1]).update(position=n),
            ],
            start=10,
        ):
            with self.subTest(number):
                write(number)
                self.assertEqual(entry.position, number)

    def test_all_classes_of_a_table_see_an_update(self) -> None:
        Item.objects.create(pk=1, name="a", count=1)
        item, count = self.store.get(StormItem, 1), self.store.get(StormCount, 1)
        Item.objects.update(count=2)
        self.assertEqual((item.count, count.count), (2, 2))

    def test_a_row_whose_key_django_changed_is_lost_and_found(self) -> None:
        entry = self.storm("a", 1)
        self.store.flush()
        key = entry.id
        Entry.objects.update(id=key + 1)
        self.assertIsNone(self.store.get(StormEntry, key))
        with self.assertRaises(LostObjectError):
            entry.name  # noqa: B018
        with self.assertRaises(LostObjectError):
            entry.name = "b"
        self.assertEqual(self.store.get(StormEntry, key + 1).name, "a")

    def test_what_goes_with_a_deleted_row_is_lost(self) -> None:
        box = Box.objects.create(label="a")
        item = Item.objects.create(box=box, name="b")
        held = self.store.get(StormItem, item.pk)
        box.delete()
        with self.assertRaises(LostObjectError):
            held.name  # noqa: B018

    def test_a_lost_object_does_not_take_the_row_of_another(self) -> None:
        former = self.storm("a")
        self.store.flush()
        key = former.id
        Entry.objects.all().delete()
        entry = self.storm("b")
        entry.id = key
        self.store.flush()
        with self.assertRaises(LostObjectError):
            former.name  # noqa: B018
        Entry.objects.update(name="c")
        self.assertEqual(entry.name, "c")
        with self.assertRaises(LostObjectError):
            former.name = "d"
        self.assertIs(self.store.get(StormEntry, key), entry)

    def test_so_is_one_whose_key_may_not_be_none(self) -> None:
        former = self.store.get(StormBox, Box.objects.create(pk=1, label="a").pk)
        Box.objects.all().delete()
        box = self.store.add(StormBox())
        box.id, box.label, box.weight = 1, "b", 1
        self.store.flush()
        with self.assertRaises(LostObjectError):
            former.label  # noqa: B018
        self.assertEqual(box.label, "b")

    def test_a_result_does_not_show_what_was_before_django_wrote(self) -> None:
        for number in range(30):
            Entry.objects.create(name="a", position=number)
        found = self.store.find(StormEntry).order_by(StormEntry.position)
        seen = []
        for entry in found:
            if not seen:
                Entry.objects.update(name="b")
                Entry.objects.filter(position=29).delete()
            try:
                seen.append(entry.name)
            except LostObjectError:
                seen.append("lost")
        self.assertEqual(seen[:29], ["b"] * 29)
        self.assertIn(seen[29:], ([], ["lost"]))  # SQLite does not even give the row

    def test_two_attributes_of_two_orms_are_both_kept(self) -> None:
        entry = self.storm("a", 1)
        self.store.flush()
        entry.name = "storm"
        Entry.objects.filter(pk=entry.id).update(position=2)
        entry.done = True
        self.assertEqual(
            Entry.objects.values_list("name", "position", "done").get(), ("storm", 2, True)
        )
        self.assertEqual((entry.name, entry.position, entry.done), ("storm", 2, True))

    def test_the_last_of_two_writes_counts(self) -> None:
        entry = self.storm("a", 1)
        self.store.flush()
        entry.position = 2
        Entry.objects.update(position=3)
        self.assertEqual(entry.position, 3)
        Entry.objects.update(position=4)
        entry.position = 5
        self.assertEqual(Entry.objects.get().position, 5)
        entry.position = SQL("position + 1")
        Entry.objects.update(position=F("position") * 2)
        self.assertEqual(entry.position, 12)
        Entry.objects.update(position=F("position") * 2)
        entry.position = SQL("position + 1")
        self.assertEqual(entry.position, 25)

    def test_the_same_key_is_refused_to_the_second(self) -> None:
        entry = self.storm("a")
        entry.id = 77
        with self.assertRaises(IntegrityError), django_transaction.atomic():
            Entry.objects.create(pk=77, name="b")
        self.assertEqual(Entry.objects.get().name, "a")
        Entry.objects.create(pk=78, name="b")
        with self.assertRaises(StormIntegrityError), django_transaction.atomic():
            Entry.objects.update(name="c")
            self.storm("c").id = 78
        self.assertEqual(Entry.objects.get(pk=78).name, "b")
        self.assertEqual(entry.name, "a")

    def test_what_is_to_be_removed_is_gone_for_django(self) -> None:
        entry = self.storm("a")
        self.store.flush()
        self.store.remove(entry)
        self.assertFalse(Entry.objects.exists())
        self.assertEqual(Entry.objects.update(name="b"), 0)

    def test_copy_sees_what_is_pending(self) -> None:
        if connection.vendor != "postgresql":
            self.skipTest("COPY is PostgreSQL's.")
        table = Entry._meta.db_table
        for debug in (False, True):
            connection.force_debug_cursor = debug
            self.addCleanup(setattr, connection, "force_debug_cursor", False)
            for number, method in enumerate(["copy_expert", "copy_to"]):
                with self.subTest(method=method, debug=debug), connection.cursor() as cursor:
                    entry = self.storm("a")
                    sql = f"COPY {table} TO STDOUT" if method == "copy_expert" else ""
                    file = io.StringIO()
                    args = (sql, file) if sql else (file, table)
                    getattr(cursor, method)(*args)
                    self.assertEqual(len(file.getvalue().splitlines()), 1 + number + 2 * debug)
                    self.assertEqual(entry.name, "a")

    def test_references_follow_django(self) -> None:
        for key in (1, 2):
            Box.objects.create(pk=key, label=f"box {key}")
        Item.objects.create(pk=1, box_id=1, name="a")
        item = self.store.get(StormItem, 1)
        one, two = (self.store.get(StormBox, key) for key in (1, 2))
        self.assertIs(item.box, one)
        Item.objects.update(box=2)
        self.assertIs(item.box, two)
        self.assertEqual((list(one.items), list(two.items)), ([], [item]))
        item.box = one
        self.assertEqual(Item.objects.get().box_id, 1)
        Item.objects.update(box=None)
        self.assertIsNone(item.box)
        item.box = two
        Box.objects.filter(pk=1).delete()
        self.assertIs(item.box, two)
        Box.objects.filter(pk=2).update(label="new")
        self.assertEqual(item.box.label, "new")

    def test_a_hook_of_an_invalidated_object_is_told_once(self) -> None:
        told = []

        class Told(StormEntry):
            def __storm_invalidated__(self) -> None:
                told.append(self.id)

        row = Entry.objects.create(name="a")
        entry = self.store.get(Told, row.pk)
        row.save()
        self.assertEqual(told, [entry.id])
        Entry.objects.create(name="b")
        self.assertEqual(told, [entry.id])

    def test_a_statement_that_fails_loses_nothing(self) -> None:
        entry = self.storm("a", 1)
        self.store.flush()
        entry.position = 2
        with self.assertRaises(DatabaseError), django_transaction.atomic():
            self.raw("UPDATE no_such_table SET a = 1")
        self.assertEqual((entry.position, Entry.objects.get().position), (2, 2))

    def test_rows_that_a_failed_batch_had_changed_are_shown(self) -> None:
        if connection.vendor == "postgresql":
            self.skipTest("PostgreSQL aborts the transaction.")
        entry = self.storm("a", 1)
        self.store.flush()
        table = Entry._meta.db_table
        with self.assertRaises(DatabaseError), connection.cursor() as cursor:
            cursor.executemany(f"UPDATE {table} SET position = %s", [(2,), (None,)])
        self.assertEqual(entry.position, 2)


class SavepointTest(ScopeTestCase):
    def test_a_savepoint_in_raw_sql_takes_both_back(self) -> None:
        entry = self.storm("a", 1)
        self.raw("SAVEPOINT mine")
        entry.name = "b"
        Entry.objects.update(position=2)
        gone = self.storm("gone")
        self.store.flush()
        pending = self.storm("pending")
        entry.position = 3
        self.raw("ROLLBACK TO SAVEPOINT mine")
        self.assertEqual((entry.name, entry.position), ("a", 1))
        self.assertEqual(Entry.objects.count(), 1)
        with self.assertRaises(LostObjectError):
            gone.name  # noqa: B018
        self.assertIsNone(self.store.of(pending))

    def test_the_way_back_is_open_after_an_error(self) -> None:
        entry = self.storm("a", 1)
        self.raw("SAVEPOINT mine")
        with self.assertRaises(DatabaseError):
            self.raw("SELECT no_such_column")
        entry.position = 2  # can't be sent now, on PostgreSQL
        self.raw("rollback to mine")
        self.assertEqual((entry.position, Entry.objects.get().position), (1, 1))

    def test_a_rollback_that_fails_takes_nothing_back(self) -> None:
        if connection.vendor == "postgresql":
            self.skipTest("PostgreSQL aborts the transaction.")
        entry = self.storm("a", 1)
        self.store.flush()
        entry.position = 2
        with self.assertRaises(DatabaseError):
            self.raw("ROLLBACK TO SAVEPOINT nowhere")
        self.assertEqual(Entry.objects.get().position, 2)
        self.assertEqual(entry.position, 2)

    def test_what_was_pending_before_a_savepoint_survives_it(self) -> None:
        entry = self.storm("a", 1)
        self.store.block_implicit_flushes()
        self.addCleanup(self.store.unblock_implicit_flushes)
        with self.assertRaises(ZeroDivisionError), django_transaction.atomic():
            _ = 1 / 0
        self.assertEqual(Entry.objects.get().name, "a")
        self.assertEqual(entry.name, "a")

    def test_a_scope_that_is_a_savepoint_takes_both_back(self) -> None:
        entry = self.storm("a", 1)
        with self.assertRaises(ZeroDivisionError), commit_on_success(savepoint=True):
            entry.position = 2
            Entry.objects.update(name="b")
            _ = 1 / 0
        self.assertEqual((entry.name, entry.position), ("a", 1))


class BlockedTest(ScopeTestCase):
    """``Store.block_implicit_flushes()``"""

    def setUp(self) -> None:
        super().setUp()
        self.entry = self.storm("a", 1)
        self.store.flush()
        self.store.block_implicit_flushes()

    def unblock(self) -> None:
        self.store.unblock_implicit_flushes()

    def test_djangos_statements_do_not_flush(self) -> None:
        self.storm("b")
        self.assertEqual(Entry.objects.count(), 1)
        self.unblock()
        self.assertEqual(Entry.objects.count(), 2)

    def test_what_is_pending_stays_when_django_writes(self) -> None:
        self.entry.name = "b"
        Entry.objects.update(name="c", position=2)
        self.raw(f"DELETE FROM {Entry._meta.db_table} WHERE id = -1")
        self.raw("/* */ SELECT 1")
        self.assertEqual((self.entry.name, self.entry.position), ("b", 2))
        self.unblock()
        self.assertEqual(Entry.objects.values_list("name", "position").get(), ("b", 2))

    def test_an_expression_stays_too(self) -> None:
        self.entry.position = SQL("position + 1")
        Entry.objects.update(position=5)
        self.unblock()
        self.assertEqual(self.entry.position, 6)

    def test_what_is_to_be_removed_keeps_its_values(self) -> None:
        self.store.remove(self.entry)
        Entry.objects.update(position=5)
        self.assertEqual((self.entry.name, self.entry.position), ("a", 1))
        self.unblock()
        self.assertFalse(Entry.objects.exists())


class CostTest(ScopeTestCase):
    """No statement that one would not have written by hand."""

    def setUp(self) -> None:
        super().setUp()
        for number in range(3):
            self.storm("a", number)
        self.store.flush()
        self.entries = list(self.store.find(StormEntry).order_by(StormEntry.position))
        self.box = self.store.add(StormBox())
        self.box.label, self.box.weight = "box", 1
        self.store.flush()

    def touch(self) -> int:
        """How many statements it takes to show all that is held."""
        with storms_statements() as seen:
            for entry in self.entries:
                self.assertEqual(entry.name, "a")
                self.assertIs(self.store.get(StormEntry, entry.id), entry)
            self.assertEqual(self.box.label, "box")
        return len(seen)

    def test_reads_and_inserts_invalidate_nothing(self) -> None:
        self.assertEqual(Entry.objects.filter(name__icontains="A").count(), 3)
        self.assertTrue(Entry.objects.filter(pk=self.entries[0].id).exists())
        Entry.objects.create(name="b")
        Entry.objects.bulk_create([Entry(name="b"), Entry(name="c")])
        Entry.objects.bulk_create([Entry(pk=self.entries[0].id)], ignore_conflicts=True)
        with django_transaction.atomic():
            list(Box.objects.all())
        self.assertEqual(self.touch(), 0)

    def test_a_row_that_is_saved_is_read_again_and_no_other(self) -> None:
        Entry.objects.get(pk=self.entries[1].id).save()
        self.assertEqual(self.touch(), 1)
        Entry.objects.filter(pk__in=[entry.id for entry in self.entries[1:]]).update(position=3)
        self.assertEqual(self.touch(), 2)
        rows = list(Entry.objects.filter(pk=self.entries[0].id))
        Entry.objects.bulk_update(rows, ["position"])
        self.assertEqual(self.touch(), 1)

    def test_an_update_reads_again_what_is_of_its_table(self) -> None:
        Entry.objects.filter(position__gte=0).update(position=7)
        self.assertEqual(self.touch(), 3)
        Box.objects.update(weight=2)
        self.assertEqual(self.touch(), 1)
        self.raw(f"UPDATE {Item._meta.db_table} SET count = 3")
        self.assertEqual(self.touch(), 0)

    def test_a_change_of_what_django_has_written_costs_its_own_statement(self) -> None:
        Entry.objects.update(position=7)
        with storms_statements() as seen:
            self.entries[0].position = 8
            self.store.flush()
        self.assertEqual([sql.split()[0] for sql in seen], ["UPDATE"])

    def test_a_write_that_meets_no_row_invalidates_nothing(self) -> None:
        Entry.objects.filter(name="nobody").update(name="x")
        Entry.objects.filter(name="nobody").delete()
        self.raw(f"DELETE FROM {Entry._meta.db_table} WHERE position = %s", -1)
        self.assertEqual(self.touch(), 0)

    def test_a_delete_may_have_changed_anything(self) -> None:
        Box.objects.create(label="other").delete()
        self.assertEqual(self.touch(), 4)

    def test_one_statement_reads_all_again(self) -> None:
        Entry.objects.update(position=7)
        with storms_statements() as seen:
            for entry in self.store.find(StormEntry):
                self.assertEqual(entry.position, 7)
        self.assertEqual(len(seen), 1)

    def test_another_connection_of_the_thread_has_no_part(self) -> None:
        self.entries[0].position = 9
        other = connection.copy()
        self.addCleanup(other.close)
        with storms_statements() as seen, other.cursor() as cursor:
            cursor.execute("SELECT 1")
        self.assertEqual(seen, [])
