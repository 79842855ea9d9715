"""get_store, get_store_uri and STORM_STORES."""

from __future__ import annotations

import subprocess
import sys
import threading
from unittest import mock

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections
from django.test import SimpleTestCase, TransactionTestCase, override_settings
from storm.store import Store
from storm.uri import URI
from storm.zope.interfaces import ZStormError
from storm.zope.zstorm import global_zstorm

from storm_django import get_store, get_store_uri
from storm_django.conf import StoreSettings, conf
from tests.storm_django.models import StormEntry

SCHEME = """
import sys
from storm.database import create_database, register_scheme
from storm.exceptions import DatabaseModuleError
{before}
import storm_django.stores
try:
    print(type(create_database("postgres://server/database")).__name__)
except DatabaseModuleError:
    print("no driver")
"""


class SchemeTest(SimpleTestCase):
    def test_a_class_of_the_application_and_storms_error_stay(self) -> None:
        for before, expected in (
            ("register_scheme('postgres', lambda uri: 1)", "int"),
            ("sys.modules['psycopg2'] = None", "no driver"),
        ):
            with self.subTest(expected):
                done = subprocess.run(
                    [sys.executable, "-c", SCHEME.format(before=before)],
                    capture_output=True,
                    text=True,
                )
                self.assertEqual(done.stdout.strip(), expected, done.stderr)


class StoreTest(TransactionTestCase):
    def test_without_a_name_it_is_the_store_of_the_default_alias(self) -> None:
        self.assertIs(get_store(), get_store("main"))
        self.assertIsInstance(get_store(), Store)

    def test_it_is_the_store_that_zstorm_knows(self) -> None:
        self.assertIs(global_zstorm.get("main"), get_store("main"))

    def test_zstorm_makes_the_same_kind_of_store(self) -> None:
        global_zstorm.remove(get_store())
        store = global_zstorm.get("main")
        store.add(StormEntry("a"))
        self.assertTrue(connection.in_atomic_block)
        self.assertIs(get_store(), store)
        store.rollback()

    def test_it_is_made_anew_after_zstorm_was_reset(self) -> None:
        # Storm's test support does so.
        old = get_store()
        global_zstorm._reset()
        store = get_store()
        self.assertIsNot(store, old)
        store.add(StormEntry("a"))
        self.assertTrue(connection.in_atomic_block)
        store.rollback()
        self.assertIs(global_zstorm.get("main"), store)

    def test_each_thread_has_its_own(self) -> None:
        found = []

        def work() -> None:
            found.append(get_store())
            connections.close_all()

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        self.assertIsNot(found[0], get_store())

    def test_the_store_of_another_thread_is_refused(self) -> None:
        store = get_store()
        errors = []

        def work() -> None:
            try:
                store.add(StormEntry("a"))
            except ZStormError as error:
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        self.assertIn("another thread", str(errors[0]))

    def test_both_orms_use_one_connection(self) -> None:
        store = get_store()
        connection.ensure_connection()
        self.assertIs(store._connection._raw_connection._connection, connection.connection)

    def test_the_connection_is_the_same_after_django_has_closed_it(self) -> None:
        store = get_store()
        connection.close()
        self.assertEqual(store.execute("SELECT 1").get_one(), (1,))
        store.rollback()
        connection.close()
        connection.ensure_connection()
        self.assertIs(store._connection._raw_connection._connection, connection.connection)

    def test_an_unknown_name_is_an_error_that_lists_the_known(self) -> None:
        for function in (get_store, get_store_uri):
            with self.assertRaisesMessage(ImproperlyConfigured, "STORM_STORES has main"):
                function("elsewhere")

    def test_the_uri_names_the_test_database(self) -> None:
        uri = URI(get_store_uri())
        self.assertEqual(uri.database, connection.settings_dict["NAME"])
        self.assertIn("test", uri.database)
        self.assertEqual(get_store_uri("main"), get_store_uri())

    def test_a_store_that_is_no_longer_zstorms_joins_nothing(self) -> None:
        store = get_store()
        global_zstorm.remove(store)
        store.add(StormEntry("a"))
        self.assertFalse(connection.in_atomic_block)


class SettingsTest(SimpleTestCase):
    def test_an_entry_is_a_uri_or_a_dict(self) -> None:
        with override_settings(
            STORM_STORES={
                "a": "sqlite:a",
                "b": {"URI": "sqlite:b", "SCHEMA": "c.d"},
                "e": {"URI": "postgres:e", "TWO_PHASE": True},
            }
        ):
            self.assertEqual(
                conf.stores,
                {
                    "a": StoreSettings("a", "sqlite:a"),
                    "b": StoreSettings("b", "sqlite:b", "c.d"),
                    "e": StoreSettings("e", "postgres:e", two_phase=True),
                },
            )

    def test_a_wrong_entry_is_named(self) -> None:
        for wrong, message in (
            ({"a": 7}, "STORM_STORES['a'] is 7"),
            ({"a": {"SCHEMA": "x"}}, "with the key 'URI'"),
            ({"a": {"URI": "sqlite:", "TIMEOUT": 3}}, "unknown key 'TIMEOUT'"),
            ({"a": {"URI": "postgres:", "TWO_PHASE": 1}}, "['TWO_PHASE'] is 1, not True or False"),
            ({"a": {"URI": "mysql:", "TWO_PHASE": True}}, "only the driver for PostgreSQL"),
            (["a"], "not a dict"),
        ):
            with (
                self.subTest(wrong),
                override_settings(STORM_STORES=wrong),
                self.assertRaisesMessage(ImproperlyConfigured, message),
            ):
                conf.stores  # noqa: B018

    def test_an_alias_may_carry_the_uri_itself(self) -> None:
        store = conf.store_of_alias("reports", {"NAME": "sqlite:/tmp/reports.sqlite3"})
        self.assertEqual(store, StoreSettings("reports", "sqlite:/tmp/reports.sqlite3"))

    def test_an_alias_of_no_store_is_an_error(self) -> None:
        with self.assertRaisesMessage(ImproperlyConfigured, "which is no store"):
            conf.store_of_alias("default", {"NAME": "mian"})

    def test_an_alias_without_autocommit_is_an_error(self) -> None:
        with self.assertRaisesMessage(ImproperlyConfigured, "['AUTOCOMMIT'] is off"):
            conf.store_of_alias("default", {"NAME": "main", "AUTOCOMMIT": False})

    def test_two_aliases_on_one_store_are_an_error(self) -> None:
        alias = {"ENGINE": "storm_django.backend", "NAME": "main"}
        with (
            mock.patch.dict(settings.DATABASES, {"default": alias, "again": dict(alias)}),
            self.assertRaisesMessage(ImproperlyConfigured, "both name the store 'main'"),
        ):
            conf.aliases()

    def test_without_a_store_behind_the_default_alias_a_name_is_needed(self) -> None:
        database = connections.settings["default"]
        self.addCleanup(database.__setitem__, "ENGINE", database["ENGINE"])
        database["ENGINE"] = "django.db.backends.sqlite3"
        with self.assertRaisesMessage(ImproperlyConfigured, "name the store"):
            get_store()

    def test_the_parts_of_the_uri_stand_where_django_looks(self) -> None:
        uri = URI(settings.STORM_STORES["main"]["URI"])
        found = connections.settings["default"]
        self.assertEqual(found["HOST"], uri.host or "")
        self.assertEqual(found["USER"], uri.username or "")
        self.assertEqual(found["PORT"], str(uri.port or ""))
