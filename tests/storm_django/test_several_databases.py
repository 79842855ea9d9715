"""More than one store, more than one alias, and routers."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from typing import Any
from unittest import mock

import transaction
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db import transaction as django_transaction
from django.test import SimpleTestCase, TransactionTestCase, override_settings
from storm.zope.zstorm import global_zstorm

from storm_django import get_store, get_store_uri
from tests.storm_django.aliases import extra_alias, forget_store
from tests.storm_django.models import Entry, StormEntry
from txmiddleware import commit_on_success


class ReadFromOther:
    """Entries are read from one alias and written to another."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "other" if model is Entry else None

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return DEFAULT_DB_ALIAS if model is Entry else None

    def allow_relation(self, *objects: Any, **hints: Any) -> bool:
        return True

    def allow_migrate(self, alias: str, app_label: str, **hints: Any) -> bool | None:
        return None


class TwoStoresTest(SimpleTestCase):
    """The store of ``default`` and another, which is a file of SQLite's."""

    databases = "__all__"

    @classmethod
    def setUpClass(cls) -> None:
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.enterClassContext(extra_alias("other", f"sqlite:{folder}/other.sqlite3"))
        super().setUpClass()
        with connections["other"].schema_editor() as editor:
            editor.create_model(Entry)

    def tearDown(self) -> None:
        transaction.abort()
        for alias in (DEFAULT_DB_ALIAS, "other"):
            Entry.objects.using(alias).all().delete()

    def write(self, alias: str, store: str) -> None:
        Entry.objects.using(alias).create(name="django")
        get_store(store).add(StormEntry("storm"))

    def counts(self) -> list[int]:
        found = [Entry.objects.using(alias).count() for alias in (DEFAULT_DB_ALIAS, "other")]
        stores = [get_store("main"), get_store("other")]
        self.assertEqual([store.find(StormEntry).count() for store in stores], found)
        transaction.abort()
        return found

    def test_each_alias_has_the_store_behind_it(self) -> None:
        self.assertIsNot(get_store("other"), get_store())
        self.write("other", "other")
        transaction.commit()
        self.assertEqual(self.counts(), [0, 2])
        self.assertIn("other.sqlite3", get_store_uri("other"))

    def test_a_scope_commits_and_aborts_both(self) -> None:
        with commit_on_success():
            self.write(DEFAULT_DB_ALIAS, "main")
            self.write("other", "other")
        self.assertEqual(self.counts(), [2, 2])
        with self.assertRaises(ZeroDivisionError), commit_on_success():
            self.write(DEFAULT_DB_ALIAS, "main")
            self.write("other", "other")
            _ = 1 / 0
        self.assertEqual(self.counts(), [2, 2])

    def test_a_block_on_one_leaves_the_others_autocommit_alone(self) -> None:
        with self.assertRaises(ZeroDivisionError), django_transaction.atomic():
            Entry.objects.create(name="undone")
            Entry.objects.using("other").create(name="kept")
            _ = 1 / 0
        self.assertEqual(self.counts(), [0, 1])

    def test_a_stock_alias_beside_them_takes_part_in_the_scope(self) -> None:
        def table(sql: str) -> list[Any]:
            with connections["plain"].cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall() or [])

        table("CREATE TABLE beside (id integer)")
        self.addCleanup(table, "DROP TABLE beside")
        for fails in (True, False):
            with ExitStack() as stack:
                if fails:
                    stack.enter_context(self.assertRaises(ZeroDivisionError))
                stack.enter_context(commit_on_success())
                self.write(DEFAULT_DB_ALIAS, "main")
                table("INSERT INTO beside VALUES (1)")
                if fails:
                    _ = 1 / 0
        self.assertEqual(self.counts(), [2, 0])
        self.assertEqual(table("SELECT count(*) FROM beside"), [(1,)])

    @override_settings(DATABASE_ROUTERS=["tests.storm_django.test_several_databases.ReadFromOther"])
    def test_a_router_chooses_the_alias_and_so_the_store(self) -> None:
        with commit_on_success():
            entry = Entry.objects.create(name="written")
            self.assertEqual(entry._state.db, DEFAULT_DB_ALIAS)
            self.assertEqual(Entry.objects.count(), 0)  # of the other
            self.assertEqual(get_store("main").find(StormEntry).count(), 1)
            self.assertEqual(get_store("other").find(StormEntry).count(), 0)
            get_store("other").add(StormEntry("read"))
            self.assertEqual(Entry.objects.get().name, "read")
        with override_settings(DATABASE_ROUTERS=[]):
            self.assertEqual(self.counts(), [1, 1])

    def test_commands_take_either(self) -> None:
        Entry.objects.using("other").create(name="flushed")
        call_command(
            "flush", database="other", interactive=False, verbosity=0, inhibit_post_migrate=True
        )
        self.assertEqual(self.counts(), [0, 0])


class SharedStoreTest(SimpleTestCase):
    """Two aliases that name one store."""

    databases = "__all__"

    @classmethod
    def setUpClass(cls) -> None:
        cls.enterClassContext(extra_alias("again", get_store_uri()))
        super().setUpClass()

    def test_they_are_an_error_that_says_what_to_write(self) -> None:
        again = {"ENGINE": "storm_django.backend", "NAME": "main"}
        with mock.patch.dict(settings.DATABASES, again=again):
            for use in (lambda: get_store("main"), lambda: get_store_uri("main")):
                forget_store("main")
                with self.assertRaisesMessage(
                    ImproperlyConfigured, "give the second a store of its own with the same URI"
                ):
                    use()

    def test_a_second_store_with_the_same_uri_is_the_way_out(self) -> None:
        if connection.vendor == "sqlite":
            self.skipTest("SQLite lets one connection write at a time")
        self.assertIsNot(get_store("again"), get_store())
        with connections["again"].cursor() as cursor:
            cursor.execute("SELECT 1")
        self.assertIsNot(connections["again"].connection, connection.connection)


class StoreWithoutAliasTest(TransactionTestCase):
    def setUp(self) -> None:
        folder = self.enterContext(tempfile.TemporaryDirectory())
        stores = {**settings.STORM_STORES, "alone": f"sqlite:{folder}/alone.sqlite3"}
        self.enterContext(override_settings(STORM_STORES=stores))
        self.store = get_store("alone")
        self.addCleanup(forget_store, "alone")
        self.addCleanup(transaction.abort)
        self.store.execute("CREATE TABLE a (id INTEGER PRIMARY KEY)")
        transaction.commit()

    def count(self) -> tuple[int, int]:
        (number,) = self.store.execute("SELECT count(*) FROM a").get_one()
        transaction.abort()
        return number, Entry.objects.count()

    def test_it_is_zstorms_and_takes_part_in_the_transaction(self) -> None:
        self.assertIs(global_zstorm.get("alone"), self.store)
        with self.assertRaises(ZeroDivisionError), commit_on_success():
            self.store.execute("INSERT INTO a VALUES (1)")
            Entry.objects.create(name="a")
            _ = 1 / 0
        self.assertEqual(self.count(), (0, 0))
        with commit_on_success():
            self.store.execute("INSERT INTO a VALUES (1)")
            Entry.objects.create(name="a")
        self.assertEqual(self.count(), (1, 1))

    def test_its_uri_is_that_of_the_settings(self) -> None:
        self.assertTrue(get_store_uri("alone").endswith("alone.sqlite3"))
