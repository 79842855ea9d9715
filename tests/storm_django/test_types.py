"""What either ORM writes the other reads, as its own type."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.test import override_settings, skipUnlessDBFeature
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from storm.locals import DateTime, Int

from storm_django import get_store
from tests.storm_django.models import (
    Arrays,
    NaiveStormTyped,
    PostgresStormTyped,
    State,
    StormArrays,
    StormTyped,
    Typed,
)

UTC = datetime.timezone.utc
BRUSSELS = ZoneInfo("Europe/Brussels")
EXAMPLES = settings(max_examples=50, deadline=None, derandomize=True)

# No vendor's text has surrogates, and PostgreSQL's has no NUL.
TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=20)
# MySQL's dates begin with the year 1000.
DAYS = st.dates(min_value=datetime.date(1000, 1, 2), max_value=datetime.date(9999, 12, 30))
MOMENTS = st.datetimes(
    min_value=datetime.datetime(1000, 1, 2), max_value=datetime.datetime(9999, 12, 30)
)
DOCUMENTS = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
UUIDS = st.uuids(version=4)  # MariaDB refuses what is no version of RFC 4122
NUMBERS = st.lists(st.none() | st.integers(-(2**31), 2**31 - 1), max_size=4).filter(
    # Storm writes ARRAY[NULL], whose type PostgreSQL can't know and takes for text[].
    lambda numbers: not numbers or any(number is not None for number in numbers)
)
SPANS = st.timedeltas(datetime.timedelta(days=-36500), datetime.timedelta(days=36500))
VALUES = {
    "text": TEXT,
    "data": st.binary(max_size=20),
    "flag": st.booleans(),
    "amount": st.decimals(
        min_value=decimal.Decimal("-9999999999"),
        max_value=decimal.Decimal("9999999999"),
        places=4,
    ),
    "day": DAYS,
    "clock": st.times(),
    "moment": st.builds(
        lambda moment, zone: moment.replace(tzinfo=zone), MOMENTS, st.sampled_from([UTC, BRUSSELS])
    ),
    "document": DOCUMENTS,
    "key": UUIDS,
    "state": st.sampled_from(State),
}
ROWS = st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()})


def storm_class() -> type[StormTyped]:
    return PostgresStormTyped if connection.vendor == "postgresql" else StormTyped


def write_with_storm(storm_class: Any, values: dict[str, Any]) -> int:
    """Insert a row; returns its primary key."""
    row = storm_class()
    for name, value in values.items():
        setattr(row, name, value)
    store = get_store()
    store.add(row)
    store.flush()
    key: int = row.id
    return key


def read_with_storm(storm_class: Any, key: int, names: Any) -> dict[str, Any]:
    row = get_store().get(storm_class, key)
    return {name: getattr(row, name) for name in names}


def read_with_django(model: Any, key: int, names: Any) -> dict[str, Any]:
    row = model.objects.get(pk=key)
    return {name: _own(getattr(row, name)) for name in names}


def _own(value: Any) -> Any:
    # That is how Django reads bytes on PostgreSQL.
    return bytes(value) if isinstance(value, memoryview) else value


class TypesTest(TestCase):
    def assertRead(self, found: dict[str, Any], written: dict[str, Any]) -> None:
        self.assertEqual(found, written)
        types = {name: _type(value) for name, value in found.items()}
        self.assertEqual(types, {name: _type(value) for name, value in written.items()})

    @EXAMPLES
    @given(ROWS)
    def test_django_reads_what_storm_writes(self, values: dict[str, Any]) -> None:
        key = write_with_storm(storm_class(), values)
        self.assertRead(read_with_django(Typed, key, values), values)

    @EXAMPLES
    @given(ROWS)
    def test_storm_reads_what_django_writes(self, values: dict[str, Any]) -> None:
        row = Typed.objects.create(**values)
        self.assertRead(read_with_storm(storm_class(), row.pk, values), values)

    @EXAMPLES
    @given(ROWS)
    def test_each_changes_what_the_other_has_written(self, values: dict[str, Any]) -> None:
        row = Typed.objects.create()
        found = get_store().get(storm_class(), row.pk)
        for name, value in values.items():
            setattr(found, name, value)
        self.assertRead(read_with_django(Typed, row.pk, values), values)
        Typed.objects.filter(pk=row.pk).update(**dict.fromkeys(values))
        self.assertEqual(read_with_storm(storm_class(), row.pk, values), dict.fromkeys(values))

    @EXAMPLES
    @given(
        st.fixed_dictionaries(
            {
                name: st.none() | values
                for name, values in VALUES.items()
                # Equality of documents is no matter of SQL. A key is the text of a UUID for Storm,
                # with dashes, and without them for Django where the vendor has no UUIDs.
                if name not in ("document", "key")
            }
        )
    )
    def test_django_finds_what_storm_writes(self, values: dict[str, Any]) -> None:
        key = write_with_storm(storm_class(), values)
        given_values = {name: value for name, value in values.items() if value is not None}
        self.assertTrue(Typed.objects.filter(pk=key, **given_values).exists(), values)

    @skipUnlessDBFeature("has_native_uuid_field")
    @EXAMPLES
    @given(UUIDS)
    def test_django_finds_the_uuid_that_storm_writes(self, key: Any) -> None:
        row = write_with_storm(storm_class(), {"key": key})
        self.assertEqual(Typed.objects.get(key=key, pk=row).pk, row)

    @override_settings(USE_TZ=False)
    @EXAMPLES
    @given(MOMENTS)
    def test_naive_datetimes_without_use_tz(self, moment: datetime.datetime) -> None:
        key = write_with_storm(NaiveStormTyped, {"moment": moment})
        self.assertEqual(Typed.objects.get(pk=key).moment, moment)
        row = Typed.objects.create(moment=moment)
        found = get_store().get(NaiveStormTyped, row.pk).moment
        # The column that Django makes on PostgreSQL has a time zone, and Storm reads what is there.
        self.assertEqual(found.replace(tzinfo=None), moment)

    @EXAMPLES
    @given(MOMENTS)
    def test_a_storm_property_without_a_zone_writes_utc_under_use_tz(
        self, moment: datetime.datetime
    ) -> None:
        key = write_with_storm(NaiveStormTyped, {"moment": moment})
        self.assertEqual(Typed.objects.get(pk=key).moment, moment.replace(tzinfo=UTC))
        row = Typed.objects.create(moment=moment.replace(tzinfo=UTC))
        found = get_store().get(NaiveStormTyped, row.pk).moment
        self.assertEqual(found.replace(tzinfo=None), moment)

    @override_settings(USE_TZ=False, TIME_ZONE="UTC")
    @EXAMPLES
    @given(MOMENTS)
    def test_a_storm_property_in_utc_without_use_tz(self, moment: datetime.datetime) -> None:
        aware = moment.replace(tzinfo=UTC)
        key = write_with_storm(storm_class(), {"moment": aware})
        self.assertEqual(Typed.objects.get(pk=key).moment, moment)
        self.assertTrue(Typed.objects.filter(pk=key, moment=moment).exists())
        row = Typed.objects.create(moment=moment)
        self.assertEqual(get_store().get(storm_class(), row.pk).moment, aware)

    def test_a_storm_property_in_another_zone_is_read_by_django(self) -> None:
        class LocalTyped:
            __storm_table__ = "tests_storm_django_typed"
            id = Int(primary=True)
            moment = DateTime(tzinfo=BRUSSELS)

        moment = datetime.datetime(2026, 7, 1, 12, tzinfo=BRUSSELS)
        key = write_with_storm(LocalTyped, {"moment": moment})
        found = Typed.objects.get(pk=key).moment
        if connection.vendor == "mysql":
            # Its columns have no zone. Storm writes the wall time of its property, which Django
            # takes for UTC, as it does without us: let tzinfo be UTC, or the alias's TIME_ZONE.
            moment = moment.replace(tzinfo=UTC)
        self.assertEqual(found, moment)

    def test_rowcount_is_of_the_rows_that_match(self) -> None:
        # Django's connections to MySQL count so (CLIENT.FOUND_ROWS), and so do the other vendors.
        # Plain Storm on MySQL leaves out the rows that already were as they are to be.
        key = write_with_storm(storm_class(), {"text": "same"})
        result = get_store().execute(
            "UPDATE tests_storm_django_typed SET text = 'same' WHERE id = ?", (key,)
        )
        self.assertEqual(result.rowcount, 1)


@skipUnlessDBFeature("supports_json_field")
class RawTest(TestCase):
    """Without a property, either ORM gets from its cursor what the driver gives it alone."""

    def test_storms_cursor_decodes_json_where_the_driver_does(self) -> None:
        row = Typed.objects.create(document={"a": ["b"]})
        (found,) = (
            get_store()
            .execute("SELECT document FROM tests_storm_django_typed WHERE id = ?", (row.pk,))
            .get_one()
        )
        expected = {"a": ["b"]} if connection.vendor == "postgresql" else '{"a": ["b"]}'
        self.assertEqual(found, expected)
        with connection.cursor() as cursor:
            cursor.execute("SELECT document FROM tests_storm_django_typed WHERE id = %s", [row.pk])
            self.assertEqual(cursor.fetchone()[0], '{"a": ["b"]}')

    def test_storms_cursor_gives_a_uuid_as_text(self) -> None:
        key = uuid.uuid4()
        row = Typed.objects.create(key=key)
        quoted = connection.ops.quote_name("key")
        (found,) = (
            get_store()
            .execute(f"SELECT {quoted} FROM tests_storm_django_typed WHERE id = ?", (row.pk,))
            .get_one()
        )
        self.assertIn(found, (str(key), key.hex))


class ArraysTest(TestCase):
    def setUp(self) -> None:
        if connection.vendor != "postgresql":
            # Django keeps a duration elsewhere as a number, and Storm as a text.
            self.skipTest("only PostgreSQL has arrays and intervals")

    @EXAMPLES
    @given(
        st.none() | NUMBERS,
        st.none() | st.lists(st.none() | TEXT, max_size=4),
        st.none() | SPANS,
    )
    def test_arrays_and_intervals(self, numbers: Any, words: Any, span: Any) -> None:
        values = {"numbers": numbers, "words": words, "span": span}
        key = write_with_storm(StormArrays, values)
        self.assertEqual(read_with_django(Arrays, key, values), values)
        row = Arrays.objects.create(**values)
        self.assertEqual(read_with_storm(StormArrays, row.pk, values), values)


def _type(value: Any) -> type:
    # A member of the enum is what Storm reads. For Django the column is a number.
    return int if isinstance(value, State) else type(value)
