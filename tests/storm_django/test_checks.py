"""Each check is provoked once."""

from __future__ import annotations

import sys
import types
from importlib.machinery import ModuleSpec
from typing import Any
from unittest import mock

from django.conf import settings
from django.test import SimpleTestCase, override_settings

from storm_django import checks


def ids(messages: list[object]) -> list[str | None]:
    return [message.id for message in messages]  # type: ignore[attr-defined]


def databases(**stores: str) -> Any:
    """DATABASES with our engine for each alias, as long as the context lasts."""
    found = {
        alias: {"ENGINE": "storm_django.backend", "NAME": name} for alias, name in stores.items()
    }
    return mock.patch.dict(settings.DATABASES, found, clear=True)


class CheckTest(SimpleTestCase):
    @databases()
    @override_settings(STORM_STORES={"main": 7})
    def test_an_entry_is_no_uri(self) -> None:
        self.assertEqual(ids(checks.check_stores()), ["storm_django.E001"])

    @databases()
    @override_settings(STORM_STORES={"main": "oracle://host/db", "b": "nothing"})
    def test_a_scheme_is_unknown(self) -> None:
        messages = checks.check_uris()
        self.assertEqual(ids(messages), ["storm_django.E002", "storm_django.E002"])
        self.assertIn("oracle", messages[0].msg)

    @databases(default="mian")
    @override_settings(STORM_STORES={"main": "sqlite:"})
    def test_an_alias_names_no_store(self) -> None:
        messages = checks.check_aliases()
        self.assertEqual(ids(messages), ["storm_django.E003"])
        self.assertIn("mian", messages[0].msg)

    @databases(default="main", again="main")
    @override_settings(STORM_STORES={"main": "sqlite:"})
    def test_two_aliases_name_one_store(self) -> None:
        self.assertEqual(ids(checks.check_aliases()), ["storm_django.E003"])

    @databases(default="main")
    @override_settings(STORM_STORES={"main": "mysql://host/db"})
    def test_a_driver_is_missing(self) -> None:
        with mock.patch.object(checks, "find_spec", return_value=None):
            messages = checks.check_drivers()
        self.assertEqual(ids(messages), ["storm_django.E004"])
        self.assertEqual(messages[0].hint, "pip install mysqlclient")

    @databases(default="main")
    @override_settings(STORM_STORES={"main": "postgres://host/db"})
    def test_psycopg_3_is_in_the_way(self) -> None:
        module = types.ModuleType("psycopg")
        module.__spec__ = ModuleSpec("psycopg", None)
        with mock.patch.dict(sys.modules, psycopg=module):
            messages = checks.check_drivers()
        self.assertIn("storm_django.E005", ids(messages))

    @databases()
    def test_a_schema_can_not_be_imported(self) -> None:
        for wrong in ("no.such.schema", "tests.storm_django.test_checks.__name__"):
            stores = {"main": {"URI": "sqlite:", "SCHEMA": wrong}}
            with self.subTest(wrong), self.settings(STORM_STORES=stores):
                self.assertEqual(ids(checks.check_schemas()), ["storm_django.E006"])

    @databases(default="main")
    @override_settings(
        STORM_STORES={
            name: {"URI": "postgres:a", "TWO_PHASE": name != "other"}
            for name in ("main", "audit", "other")
        }
    )
    def test_a_store_in_two_phases_has_no_alias(self) -> None:
        messages = checks.check_two_phase()
        self.assertEqual(ids(messages), ["storm_django.E022"])
        self.assertIn("audit", messages[0].msg)

    @override_settings(
        STORM_STORES={
            "pg": "postgres:a",
            "my": "mysql:a",
            "stated": "postgres:a?isolation=repeatable-read",
            "servers": "mysql:a?isolation=default",
            "lite": "sqlite:",
            "storms": "postgres:a",
        }
    )
    def test_a_level_that_nobody_has_stated_is_not_djangos(self) -> None:
        with databases(default="pg", other="my", a="stated", b="servers", c="lite"):
            messages = checks.check_isolation()
        self.assertEqual(ids(messages), ["storm_django.W024"] * 2)
        self.assertIn("'pg'", messages[0].msg)
        self.assertIn("get_or_create()", messages[0].msg)
        self.assertIn("?isolation=read-committed", messages[0].hint or "")
        self.assertIn("'my'", messages[1].msg)

    @override_settings(STORM_STORES={"main": "postgres:a", "other": "mysql:a"})
    def test_an_option_of_the_alias_states_a_level_too(self) -> None:
        with databases(default="main", other="other"):
            settings.DATABASES["default"]["OPTIONS"] = {"isolation_level": 1}  # read committed
            settings.DATABASES["other"]["OPTIONS"] = {"isolation_level": "read committed"}
            self.assertEqual(checks.check_isolation(), [])
            settings.DATABASES["default"]["OPTIONS"] = {"isolation_level": 2}  # as the wrapper does
            settings.DATABASES["other"]["OPTIONS"] = {"isolation_level": None}
            self.assertEqual(len(checks.check_isolation()), 2)

    def test_the_settings_of_the_tests_are_right(self) -> None:
        for check in (
            checks.check_stores,
            checks.check_uris,
            checks.check_aliases,
            checks.check_drivers,
            checks.check_schemas,
        ):
            self.assertEqual(check(), [])
