"""Signals of what a flush has done to Storm objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.dispatch import Signal
from django.test import TestCase
from storm.exceptions import IntegrityError
from storm.expr import SQL
from storm.locals import Int

from storm_django import get_store
from storm_django.signals import deleted, saved
from tests.storm_django.models import Entry, StormEntry, Unique
from tests.storm_django.statements import statements


class LoggingEntry(StormEntry):
    """An entry whose hooks write other rows while it is flushed."""

    def __storm_pre_flush__(self) -> None:
        get_store().add(StormEntry("before"))


class ReadingEntry(StormEntry):
    """An entry whose hook has the store flush."""

    def __storm_pre_flush__(self) -> None:
        get_store().flush()


class CountingEntry(StormEntry):
    """An entry that is changed by its own flush."""

    def __storm_flushed__(self) -> None:
        if self.position < 2:
            self.position += 1


class BulkEntry(StormEntry):
    """One that no other test has: ``set()`` fails for objects that are left of an aborted one."""


class StormUnique:
    """The table with the unique column for Storm."""

    __storm_table__ = Unique._meta.db_table

    id = Int(primary=True)
    value = Int()

    def __init__(self, value: int) -> None:
        self.value = value


class SignalsTest(TestCase):
    def setUp(self) -> None:
        self.store = get_store()
        self.events: list[tuple[Any, ...]] = []
        self.connect(saved, self.note_saved)
        self.connect(deleted, self.note_deleted)

    def connect(
        self, signal: Signal, receiver: Callable[..., None], sender: type | None = None
    ) -> None:
        signal.connect(receiver, sender=sender)
        self.addCleanup(signal.disconnect, receiver, sender=sender)

    def note_saved(self, sender: type, instance: Any, created: bool, **kwargs: Any) -> None:
        self.events.append((sender, instance.name, created))

    def note_deleted(self, sender: type, instance: Any, **kwargs: Any) -> None:
        self.events.append((sender, instance.id))

    def add(self, name: str = "a") -> StormEntry:
        """An entry that was flushed before the events that are looked at."""
        entry: StormEntry = self.store.add(StormEntry(name))
        self.store.flush()
        self.events.clear()
        return entry

    def test_an_insert_is_one_signal_with_the_key_known(self) -> None:
        keys = []

        def note(instance: Any, store: Any, **kwargs: Any) -> None:
            keys.append((instance.id, store))

        self.connect(saved, note)
        entry = self.store.add(StormEntry("a"))
        self.assertEqual(self.events, [])
        self.store.flush()
        self.assertEqual(self.events, [(StormEntry, "a", True)])
        self.assertEqual(keys, [(entry.id, self.store)])

    def test_an_update_is_one_signal_for_all_that_changed(self) -> None:
        entry = self.add()
        entry.name = "b"
        entry.position = 2
        self.store.flush()
        self.store.flush()
        self.assertEqual(self.events, [(StormEntry, "b", False)])

    def test_an_update_by_an_expression_is_a_signal(self) -> None:
        entry = self.add()
        entry.position = SQL("position + 1")
        self.store.flush()
        self.assertEqual(self.events, [(StormEntry, "a", False)])

    def test_a_delete_is_one_signal_with_the_key_still_there(self) -> None:
        entry = self.add()
        key = entry.id
        self.store.remove(entry)
        self.store.flush()
        self.assertEqual(self.events, [(StormEntry, key)])

    def test_an_object_that_was_never_sent_has_none(self) -> None:
        self.store.remove(self.store.add(StormEntry("a")))
        self.store.flush()
        self.assertEqual(self.events, [])

    def test_a_change_that_was_taken_back_has_none(self) -> None:
        entry = self.add()
        entry.name = "b"
        entry.name = "a"
        with statements() as executed:
            self.store.flush()
        self.assertEqual((executed, self.events), ([], []))

    def test_what_was_read_again_has_none(self) -> None:
        entry = self.add()
        Entry.objects.update(position=5)  # all that Storm has cached is invalid
        entry.name = "b"
        self.store.flush()
        self.assertEqual(self.events, [(StormEntry, "b", False)])
        self.events.clear()
        Entry.objects.update(position=6)
        self.assertEqual(entry.position, 6)
        self.store.flush()
        self.assertEqual(self.events, [])

    def test_what_is_to_be_read_again_instead_has_none(self) -> None:
        entry = self.add()
        entry.name = "b"
        self.store.autoreload(entry)
        with statements() as executed:
            self.store.flush()
        self.assertEqual((executed, self.events), ([], []))
        self.assertEqual(entry.name, "a")

    def test_a_hook_may_flush(self) -> None:
        self.store.add(ReadingEntry("a"))
        self.store.add(StormEntry("b"))
        self.store.flush()
        self.assertEqual(sorted(name for _, name, _ in self.events), ["a", "b"])

    def test_a_read_of_django_sends_them_too_for_it_flushes(self) -> None:
        self.store.add(StormEntry("a"))
        self.assertEqual(Entry.objects.count(), 1)
        self.assertEqual(self.events, [(StormEntry, "a", True)])

    def test_they_come_in_the_order_of_the_statements(self) -> None:
        first, second = StormEntry("first"), StormEntry("second")
        self.store.add(first)
        self.store.add(second)
        self.store.add_flush_order(second, first)
        self.store.flush()
        self.assertEqual([name for _, name, _ in self.events], ["second", "first"])

    def test_a_receiver_hears_of_the_class_that_it_asked_for(self) -> None:
        heard: list[Any] = []

        def note(sender: type, **kwargs: Any) -> None:
            heard.append(sender)

        self.connect(saved, note, CountingEntry)
        entry = CountingEntry("a", 9)
        self.store.add(entry)
        self.store.add(StormEntry("b"))
        self.store.flush()
        self.assertEqual(heard, [CountingEntry])

    def test_an_object_that_only_the_store_holds_is_there(self) -> None:
        self.store.add(StormEntry("a"))
        self.store.add(LoggingEntry("b"))  # its hook adds another
        self.store.flush()
        self.assertEqual(
            sorted((sender.__name__, name) for sender, name, _ in self.events),
            [("LoggingEntry", "b"), ("StormEntry", "a"), ("StormEntry", "before")],
        )

    def test_an_object_that_its_own_flush_changes_is_sent_and_told_again(self) -> None:
        entry = CountingEntry("a")
        self.store.add(entry)
        self.store.flush()
        self.assertEqual([created for *_, created in self.events], [True, False, False])

    def test_a_receiver_may_use_both_mappers(self) -> None:
        seen = []

        def note(instance: Any, created: bool, **kwargs: Any) -> None:
            seen.append(Entry.objects.filter(name__in=["a", "b"]).count())
            if instance.position == 0:
                instance.position = 7
            if instance.name == "a" and created:
                self.store.add(StormEntry("c", 1))

        self.connect(saved, note)
        for name in ("a", "b"):
            self.store.add(StormEntry(name))
        self.store.flush()
        self.assertEqual(set(seen), {2})
        rows = Entry.objects.order_by("name").values_list("name", "position")
        self.assertEqual(list(rows), [("a", 7), ("b", 7), ("c", 1)])

    def test_bulk_changes_have_none_as_in_django(self) -> None:
        self.store.add(BulkEntry("a"))
        self.store.flush()
        self.events.clear()
        self.store.find(BulkEntry).set(position=4)
        self.store.find(BulkEntry).remove()
        Entry.objects.create(name="django")
        self.store.flush()
        self.assertEqual(self.events, [])

    def test_a_flush_that_fails_has_none_and_the_next_one_has_its_own(self) -> None:
        entry = self.add()
        with self.assertRaises(IntegrityError), transaction.atomic():
            entry.name = "lost"
            self.store.add(StormUnique(1))
            self.store.add(StormUnique(1))
            self.store.flush()
        self.assertEqual(self.events, [])
        entry.name = "kept"
        self.store.flush()
        self.assertEqual(self.events, [(StormEntry, "kept", False)])

    def test_an_error_of_a_receiver_comes_out_of_the_flush_once(self) -> None:
        def fail(instance: Any, **kwargs: Any) -> None:
            if instance.name == "bad":
                raise ZeroDivisionError

        self.connect(saved, fail)
        self.store.add(StormEntry("bad"))
        with self.assertRaises(ZeroDivisionError):
            self.store.flush()
        self.events.clear()
        self.store.add(StormEntry("good"))
        self.store.flush()
        self.assertEqual(self.events, [(StormEntry, "good", True)])
