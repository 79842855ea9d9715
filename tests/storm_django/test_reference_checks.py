"""References that can't work are named by the system checks."""

from __future__ import annotations

from typing import Any
from unittest import mock

from django.core import checks
from django.db import connection, connections, models
from django.test import SimpleTestCase, TestCase, override_settings
from django.test.utils import isolate_apps
from storm.locals import DateTime, Int, Unicode

from storm_django import reference_checks
from storm_django.fields import StormForeignKey
from storm_django.references import DjangoReference, DjangoReferenceSet
from tests.storm_references.models import Talk, Track


class NoTable:
    id = Int(primary=True)


class NoKey:
    __storm_table__ = "x"
    id = Int()


class TwoKeys:
    __storm_table__ = "x"
    __storm_primary__ = "id", "other"
    id = Int()
    other = Int()


class OddKey:
    __storm_table__ = "x"
    id = DateTime(primary=True)


class Elsewhere:
    __storm_table__ = "tests_elsewhere"
    id = Int(primary=True)


class PlainRouter:
    """Has all models of an app in the database without a store."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "plain" if model._meta.app_label == "tests_references" else None

    db_for_write = db_for_read


def errors_of(field: StormForeignKey, **options: Any) -> list[checks.CheckMessage]:
    """What the checks say of a model with that field."""
    with isolate_apps("tests.storm_references"):
        meta = type("Meta", (), {"app_label": "tests_references"})
        attributes = {"__module__": __name__, "Meta": meta, "field": field}
        model: Any = type("Checked", (models.Model,), attributes)
        found: list[checks.CheckMessage] = model.check(**options)
        return found


class FieldTest(TestCase):
    databases = {"default", "plain"}

    def assert_named(self, id: str, words: str, field: StormForeignKey, **options: Any) -> None:
        (message,) = errors_of(field, **options)
        self.assertEqual(message.id, f"storm_django.{id}")
        self.assertIn(words, message.msg)
        self.assertIsNotNone(message.hint)

    def test_a_class_that_can_not_be_imported(self) -> None:
        class Local(Track):
            __storm_table__ = "x"

        for wrong in ("no.such.Class", "tests.storm_references.models.NoSuch", "Track", "", Local):
            with self.subTest(wrong):
                self.assert_named(
                    "E007", "can't be imported", StormForeignKey(wrong, models.CASCADE)
                )

    def test_a_class_that_can_not_be_referred_to(self) -> None:
        for wrong, words in [
            (NoTable, "__storm_table__ missing"),
            (NoKey, "no primary key"),
            (TwoKeys, "several columns (id, other)"),
            (OddKey, "is a DateTimeVariable"),
            (Talk, "is not a Storm class"),
            (f"{__name__}.errors_of", "is not a Storm class"),
        ]:
            with self.subTest(wrong):
                self.assert_named("E008", words, StormForeignKey(wrong, models.CASCADE))

    @override_settings(DATABASE_ROUTERS=[f"{__name__}.PlainRouter"])
    def test_a_database_without_a_store(self) -> None:
        self.assert_named("E009", "'plain'", StormForeignKey(Track, models.CASCADE))

    def test_a_database_that_has_another_store(self) -> None:
        field = StormForeignKey(Elsewhere, models.CASCADE)
        self.assertEqual(errors_of(field, databases=["default"]), [])
        with connections["plain"].cursor() as cursor:
            cursor.execute("CREATE TABLE tests_elsewhere (id INTEGER PRIMARY KEY)")
        # As if it were the database of a second store.
        with mock.patch.object(reference_checks, "_has_our_engine", return_value=True):
            self.assert_named("E018", "is in 'plain'", field, databases=["default"])

    def test_the_table_is_looked_for_only_where_the_database_may_be_used(self) -> None:
        with self.assertNumQueries(0):
            errors_of(StormForeignKey(Track, models.CASCADE))

    def test_a_related_name_that_the_class_has(self) -> None:
        for wrong in ("title", "author", "talks", "__init__", "no name"):
            field = StormForeignKey(Track, models.CASCADE, related_name=wrong)
            self.assert_named("E010", wrong, field)
        self.assertEqual(
            errors_of(StormForeignKey(Track, models.CASCADE, related_name="%(class)s_set")), []
        )

    def test_nothing_is_overwritten_by_a_related_name(self) -> None:
        self.assertEqual(Track("x").title, "x")
        self.assertFalse(hasattr(Track, "checked_set"))

    def test_null_where_it_can_not_be(self) -> None:
        self.assert_named("E011", "SET_NULL", StormForeignKey(Track, models.SET_NULL))

    def test_on_delete_that_nobody_does(self) -> None:
        field = StormForeignKey(Track, models.CASCADE, db_constraint=False)
        self.assert_named("W012", "it does nothing", field)
        field = StormForeignKey(Track, models.DO_NOTHING, db_constraint=False)
        self.assertEqual(errors_of(field), [])

    def test_the_models_of_the_tests_are_right(self) -> None:
        found = checks.run_checks(databases=[connection.alias])
        self.assertEqual([message for message in found if not message.is_silenced()], [])


class ReferenceTest(SimpleTestCase):
    def assert_named(self, id: str, words: str, reference: Any) -> None:
        name = "Checked"
        cls = type(
            name,
            (),
            {
                "__storm_table__": "x",
                "id": Int(primary=True),
                "text": Unicode(),
                "day": DateTime(),
                "reference": reference,
            },
        )
        found = [each for each in reference_checks.check_references() if each.obj is cls]
        self.assertEqual([each.id for each in found], [f"storm_django.{id}"] if id else [])
        self.assertTrue(all(words in each.msg for each in found), found)

    def test_a_model_that_does_not_exist(self) -> None:
        for wrong in ("tests_references.NoSuch", "nowhere.Author", "Author", ""):
            self.assert_named("E013", "does not exist", DjangoReference("id", wrong))

    def test_a_field_that_does_not_exist(self) -> None:
        wrong = DjangoReferenceSet("id", "tests_references.Talk", "no_such")
        self.assert_named("E014", "no_such", wrong)

    def test_a_local_key_that_is_no_property(self) -> None:
        for wrong in ("no_such", "__init__", Int()):
            with self.subTest(wrong):
                self.assert_named(
                    "E015", "no property", DjangoReference(wrong, "tests_references.Author")
                )

    def test_keys_of_two_types(self) -> None:
        author = "tests_references.Author"
        self.assert_named("E016", "UnicodeVariable", DjangoReference("text", author))
        self.assert_named("E016", "CharField", DjangoReference("id", author, "name"))
        self.assert_named("E016", "StormForeignKey", DjangoReferenceSet("text", Talk, "track"))
        self.assert_named("", "", DjangoReferenceSet("id", Talk, "track"))
        self.assert_named("", "", DjangoReferenceSet("id", Talk, "speaker"))
        self.assert_named("", "", DjangoReference("text", author, "name"))
        self.assert_named("", "", DjangoReference("day", author))

    @override_settings(DATABASE_ROUTERS=[f"{__name__}.PlainRouter"])
    def test_a_model_in_a_database_without_a_store(self) -> None:
        self.assert_named("E017", "'plain'", DjangoReference("id", "tests_references.Author"))
