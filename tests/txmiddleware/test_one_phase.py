"""``STORM_STRICT_COMMIT``: more than one resource that commits in one phase."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock, skipIf

import transaction
from django.db import connection, connections
from django.http import HttpRequest
from django.test import TransactionTestCase, override_settings
from storm.zope.zstorm import global_zstorm

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from tests.txmiddleware.urls import views
from txmiddleware import commit_on_success
from txmiddleware.exceptions import TransactionManagementError

NO_SESSION = any(importlib.util.find_spec(name) is None for name in ("sqlalchemy", "zope"))


@override_settings(
    ROOT_URLCONF="tests.txmiddleware.urls",
    MIDDLEWARE=["txmiddleware.middleware.TransactionMiddleware"],
    STORM_STRICT_COMMIT=True,
)
class StrictCommitTest(TransactionTestCase):
    databases = {"default", "plain"}

    def setUp(self) -> None:
        with connections["plain"].cursor() as cursor:
            cursor.execute("CREATE TABLE note (name varchar(40))")
        self.addCleanup(self.drop)

    def drop(self) -> None:
        with connections["plain"].cursor() as cursor:
            cursor.execute("DROP TABLE note")

    def note(self) -> None:
        with connections["plain"].cursor() as cursor:
            cursor.execute("INSERT INTO note (name) VALUES ('plain')")

    def notes(self) -> list[str]:
        with connections["plain"].cursor() as cursor:
            cursor.execute("SELECT name FROM note")
            return [name for (name,) in cursor.fetchall()]

    def names(self) -> list[str]:
        return sorted(Entry.objects.values_list("name", flat=True))

    def write(self, request: HttpRequest | None = None) -> None:
        get_store().add(StormEntry("storm"))
        Entry.objects.create(name="django")
        self.note()

    def test_two_databases_are_refused_before_either_commits(self) -> None:
        with (
            self.assertRaisesMessage(
                TransactionManagementError,
                "database 'default' and database 'plain' would each commit in one phase",
            ),
            commit_on_success(),
        ):
            self.write()
        self.assertEqual((self.names(), self.notes()), ([], []))

    def test_a_request_that_uses_both_is_an_error(self) -> None:
        self.client.raise_request_exception = False
        with mock.patch.dict(views, view=self.write):
            self.assertEqual(self.client.post("/sync/view/").status_code, 500)
        self.assertEqual((self.names(), self.notes()), ([], []))

    def test_requests_that_use_one_of_them_commit(self) -> None:
        with commit_on_success():
            Entry.objects.create(name="django")
        with commit_on_success():
            self.note()
        self.assertEqual((self.names(), self.notes()), (["django"], ["plain"]))

    def test_both_commit_where_it_is_not_asked_for(self) -> None:
        with self.settings(STORM_STRICT_COMMIT=False), commit_on_success():
            self.write()
        self.assertEqual((self.names(), self.notes()), (["django", "storm"], ["plain"]))

    def test_one_that_commits_in_two_phases_is_no_obstacle(self) -> None:
        if connection.vendor != "postgresql":
            self.skipTest("only the driver for PostgreSQL has the methods of two-phase commit")
        with connection.cursor() as cursor:
            cursor.execute("SHOW max_prepared_transactions")
            if cursor.fetchone()[0] == "0":
                self.skipTest("the server's max_prepared_transactions is 0")
        global_zstorm.set_default_tpc("main", True)
        self.addCleanup(global_zstorm._default_tpcs.pop, "main")
        with commit_on_success():
            self.write()
        self.assertEqual((self.names(), self.notes()), (["django", "storm"], ["plain"]))

    @skipIf(NO_SESSION, "zope.sqlalchemy is not installed")
    def test_a_session_that_wrote_counts_and_one_that_read_does_not(self) -> None:
        session, select, insert = self.session()
        with self.assertRaisesMessage(TransactionManagementError, "one phase"), commit_on_success():
            Entry.objects.create(name="django")
            session.execute(insert)
            self.mark_changed(session())
        self.assertEqual((self.names(), self.notes()), ([], []))
        with commit_on_success():
            Entry.objects.create(name="django")
            session.execute(select)
        self.assertEqual(self.names(), ["django"])

    def session(self) -> Any:
        import sqlalchemy
        import sqlalchemy.orm
        import zope.sqlalchemy

        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        engine = sqlalchemy.create_engine(f"sqlite:///{Path(folder.name, 'alchemy.sqlite3')}")
        self.addCleanup(engine.dispose)
        session = sqlalchemy.orm.scoped_session(sqlalchemy.orm.sessionmaker(engine))
        self.addCleanup(session.remove)
        self.addCleanup(transaction.abort)
        zope.sqlalchemy.register(session)
        with engine.begin() as plain:
            plain.execute(sqlalchemy.text("CREATE TABLE row (name varchar(40))"))
        self.mark_changed = zope.sqlalchemy.mark_changed
        return (
            session,
            sqlalchemy.text("SELECT name FROM row"),
            sqlalchemy.text("INSERT INTO row (name) VALUES ('alchemy')"),
        )
