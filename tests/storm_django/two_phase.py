"""Two stores that commit in two phases, on a server of the test's own that can prepare."""

from __future__ import annotations

from typing import Any
from unittest import SkipTest

import psycopg2
import transaction
from django.conf import settings
from django.db import connection, connections
from django.test import SimpleTestCase, override_settings

from storm_django import get_store
from storm_django.models import TransactionOutcome
from tests.private_servers import private_server
from tests.storm_django.aliases import extra_alias, forget_store
from tests.storm_django.models import Entry, StormEntry
from tests.txmiddleware.resource import expect_failures
from txmiddleware import commit_on_success

ALIASES = ("first", "second")
PLAIN = "plain_store"  # no alias of Django's is about it
TABLE = Entry._meta.db_table


def prepared(server: Any) -> list[str]:
    """The databases that have a prepared transaction."""
    with psycopg2.connect(server.uri) as raw, raw.cursor() as cursor:
        cursor.execute("SELECT database FROM pg_prepared_xacts ORDER BY database")
        found = [database for (database,) in cursor.fetchall()]
    raw.close()
    return found


class TwoPhaseCase(SimpleTestCase):
    databases = "__all__"

    @classmethod
    def setUpClass(cls) -> None:
        if connection.vendor == "sqlite":
            raise SkipTest("runs beside the servers")
        cls.server = cls.enterClassContext(private_server("postgresql"))
        stores = {}
        raw = psycopg2.connect(cls.server.uri)
        raw.autocommit = True
        with raw.cursor() as cursor:
            for name in (*ALIASES, PLAIN):
                cursor.execute(f"CREATE DATABASE {name}")
                uri = f"{cls.server.uri.rpartition('/')[0]}/{name}"
                stores[name] = {"URI": uri, "TWO_PHASE": True}
        raw.close()
        cls.enterClassContext(override_settings(STORM_STORES=settings.STORM_STORES | stores))
        cls.addClassCleanup(forget_store, PLAIN)
        for name in ALIASES:
            cls.enterClassContext(extra_alias(name, name))
        super().setUpClass()
        for name in ALIASES:
            with connections[name].schema_editor() as editor:
                editor.create_model(Entry)
                editor.create_model(TransactionOutcome)
                editor.execute(f"ALTER TABLE {TABLE} ADD late int")
                editor.execute(
                    f"ALTER TABLE {TABLE} ADD UNIQUE (late) DEFERRABLE INITIALLY DEFERRED"
                )

    def setUp(self) -> None:
        expect_failures(self)
        self.addCleanup(self.forget)

    def forget(self) -> None:
        transaction.abort()
        for name in ("default", *ALIASES):
            Entry.objects.using(name).all().delete()
            TransactionOutcome.objects.using(name).all().delete()

    def names(self) -> dict[str, list[str]]:
        return {
            name: list(Entry.objects.using(name).order_by("name").values_list("name", flat=True))
            for name in ALIASES
        }

    def work(self, voter: Any, name: str = "a") -> None:
        with commit_on_success():
            transaction.get().join(voter)
            Entry.objects.using("first").create(name=f"{name} (django)")
            get_store("first").add(StormEntry(f"{name} (storm)"))
            get_store("second").add(StormEntry(f"{name} (storm)"))

    def written(self, *names: str) -> dict[str, list[str]]:
        storm = [f"{name} (storm)" for name in names]
        return {"first": sorted([*(f"{name} (django)" for name in names), *storm]), "second": storm}

    def assert_at_rest(self) -> None:
        self.assertEqual(prepared(self.server), [])
        for name in ALIASES:
            self.assertFalse(connections[name].in_atomic_block)
            self.assertTrue(connections[name].get_autocommit())
