"""An error after which the server has ended the transaction by itself, and that was caught."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from unittest import mock

import transaction
from django.db import Error, connection, connections
from django.db.transaction import TransactionManagementError, atomic, set_autocommit
from django.db.transaction import commit as django_commit
from django.db.transaction import on_commit as django_on_commit
from django.db.transaction import rollback as django_rollback
from django.http import HttpRequest, HttpResponse
from django.test import TransactionTestCase, override_settings
from storm.exceptions import Error as StormError

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry, Unique
from tests.txmiddleware.conflict import conflict
from tests.txmiddleware.ended import Execute, by_django, by_storm, end, stock_alias
from tests.txmiddleware.urls import views
from txmiddleware import attempts, commit_on_success

Block = Callable[[], AbstractContextManager[object]]


class EndedTest(TransactionTestCase):
    """Nothing of such a transaction is committed, and nobody is told that it was."""

    databases = frozenset({"default", "plain"})

    @classmethod
    def setUpClass(cls) -> None:
        cls.stock = cls.enterClassContext(stock_alias())
        cls.databases = frozenset({"default", cls.stock})
        cls.ways: tuple[tuple[str, Execute], ...] = (
            ("default", by_django("default")),
            ("default", by_storm("default")),
            (cls.stock, by_django(cls.stock)),
        )
        super().setUpClass()

    def setUp(self) -> None:
        if connection.vendor == "postgresql":
            self.skipTest("it refuses each statement itself")
        self.addCleanup(transaction.abort)
        self.start()

    def start(self) -> None:
        transaction.abort()
        for alias in self.databases:
            Entry.objects.using(alias).all().delete()
            Unique.objects.using(alias).all().delete()
        for alias in ("default",) if connection.vendor == "mysql" else self.databases:
            Unique.objects.using(alias).create(value=1)
            for pk in (1, 2):
                Entry.objects.using(alias).create(pk=pk, name="first")

    def end_and_catch(self, alias: str, execute: Execute) -> None:
        Entry.objects.using(alias).create(name="before")
        with self.assertRaises((Error, StormError)):
            end(alias, execute)

    def assert_nothing_done(self, alias: str) -> None:
        names = list(Entry.objects.using(alias).values_list("name", flat=True))
        self.assertEqual(names, ["first", "first"])
        for wrapper in (connection, connections[alias]):
            self.assertTrue(wrapper.get_autocommit())
        Entry.objects.using(alias).create(name="next")  # it works again

    def test_in_a_scope_nothing_follows_and_nothing_is_committed(self) -> None:
        for alias, execute in self.ways:
            with self.subTest(alias=alias, execute=execute):
                self.start()
                with self.assertRaises(TransactionManagementError), commit_on_success():
                    self.end_and_catch(alias, execute)
                    with self.assertRaises(TransactionManagementError):
                        Entry.objects.using(alias).create(name="after")
                    if alias == "default":
                        with self.assertRaises(TransactionManagementError):
                            get_store().execute("SELECT 1")
                self.assert_nothing_done(alias)

    def test_what_storm_has_pending_is_refused_too(self) -> None:
        with self.assertRaises(TransactionManagementError), commit_on_success():
            self.end_and_catch("default", by_django("default"))
            get_store().add(StormEntry("after"))
        self.assert_nothing_done("default")

    def test_in_an_outermost_block_on_a_store(self) -> None:
        ran: list[str] = []
        for execute in (by_django("default"), by_storm("default")):
            with self.subTest(execute=execute):
                self.start()
                with self.assertRaises(TransactionManagementError), atomic():
                    django_on_commit(lambda: ran.append("ran"))
                    self.end_and_catch("default", execute)
                self.assert_nothing_done("default")
        self.assertEqual(ran, [])

    def test_an_inner_block_does_not_make_it_good(self) -> None:
        blocks: tuple[Block, ...] = (atomic, lambda: commit_on_success(savepoint=True))
        for outer in (atomic, commit_on_success):
            for inner in blocks:
                for inside in (False, True):  # is it caught in the inner block, or outside of it
                    with self.subTest(outer=outer, inner=inner, inside=inside):
                        self.start()
                        self.check_inner(outer, inner, inside)
                        self.assert_nothing_done("default")

    def check_inner(self, outer: Block, inner: Block, inside: bool) -> None:
        execute = by_django("default")
        with self.assertRaises(TransactionManagementError), outer():
            Entry.objects.create(name="before")
            if inside:
                with inner():
                    self.end_and_catch("default", execute)
            else:
                with self.assertRaises(Error), inner():
                    end("default", execute)

    def test_by_hand(self) -> None:
        set_autocommit(False)
        try:
            with self.assertRaises(TransactionManagementError), atomic():
                self.end_and_catch("default", by_django("default"))
                Entry.objects.create(name="after")
            with self.assertRaises(TransactionManagementError):
                django_commit()
        finally:
            django_rollback()
            set_autocommit(True)
        self.assert_nothing_done("default")

    @override_settings(
        ROOT_URLCONF="tests.txmiddleware.urls",
        MIDDLEWARE=["txmiddleware.middleware.TransactionMiddleware"],
    )
    def test_in_a_request(self) -> None:
        self.client.raise_request_exception = False
        for alias, execute in self.ways:
            for goes_on in (False, True):
                with self.subTest(alias=alias, execute=execute, goes_on=goes_on):
                    self.start()

                    def view(
                        request: HttpRequest, alias: str = alias, execute: Execute = execute
                    ) -> HttpResponse:
                        self.end_and_catch(alias, execute)
                        if goes_on:  # noqa: B023
                            Entry.objects.using(alias).create(name="after")
                        return HttpResponse("done")

                    with mock.patch.dict(views, view=view):
                        status = self.client.post("/sync/view/").status_code
                    self.assertEqual(status, 500)
                    self.assert_nothing_done(alias)

    def test_a_deadlock_is_tried_again_also_if_it_was_caught(self) -> None:
        if connection.vendor != "mysql":
            self.skipTest("another transaction would meet the same")
        for alias, execute in self.ways:
            for caught in (True, False):
                with self.subTest(alias=alias, execute=execute, caught=caught):
                    self.start()
                    self.check_attempts(alias, execute, caught)

    def check_attempts(self, alias: str, execute: Execute, caught: bool) -> None:
        calls: list[int] = []

        @attempts(3)
        def work() -> None:
            calls.append(1)
            Entry.objects.using(alias).create(name="before")
            if len(calls) == 1:
                try:
                    end(alias, execute)
                except (Error, StormError):
                    if not caught:
                        raise

        work()
        self.assertEqual(len(calls), 2)
        names = Entry.objects.using(alias).order_by("name").values_list("name", flat=True)
        self.assertEqual(list(names), ["before", "first", "first"])

    def test_an_error_that_undoes_a_statement_only_may_be_caught(self) -> None:
        if connection.vendor != "mysql":
            self.skipTest("others have no such error that leaves a transaction that has written")
        with conflict() as fail:  # a lock that is not granted in time
            Entry.objects.filter(pk=2).delete()
            with commit_on_success():
                Unique.objects.create(value=2)
                with self.assertRaises(Error), atomic():
                    fail()
                Unique.objects.create(value=3)
        self.assertEqual(Unique.objects.count(), 3)

    def test_a_row_that_was_changed_since_it_was_read_ends_it_on_mariadb(self) -> None:
        with connection.cursor() as cursor:
            if connection.vendor == "mysql":
                cursor.execute("SHOW VARIABLES LIKE 'innodb_snapshot_isolation'")
            if connection.vendor != "mysql" or cursor.fetchone() is None:
                self.skipTest("others do not know it")
            cursor.execute("SET innodb_snapshot_isolation = ON")
            self.addCleanup(connection.close)
        other = connection.copy()
        self.addCleanup(other.close)
        with self.assertRaises(TransactionManagementError), commit_on_success():
            Entry.objects.create(name="before")
            self.assertEqual(Entry.objects.count(), 3)
            with other.cursor() as cursor:
                cursor.execute(f"UPDATE {Entry._meta.db_table} SET done = 1 WHERE id = 1")
            with self.assertRaises(Error):
                Entry.objects.filter(pk=1).update(name="ours")
        self.assert_nothing_done("default")
