"""The Django field of each Storm property reads and writes what Storm does."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any
from zoneinfo import ZoneInfo

from django.core.exceptions import ImproperlyConfigured
from django.db import connection, models
from django.forms import CharField, Textarea, TextInput, modelform_factory
from django.test import SimpleTestCase, override_settings
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from storm.expr import SQL
from storm.locals import Bool, Date, DateTime, Enum, Int, List, Pickle, Unicode
from storm.store import AutoReload

from storm_django import column_fields as fields
from storm_django import get_store
from storm_django.columns import model_field, model_fields
from storm_django.mirror import mirror_of
from tests.storm_django.library import Sample
from tests.storm_django.test_types import (
    DOCUMENTS,
    MOMENTS,
    ROWS,
    TEXT,
    UTC,
    UUIDS,
    read_with_storm,
    storm_class,
    write_with_storm,
)

EXAMPLES = settings(max_examples=20, deadline=None, derandomize=True)
SPANS = st.timedeltas(datetime.timedelta(-9999), datetime.timedelta(9999))
SAMPLES = st.fixed_dictionaries(
    {
        name: st.none() | values
        for name, values in {
            "span": SPANS,
            "stamped": MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC)),
            "wall": MOMENTS,
            "ratio": st.floats(-1e9, 1e9).map(lambda number: float(f"{number:.3f}")),
            "exact": st.decimals(-9999999, 9999999, places=6),
            "word": st.sampled_from(["yes", "no"]),
            "key": UUIDS,
            "document": DOCUMENTS,
        }.items()
    }
)


class Other:
    """Columns with something about them."""

    __storm_table__ = "other"

    id = Int(primary=True)
    type_ = Unicode(name="type", allow_none=False)
    on = Bool(default=True)
    mood = Enum(map={"good": 1, "bad": 2}, default="bad", allow_none=False)
    made = DateTime(default_factory=lambda: datetime.datetime(2020, 1, 1))
    filled = DateTime(allow_none=False, default=AutoReload)
    now = DateTime(allow_none=False, default=SQL("now()"))
    empty = Unicode(allow_none=False, default="")
    day = Date(allow_none=False)
    many = List(type=Int())
    thing = Pickle()


class ReadTest(TestCase):
    """Whatever Storm has written."""

    def assertSame(self, storm_class: Any, key: int, values: dict[str, Any]) -> None:
        row = mirror_of(storm_class).objects.get(pk=key)
        names = list(values)
        found = {name: row._meta.get_field(name).to_storm(getattr(row, name)) for name in names}
        self.assertEqual(found, values)
        self.assertEqual(
            {name: type(value) for name, value in found.items()},
            {name: type(value) for name, value in values.items()},
        )

    @EXAMPLES
    @given(ROWS)
    def test_the_mirror_reads_what_storm_writes(self, values: dict[str, Any]) -> None:
        self.assertSame(storm_class(), write_with_storm(storm_class(), values), values)

    @EXAMPLES
    @given(SAMPLES)
    def test_also_the_rarer_types(self, values: dict[str, Any]) -> None:
        self.assertSame(Sample, write_with_storm(Sample, values), values)

    @EXAMPLES
    @given(ROWS)
    def test_storm_reads_what_the_mirror_saves(self, values: dict[str, Any]) -> None:
        self.assertSaved(storm_class(), values)

    @EXAMPLES
    @given(SAMPLES)
    def test_also_of_the_rarer_types(self, values: dict[str, Any]) -> None:
        self.assertSaved(Sample, values)

    def assertSaved(self, storm_class: Any, values: dict[str, Any]) -> None:
        mirror = mirror_of(storm_class)
        given_values = {
            name: mirror._meta.get_field(name).from_storm(value) for name, value in values.items()
        }
        row = mirror.objects.create(**given_values)
        get_store().invalidate()
        self.assertEqual(read_with_storm(storm_class, row.pk, values), values)
        # And back to nothing.
        for name in values:
            setattr(row, name, None)
        row.save()
        get_store().invalidate()
        self.assertEqual(read_with_storm(storm_class, row.pk, values), dict.fromkeys(values))

    @EXAMPLES
    @given(SAMPLES)
    def test_finds_what_storm_writes(self, values: dict[str, Any]) -> None:
        key = write_with_storm(Sample, values)
        mirror = mirror_of(Sample)
        # Text is no number to any vendor.
        wanted = {
            name: mirror._meta.get_field(name).from_storm(value)
            for name, value in values.items()
            if value is not None and name not in ("exact", "document")
        }
        self.assertTrue(mirror.objects.filter(pk=key, **wanted).exists(), wanted)

    @EXAMPLES
    @given(ROWS)
    def test_a_form_that_is_only_sent_back_changes_nothing(self, values: dict[str, Any]) -> None:
        self.assertSentBack(storm_class(), values)

    @EXAMPLES
    @given(SAMPLES)
    def test_nor_does_one_of_the_rarer_types(self, values: dict[str, Any]) -> None:
        self.assertSentBack(Sample, values)

    def assertSentBack(self, storm_class: Any, values: dict[str, Any]) -> None:
        text = values.get("text")
        if text is not None and (text != text.strip() or "\r" in text or "\n" in text):
            values["text"] = "plain"  # a browser, and Django's form, cut these
        key = write_with_storm(storm_class, values)
        mirror = mirror_of(storm_class)
        form_class = modelform_factory(mirror, fields="__all__")
        unbound = form_class(instance=mirror.objects.get(pk=key))
        data = {
            field.html_name: field.field.widget.format_value(field.value())
            for field in unbound
            if field.value() is not None
        }
        data = {
            name: value[0] if isinstance(value, list) else value for name, value in data.items()
        }
        form = form_class(data, instance=mirror.objects.get(pk=key))
        self.assertEqual(form.errors, {})
        form.save()
        get_store().invalidate()
        self.assertEqual(read_with_storm(storm_class, key, values), values)

    def test_a_column_that_only_storm_understands_is_left_alone(self) -> None:
        key = write_with_storm(Sample, {"odd": "abc", "pickled": {"a": 1}, "ratio": 1.0})
        row = mirror_of(Sample).objects.get(pk=key)
        self.assertEqual(row.odd, "cba")
        self.assertIsInstance(row.pickled, bytes)
        row.ratio = 2.0
        row.save()
        get_store().invalidate()
        expected = {"odd": "abc", "pickled": {"a": 1}, "ratio": 2.0}
        self.assertEqual(read_with_storm(Sample, key, expected), expected)
        self.assertNotIn("odd", modelform_factory(mirror_of(Sample), fields="__all__").base_fields)

    def test_the_clock_of_the_wall_is_that_in_any_time_zone(self) -> None:
        # This hour is missing in Brussels.
        wall = datetime.datetime(2024, 3, 31, 2, 30)
        form_class = modelform_factory(mirror_of(Sample), fields=["wall"])
        for zone in ["Europe/Brussels", "Asia/Tokyo", "UTC"]:
            with self.subTest(zone), timezone.override(ZoneInfo(zone)):
                form = form_class({"wall": "2024-03-31 02:30"})
                self.assertTrue(form.is_valid(), form.errors)
                row = form.save()
                self.assertEqual(get_store().get(Sample, row.pk).wall, wall)
                found = mirror_of(Sample).objects.get(wall=wall, pk=row.pk)
                self.assertIn('value="2024-03-31 02:30:00"', str(form_class(instance=found)))
                self.assertEqual(mirror_of(Sample).objects.filter(wall__year=2024).count(), 1)
                found.delete()

    def test_finds_by_each_part_of_the_clock_of_the_wall(self) -> None:
        wall = datetime.datetime(2024, 12, 31, 23, 45, 7)
        key = write_with_storm(Sample, {"wall": wall})
        rows = mirror_of(Sample).objects.filter(pk=key)
        for lookup, value in {
            "wall__year": 2024,
            "wall__iso_year": 2025,
            "wall__month": 12,
            "wall__day": 31,
            "wall__hour": 23,
            "wall__minute": 45,
            "wall__second": 7,
            "wall__date": wall.date(),
            "wall__time": wall.time(),
            "wall__gte": wall.date(),
            "wall__year__gte": 2024,
        }.items():
            with self.subTest(lookup):
                self.assertEqual(rows.filter(**{lookup: value}).count(), 1)
        for lookup, value in {
            "wall__year__lt": 2024,
            "wall__date": datetime.date(2025, 1, 1),
        }.items():
            with self.subTest(lookup):
                self.assertEqual(rows.filter(**{lookup: value}).count(), 0)

    @override_settings(USE_TZ=False)
    def test_a_site_without_time_zones_has_naive_moments(self) -> None:
        form_class = modelform_factory(mirror_of(Sample), fields=["stamped"])
        row = form_class({"stamped": "2024-06-01 12:00"}).save()
        noon = datetime.datetime(2024, 6, 1, 10, tzinfo=UTC)  # as it is in Brussels
        self.assertEqual(get_store().get(Sample, row.pk).stamped, noon)
        found = mirror_of(Sample).objects.get(pk=row.pk)
        self.assertEqual(found.stamped, datetime.datetime(2024, 6, 1, 12))

    def test_a_decimal_keeps_its_digits(self) -> None:
        if connection.vendor == "mysql":
            self.skipTest("its decimals have the digits of the column")
        number = decimal.Decimal("1.50")
        row = mirror_of(Sample).objects.create(exact=number)
        self.assertEqual(str(mirror_of(Sample).objects.get(pk=row.pk).exact), "1.50")

    @EXAMPLES
    @given(TEXT)
    def test_neither_none_nor_the_empty_text_becomes_the_other(self, text: str) -> None:
        form_class = modelform_factory(mirror_of(storm_class()), fields=["text"])
        for before in (None, "", text):
            key = write_with_storm(storm_class(), {"text": before})
            row = mirror_of(storm_class()).objects.get(pk=key)
            if not before:
                form_class({"text": ""}, instance=row).save()
            get_store().invalidate()
            self.assertEqual(get_store().get(storm_class(), key).text, before)


class FieldTest(SimpleTestCase):
    """What the field of a property says."""

    def field(self, attribute: str, **options: Any) -> Any:
        return model_field(Other, attribute, **options)

    def test_has_the_columns_of_the_class_in_its_order(self) -> None:
        self.assertEqual(
            list(model_fields(Other)),
            ["id", "type_", "on", "mood", "made", "filled", "now", "empty", "day", "many", "thing"],
        )

    def test_the_key_is_first_and_each_column_is_there_once(self) -> None:
        class Twice:
            __storm_table__ = "twice"
            __storm_primary__ = "number"
            name = Unicode()
            same_name = Unicode(name="name")
            ident = Int(name="number")
            number = Int()

        self.assertEqual(list(model_fields(Twice)), ["number", "name"])
        self.assertTrue(model_fields(Twice)["number"].primary_key)

    def test_allow_none_makes_an_input_optional(self) -> None:
        self.assertEqual((self.field("type_").null, self.field("type_").blank), (False, False))
        self.assertEqual((self.field("made").null, self.field("made").blank), (True, True))
        self.assertFalse(self.field("type_", blank=True).null)

    def test_the_column_has_its_own_name(self) -> None:
        self.assertEqual(self.field("type_").db_column, "type")

    def test_a_default_is_that_of_the_form(self) -> None:
        self.assertIs(self.field("on").get_default(), True)
        self.assertEqual(self.field("mood").get_default(), 2)
        self.assertEqual(self.field("made").get_default(), datetime.datetime(2020, 1, 1))
        self.assertTrue(self.field("empty").blank)

    def test_what_the_database_fills_in_may_be_left_out(self) -> None:
        for name in ("filled", "now"):
            self.assertTrue(self.field(name).blank)
            self.assertFalse(self.field(name).has_default())

    def test_an_enum_is_a_choice_by_name(self) -> None:
        self.assertEqual(self.field("mood").choices, [(1, "good"), (2, "bad")])
        self.assertEqual(self.field("mood").to_storm(1), "good")
        with self.assertRaisesMessage(ValueError, "3 can't be set"):
            self.field("mood").to_storm(3)

    def test_an_integer_key_is_made_by_the_database_unless_people_type_it(self) -> None:
        self.assertIsInstance(self.field("id"), models.AutoField)
        typed = self.field("id", auto=False)
        self.assertTrue(typed.primary_key)
        self.assertNotIsInstance(typed, models.AutoField)

    def test_text_is_one_line_or_several(self) -> None:
        self.assertIs(type(self.field("type_").formfield().widget), TextInput)
        several = self.field("type_", multiline=True).formfield()
        self.assertIs(type(several.widget), Textarea)
        self.assertIsInstance(several, CharField)
        self.assertEqual(self.field("type_", max_length=7).formfield().max_length, 7)

    def test_what_only_storm_understands_is_not_editable(self) -> None:
        self.assertIsInstance(self.field("many"), fields.OpaqueColumn)
        self.assertIs(type(self.field("thing")), fields.PickleColumn)
        self.assertFalse(self.field("many").editable or self.field("thing").editable)

    def test_options_go_to_the_field(self) -> None:
        field = self.field("type_", field_class=models.SlugField, help_text="x")
        self.assertIsInstance(field, models.SlugField)
        self.assertEqual((field.help_text, field.db_column), ("x", "type"))

    def test_migrations_see_djangos_own_fields(self) -> None:
        for name, field in model_fields(Other).items():
            with self.subTest(name):
                _name, path, _args, kwargs = field.deconstruct()
                self.assertTrue(path.startswith("django.db.models."), path)
                self.assertNotIn("default", kwargs)

    def test_a_composite_key_is_a_clear_error(self) -> None:
        class Pair:
            __storm_table__ = "pair"
            __storm_primary__ = "left", "right"
            left = Int()
            right = Int()

        with self.assertRaisesMessage(ImproperlyConfigured, "Pair is left, right"):
            model_fields(Pair)

    def test_what_is_no_column_is_a_clear_error(self) -> None:
        with self.assertRaisesMessage(AttributeError, "Other has no column 'nothing'"):
            self.field("nothing")

    def test_a_uuid_is_its_text(self) -> None:
        key = uuid.uuid4()
        field = model_field(Sample, "key")
        self.assertEqual(field.get_db_prep_value(key, connection), str(key))
