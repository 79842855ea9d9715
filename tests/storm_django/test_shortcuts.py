"""get_object_or_404 and get_list_or_404 on Storm classes and result sets."""

from __future__ import annotations

import uuid
from datetime import date, datetime, timezone
from decimal import Decimal as PythonDecimal

from django.http import Http404
from django.test import TestCase
from storm.exceptions import NotOneError
from storm.locals import Decimal, Float, Int, ReferenceSet, Unicode
from storm.store import EmptyResultSet

from storm_django import get_store
from storm_django.shortcuts import get_list_or_404, get_object_or_404
from tests.storm_django.models import Entry, State, StormEntry, StormTyped
from tests.storm_django.statements import statements


class PairEntry:
    """The same table with a key of two columns."""

    __storm_table__ = Entry._meta.db_table
    __storm_primary__ = ("name", "position")

    name = Unicode()
    position = Int()


class NamedEntry:
    """The same table with text for a key."""

    __storm_table__ = Entry._meta.db_table

    name = Unicode(primary=True)
    position = Float()


class OwnerTyped(StormTyped):
    """An object with a set of others."""

    entries = ReferenceSet(StormTyped.text, StormEntry.name)


class AmountTyped:
    """A decimal number for a key."""

    __storm_table__ = StormTyped.__storm_table__

    amount = Decimal(primary=True)


class ObjectTest(TestCase):
    def setUp(self) -> None:
        self.store = get_store()
        self.entry = self.store.add(StormEntry("a", 1))
        self.other = self.store.add(StormEntry("b", 2))
        self.store.flush()

    def missing(self, *args: object, **kwargs: object) -> str:
        """The message of the Http404; the transaction can go on."""
        with self.assertRaises(Http404) as caught:
            get_object_or_404(*args, **kwargs)
        self.assertEqual(Entry.objects.count(), 2)
        return str(caught.exception)

    def test_by_primary_key(self) -> None:
        self.assertIs(get_object_or_404(StormEntry, pk=self.entry.id), self.entry)
        self.assertEqual(
            self.missing(StormEntry, pk=self.entry.id + 99),
            "No StormEntry matches the given query.",
        )

    def test_an_object_that_storm_has_is_found_without_a_statement(self) -> None:
        with statements() as executed:
            get_object_or_404(StormEntry, pk=self.entry.id)
        self.assertEqual(executed, [])

    def test_a_row_that_django_deleted_is_missing(self) -> None:
        key = self.entry.id
        Entry.objects.filter(pk=key).delete()
        Entry.objects.create(name="c")
        self.missing(StormEntry, pk=key)

    def test_by_what_find_takes(self) -> None:
        self.assertIs(get_object_or_404(StormEntry, StormEntry.position > 1), self.other)
        self.assertIs(get_object_or_404(StormEntry, name="a", position=1), self.entry)
        self.missing(StormEntry, StormEntry.position > 1, name="a")

    def test_by_key_and_more(self) -> None:
        key = self.entry.id
        self.assertIs(get_object_or_404(StormEntry, pk=key, name="a"), self.entry)
        self.missing(StormEntry, pk=key, name="b")
        self.missing(StormEntry, StormEntry.position > 1, pk=key)

    def test_in_a_result_set(self) -> None:
        found = self.store.find(StormEntry, StormEntry.position < 2)
        self.assertIs(get_object_or_404(found), self.entry)
        self.assertIs(get_object_or_404(found, pk=str(self.entry.id)), self.entry)
        self.assertEqual(
            self.missing(found, pk=self.other.id), "No StormEntry matches the given query."
        )
        self.missing(found, name="b")
        self.missing(EmptyResultSet())
        self.missing(EmptyResultSet(), StormEntry.position > 1)

    def test_in_a_reference_set(self) -> None:
        owner = self.store.add(OwnerTyped())
        owner.text = "a"
        self.assertIs(get_object_or_404(owner.entries, pk=self.entry.id), self.entry)
        self.assertEqual(get_list_or_404(owner.entries), [self.entry])
        self.missing(owner.entries, pk=self.other.id)

    def test_in_a_find_of_several_classes(self) -> None:
        pairs = self.store.find((StormEntry, PairEntry), StormEntry.name == PairEntry.name)
        entry, pair = get_object_or_404(pairs, StormEntry.name == "a")
        self.assertEqual((entry, pair.position), (self.entry, 1))
        self.assertEqual(
            self.missing(pairs, StormEntry.name == "c"), "No row matches the given query."
        )
        with self.assertRaisesMessage(ValueError, "pk= is for a Storm class"):
            get_object_or_404(pairs, pk=1)

    def test_more_than_one_is_storms_error(self) -> None:
        with self.assertRaises(NotOneError):
            get_object_or_404(StormEntry, StormEntry.position > 0)

    def test_the_store_can_be_named_or_given(self) -> None:
        for store in ("main", self.store):
            with self.subTest(store):
                found = get_object_or_404(StormEntry, pk=self.entry.id, store=store)
                self.assertIs(found, self.entry)
        with self.assertRaisesMessage(ValueError, "a result set has its store"):
            get_object_or_404(self.store.find(StormEntry), store="main")

    def test_a_key_from_a_url_is_converted(self) -> None:
        self.assertIs(get_object_or_404(StormEntry, pk=str(self.entry.id)), self.entry)
        self.assertIs(get_object_or_404(StormEntry, position="2"), self.other)
        self.assertEqual(get_object_or_404(NamedEntry, position="2.0").name, "b")

    def test_a_key_that_no_row_can_have_is_missing(self) -> None:
        hostile = ["abc", "", "1.5", "-", "nan", "1e3", "\0", "0x1", "9" * 30, "9" * 5000, "\ud800"]
        for key in [*hostile, 2**31, 2**63, -(2**63) - 1, 10**30, float("inf"), None]:
            with self.subTest(repr(key)[:20]):
                self.missing(StormEntry, pk=key)
                self.missing(self.store.find(StormEntry), pk=key)
                self.missing(StormEntry, position=key)

    def test_text_that_no_column_can_hold_is_missing(self) -> None:
        for key in ("a\0", "\0", "\ud800", "x" * 100_000, "\N{GRINNING FACE}"):
            with self.subTest(repr(key)[:20]):
                self.missing(NamedEntry, pk=key)
                self.missing(StormEntry, name=key)

    def test_a_number_that_is_none_is_missing(self) -> None:
        self.store.add(AmountTyped()).amount = PythonDecimal(0)
        self.other.position = 0
        for text in ("nan", "inf", "-Infinity", "sNaN", "x", ""):
            with self.subTest(text):
                self.missing(AmountTyped, pk=text)
                self.missing(NamedEntry, position=text)
        self.assertIsNotNone(get_object_or_404(AmountTyped, pk="0"))

    def test_other_types_are_converted_too(self) -> None:
        typed = self.store.add(StormTyped())
        typed.key = uuid.uuid4()
        typed.day = date(2026, 1, 31)
        typed.moment = datetime(2026, 1, 31, 9, 30, tzinfo=timezone.utc)
        typed.state = State.ACCEPTED
        for values in (
            {"key": str(typed.key)},
            {"day": "2026-01-31"},
            {"moment": "2026-01-31T09:30:00+00:00"},
            {"state": "2"},
            {"state": State.ACCEPTED},
        ):
            with self.subTest(values):
                self.assertIs(get_object_or_404(StormTyped, **values), typed)
        for values in (
            {"key": "2"},
            {"day": "2026-02-31"},
            {"day": "2026"},
            {"moment": "2026-01-31T09:30:00"},  # in which time zone?
            {"clock": "25:00"},
            {"state": "3"},
        ):
            with self.subTest(values):
                self.missing(StormTyped, **values)

    def test_another_type_than_text_is_a_mistake_of_the_program(self) -> None:
        for values in ({"pk": self.entry}, {"pk": [1]}, {"name": 1}, {"position": object()}):
            with self.subTest(values), self.assertRaisesMessage(ValueError, "Expected"):
                get_object_or_404(StormEntry, **values)

    def test_a_key_of_several_columns_is_a_tuple(self) -> None:
        self.assertEqual(get_object_or_404(PairEntry, pk=("b", "2")).position, 2)
        self.assertEqual(get_object_or_404(self.store.find(PairEntry), pk=("b", 2)).name, "b")
        self.missing(PairEntry, pk=("b", 1))
        self.missing(PairEntry, pk=("b", "x"))
        for key in ("b", ("b", 2, 3), ()):
            with self.subTest(key), self.assertRaisesMessage(ValueError, "name, position"):
                get_object_or_404(PairEntry, pk=key)

    def test_a_value_of_none_asks_for_null(self) -> None:
        typed = self.store.add(StormTyped())
        self.assertIs(get_object_or_404(StormTyped, text=None), typed)


class ListTest(TestCase):
    def setUp(self) -> None:
        self.store = get_store()
        for position in (1, 2, 3):
            self.store.add(StormEntry("a", position))

    def test_the_objects_are_a_list(self) -> None:
        found = get_list_or_404(StormEntry, StormEntry.position > 1, name="a")
        self.assertEqual(sorted(entry.position for entry in found), [2, 3])
        found = get_list_or_404(self.store.find(StormEntry).order_by(StormEntry.position))
        self.assertEqual([entry.position for entry in found], [1, 2, 3])

    def test_none_are_missing(self) -> None:
        for values in ({"name": "b"}, {"position": "x"}, {"position": 10**30}):
            with self.subTest(values), self.assertRaisesMessage(Http404, "No StormEntry"):
                get_list_or_404(StormEntry, **values)
        with self.assertRaises(Http404):
            get_list_or_404(EmptyResultSet())
