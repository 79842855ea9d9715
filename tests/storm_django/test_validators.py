"""Django's validators on the properties of Storm classes."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import (
    MaxLengthValidator,
    MaxValueValidator,
    MinLengthValidator,
    validate_slug,
)
from django.test import TestCase
from storm.expr import SQL
from storm.locals import Int, Unicode
from storm.store import AutoReload

from storm_django import get_store
from storm_django.validators import validated_by
from tests.storm_django.models import StormEntry


class ValidatedEntry(StormEntry):
    """The same table, with validators."""

    name = Unicode(validator=validated_by(MinLengthValidator(3), validate_slug))
    position = Int(default=0, validator=validated_by(MaxValueValidator(9)))


class ValidatedByTest(TestCase):
    def setUp(self) -> None:
        self.store = get_store()
        self.entry = self.store.add(ValidatedEntry("keynote"))

    def test_a_value_that_is_refused_is_not_set(self) -> None:
        with self.assertRaises(ValidationError) as caught:
            self.entry.position = 10
        self.assertEqual(
            caught.exception.messages, ["Ensure this value is less than or equal to 9."]
        )
        self.assertEqual(caught.exception.error_list[0].code, "max_value")
        self.assertEqual(self.entry.position, 0)

    def test_all_that_refuse_a_value_say_so(self) -> None:
        with self.assertRaises(ValidationError) as caught:
            self.entry.name = "?"
        codes = [error.code for error in caught.exception.error_list]
        self.assertEqual(codes, ["min_length", "invalid"])

    def test_a_value_that_is_accepted_is_set_as_it_is(self) -> None:
        self.entry.name = "opening"
        self.store.flush()
        self.assertEqual(self.store.find(ValidatedEntry, name="opening").one(), self.entry)

    def test_what_is_empty_is_not_tried_as_in_djangos_fields(self) -> None:
        for value in ("", None):
            with self.subTest(value):
                self.entry.name = value
                self.assertEqual(self.entry.name, value)
        self.store.remove(self.entry)

    def test_what_the_database_will_compute_is_not_tried(self) -> None:
        self.store.flush()
        self.entry.position = SQL("position + 20")
        self.assertEqual(self.entry.position, 20)
        self.entry.position = AutoReload

    def test_what_is_loaded_is_not_tried(self) -> None:
        plain = self.store.add(StormEntry("?", 99))
        self.store.flush()
        loaded = self.store.get(ValidatedEntry, plain.id)
        self.assertEqual((loaded.name, loaded.position), ("?", 99))

    def test_what_a_query_asks_for_is_not_tried(self) -> None:
        self.assertIsNone(self.store.find(ValidatedEntry, position=99).one())

    def test_a_wrong_type_is_still_storms_error(self) -> None:
        slug = validated_by(MaxLengthValidator(8))
        self.assertEqual(slug(self.entry, "name", "short"), "short")
        with self.assertRaises(TypeError):
            self.entry.position = [1]

    def test_an_argument_that_is_no_validator_is_named(self) -> None:
        with self.assertRaisesMessage(TypeError, "8 is none"):
            validated_by(8)  # type: ignore[arg-type]
