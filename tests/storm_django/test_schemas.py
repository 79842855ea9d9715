"""manage.py storm_schema, and the schema of a test database."""

from __future__ import annotations

from io import StringIO

from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import TransactionTestCase, override_settings
from storm.schema import Schema
from storm.schema.patch import PatchSet

from storm_django import get_store
from tests.storm_django import patches

URI = settings.STORM_STORES["main"]["URI"]

schema = Schema(
    ["CREATE TABLE storm_patched (id INTEGER PRIMARY KEY)"],
    ["DROP TABLE storm_patched"],
    ["DELETE FROM storm_patched"],
    PatchSet(patches),
)


def make_schema(store: object) -> Schema:
    """The same from a function."""
    assert store is get_store()
    return schema


def stores(path: str) -> dict[str, dict[str, str]]:
    """STORM_STORES with the schema of that name here."""
    return {"main": {"URI": URI, "SCHEMA": f"{__name__}.{path}"}}


class StormSchemaTest(TransactionTestCase):
    def setUp(self) -> None:
        # The example site's own schema keeps its patches in the same table.
        self.rename("patch", "patch_of_the_site")
        self.addCleanup(self.rename, "patch_of_the_site", "patch")

    def rename(self, old: str, new: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    def drop(self) -> None:
        schema.drop(get_store())

    def call(self, *args: str) -> str:
        out = StringIO()
        call_command("storm_schema", *args, stdout=out)
        self.assertFalse(connection.in_atomic_block)
        return out.getvalue().strip()

    def test_upgrade_creates_what_is_missing_and_says_so(self) -> None:
        for path in ("schema", "make_schema"):
            with self.subTest(path), override_settings(STORM_STORES=stores(path)):
                self.assertEqual(self.call("status"), "main: no schema yet")
                self.assertEqual(self.call("upgrade"), "main: no schema yet; upgraded")
                try:
                    self.assertEqual(self.call("status"), "main: up to date")
                    self.assertEqual(self.call("upgrade"), "main: up to date")
                    self.assertIn("storm_patched", connection.introspection.table_names())
                finally:
                    self.drop()

    @override_settings(STORM_STORES=stores("schema"))
    def test_upgrade_applies_the_patches_that_are_missing(self) -> None:
        store = get_store()
        schema.create(store)
        self.addCleanup(self.drop)
        store.execute("DELETE FROM patch WHERE version = 1")
        store.commit()
        self.assertEqual(self.call("status"), "main: patches to apply: 1")
        self.assertEqual(self.call("upgrade"), "main: patches to apply: 1; upgraded")
        self.assertEqual(store.execute("SELECT id FROM storm_patched").get_all(), [(7,)])
        store.rollback()

    @override_settings(STORM_STORES=stores("schema"))
    def test_an_unknown_store_is_an_error_that_lists_the_known(self) -> None:
        with self.assertRaisesMessage(CommandError, "there is main"):
            self.call("status", "--store", "elsewhere")


class TestDatabaseTest(TransactionTestCase):
    def test_a_test_database_has_the_tables_of_the_store(self) -> None:
        self.assertIn("sprint_session", connection.introspection.table_names())
