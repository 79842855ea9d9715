"""An ordinary Django database beside a store, in one transaction."""

from __future__ import annotations

from typing import Any
from unittest import mock

import transaction
from django.contrib.auth.models import Permission
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, OperationalError, connections
from django.db import transaction as django_transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.sqlite3 import base as sqlite3
from django.db.transaction import TransactionManagementError
from django.http import HttpRequest
from django.test import TestCase, TransactionTestCase, override_settings
from django.test.utils import CaptureQueriesContext

from tests.storm_django.models import Entry
from tests.txmiddleware.resource import Resource
from tests.txmiddleware.urls import views
from txmiddleware import commit_on_success
from txmiddleware.databases import Participant


class Oops(Exception):
    """An error of the application."""


def write(name: str) -> None:
    """One row in each database."""
    for alias in ("default", "plain"):
        Entry.objects.using(alias).create(name=name)


def names() -> dict[str, list[str]]:
    """What is in each database."""
    return {
        alias: sorted(Entry.objects.using(alias).values_list("name", flat=True))
        for alias in ("default", "plain")
    }


def in_both(*found: str) -> dict[str, list[str]]:
    return {"default": list(found), "plain": list(found)}


class StockDatabaseTest(TransactionTestCase):
    databases = {"default", "plain"}

    def test_both_databases_commit_and_abort_together(self) -> None:
        with commit_on_success():
            write("a")
        with self.assertRaises(Oops), commit_on_success():
            write("b")
            raise Oops
        self.assertEqual(names(), in_both("a"))

    def test_an_engine_that_begins_or_commits_in_its_own_way_does_so(self) -> None:
        former = connections["plain"]
        done = []

        class Connects(sqlite3.DatabaseWrapper):
            def ensure_connection(self) -> None:
                done.append("ensure_connection")
                super().ensure_connection()

            def _start_transaction_under_autocommit(self) -> None:
                self.begins_after = list(done)
                super()._start_transaction_under_autocommit()  # type: ignore[misc]

        class Begins(sqlite3.DatabaseWrapper):
            def set_autocommit(self, autocommit: bool, **options: Any) -> None:
                done.append(f"set_autocommit({autocommit})")
                super().set_autocommit(autocommit, **options)

        class Commits(sqlite3.DatabaseWrapper):
            def _commit(self) -> None:
                done.append("commit")
                super()._commit()  # type: ignore[misc]

        self.addCleanup(connections.__setitem__, "plain", former)
        for engine, expected in (
            (Connects, "ensure_connection"),
            (Begins, "set_autocommit(False)"),
            (Commits, "commit"),
        ):
            with self.subTest(engine.__name__):
                connections["plain"] = engine(former.settings_dict, "plain")
                connections["plain"].connect()
                del done[:]
                with commit_on_success():
                    connections["plain"].in_atomic_block  # noqa: B018
                    if engine is not Commits:
                        self.assertIn(expected, getattr(connections["plain"], "begins_after", done))
                    Entry.objects.using("plain").create(name=engine.__name__)
                connections["plain"].close()
                self.assertIn(expected, done)
        connections["plain"] = former
        self.assertEqual(names()["plain"], ["Begins", "Commits", "Connects"])

    def test_tracers_that_replace_methods_of_django_see_both_ends(self) -> None:
        for alias in ("default", "plain"):
            connections[alias].ensure_connection()
            for name in ("set_autocommit", "_commit"):
                for owner in (BaseDatabaseWrapper, type(connections[alias]), connections[alias]):
                    with self.subTest(alias, name=name, owner=owner):
                        method, seen = getattr(owner, name), []

                        def traced(
                            *args: Any, method: Any = method, seen: Any = seen, **kw: Any
                        ) -> None:
                            seen.append(args)
                            method(*args, **kw)

                        with mock.patch.object(owner, name, traced), commit_on_success():
                            Entry.objects.using(alias).create(name="a")
                        self.assertEqual(len(seen), 1)

    def test_a_database_that_is_not_used_gets_no_statement(self) -> None:
        with CaptureQueriesContext(connections["plain"]) as queries, commit_on_success():
            Entry.objects.create(name="a")
        self.assertEqual(len(queries), 0)

    def test_an_atomic_block_as_the_first_use_is_a_savepoint(self) -> None:
        for options in ({}, {"savepoint": False}):
            with self.subTest(options):
                with self.assertRaises(Oops), commit_on_success():
                    with django_transaction.atomic(using="plain", **options):
                        Entry.objects.using("plain").create(name="a")
                    raise Oops
                self.assertEqual(names(), in_both())
                self.assertTrue(connections["plain"].get_autocommit())

    def test_a_savepoint_covers_both_databases(self) -> None:
        with commit_on_success():
            write("a")
            with self.assertRaises(Oops), commit_on_success(savepoint=True):
                write("b")
                raise Oops
        self.assertEqual(names(), in_both("a"))

    def test_a_savepoint_undoes_a_database_that_joined_later(self) -> None:
        with commit_on_success():
            with self.assertRaises(Oops), commit_on_success(savepoint=True):
                write("b")
                raise Oops
            write("c")
        self.assertEqual(names(), in_both("c"))

    def test_commit_and_durable_blocks_are_refused(self) -> None:
        with commit_on_success():
            Entry.objects.using("plain").create(name="a")
            with self.assertRaises(TransactionManagementError):
                django_transaction.commit(using="plain")
            with (
                self.assertRaises(TransactionManagementError),
                django_transaction.atomic(using="plain", durable=True),
            ):
                pass
        self.assertEqual(names()["plain"], ["a"])

    def test_inside_a_block_of_its_own_failure_asks_for_its_rollback(self) -> None:
        with django_transaction.atomic(using="plain"):
            with self.assertRaises(Oops), commit_on_success():
                Entry.objects.using("plain").create(name="a")
                raise Oops
            self.assertTrue(django_transaction.get_rollback(using="plain"))
        self.assertEqual(names(), in_both())

    def test_inside_a_block_of_its_own_success_leaves_the_commit_to_it(self) -> None:
        with self.assertRaises(Oops), django_transaction.atomic(using="plain"):
            with commit_on_success():
                Entry.objects.using("plain").create(name="a")
            raise Oops
        self.assertEqual(names(), in_both())

    def test_blocks_on_two_databases_end_on_their_own(self) -> None:
        with (
            django_transaction.atomic(),
            self.assertRaises(Oops),
            django_transaction.atomic(using="plain"),
        ):
            write("a")
            raise Oops
        self.assertEqual(names(), {"default": ["a"], "plain": []})

    def test_a_commit_that_the_database_refuses_is_rolled_back(self) -> None:
        for alias in ("default", "plain"):
            if not connections[alias].features.can_defer_constraint_checks:
                continue
            with self.subTest(alias), CaptureQueriesContext(connections[alias]) as queries:
                ran: list[str] = []
                with self.assertRaises(IntegrityError), commit_on_success():
                    Entry.objects.using(alias).create(name="a")
                    django_transaction.on_commit(lambda ran=ran: ran.append("a"), using=alias)
                    Permission.objects.using(alias).create(content_type_id=98765, name="none")
                self.assertEqual([query["sql"] for query in queries][-2:], ["COMMIT", "ROLLBACK"])
                self.assert_idle(alias)
                with commit_on_success():
                    Entry.objects.using(alias).create(name="b")
                self.assertEqual((names()[alias], ran), (["b"], []))

    def test_a_commit_that_breaks_off_is_rolled_back(self) -> None:
        for alias in ("default", "plain"):
            with self.subTest(alias):
                with (
                    self.assertRaises(KeyboardInterrupt),
                    mock.patch.object(
                        type(connections[alias]), "_commit", side_effect=KeyboardInterrupt
                    ),
                    commit_on_success(),
                ):
                    Entry.objects.using(alias).create(name="a")
                self.assert_idle(alias)
                with commit_on_success():
                    Entry.objects.using(alias).create(name="b")
                self.assertEqual(names()[alias], ["b"])

    def test_a_session_that_ends_after_its_commit_has_committed(self) -> None:
        for alias in ("default", "plain"):
            wrapper = connections[alias]
            with self.subTest(alias):
                ran: list[str] = []
                with self.assertLogs("txmiddleware", "WARNING"), commit_on_success():
                    Entry.objects.using(alias).create(name="a")
                    django_transaction.on_commit(lambda ran=ran: ran.append("a"), using=alias)
                    lost = mock.patch.object(
                        type(wrapper), "_set_autocommit", side_effect=OperationalError
                    )
                    lost.start()
                    self.addCleanup(lost.stop)
                lost.stop()
                self.assertEqual((names()[alias], ran), (["a"], ["a"]))
                self.assert_idle(alias)

    def test_those_who_replace_the_methods_of_atomic_learn_of_both_ends(self) -> None:
        learned = []

        def replaced(method: Any) -> Any:
            def call(atomic: Any, *args: Any) -> Any:
                learned.append(method.__name__)
                return method(atomic, *args)

            return call

        atomic = django_transaction.Atomic
        with mock.patch.multiple(
            atomic, __enter__=replaced(atomic.__enter__), __exit__=replaced(atomic.__exit__)
        ):
            with commit_on_success():
                connections["plain"].cursor().close()
            with self.assertRaises(Oops), commit_on_success():
                connections["plain"].cursor().close()
                raise Oops
        self.assertEqual(learned, ["__enter__", "__exit__"] * 2)

    def test_a_resource_that_spoils_a_database_keeps_it_from_committing(self) -> None:
        class Spoiler(Resource):
            def __init__(self, alias: str, phase: str, spoil: Any) -> None:
                setattr(self, phase, lambda txn: spoil(alias))

        def close(alias: str) -> None:
            connections[alias].close()

        def ask_for_rollback(alias: str) -> None:
            django_transaction.set_rollback(True, using=alias)

        for alias in ("default", "plain"):
            for phase in ("commit", "tpc_vote"):
                for spoil in (close, ask_for_rollback):
                    with self.subTest(alias, phase=phase, spoil=spoil.__name__):
                        ran: list[str] = []
                        with self.assertRaises(TransactionManagementError), commit_on_success():
                            transaction.get().join(Spoiler(alias, phase, spoil))
                            Entry.objects.using(alias).create(name="a")
                            django_transaction.on_commit(lambda r=ran: r.append("a"), using=alias)
                        self.assertEqual((names(), ran), (in_both(), []))
                        self.assert_idle(alias)

    def test_a_closed_connection_is_an_error(self) -> None:
        for alias in ("default", "plain"):
            if connections[alias].vendor == "sqlite" and connections[alias].is_in_memory_db():
                continue  # which is never closed
            with (
                self.subTest(alias),
                self.assertRaisesMessage(TransactionManagementError, "closed connection"),
                commit_on_success(),
            ):
                write("a")
                connections[alias].close()
            self.assertEqual(names(), in_both())

    def test_after_set_autocommit_off_a_scope_is_refused(self) -> None:
        django_transaction.set_autocommit(False, using="plain")
        try:
            with (
                self.assertRaisesMessage(TransactionManagementError, "call set_autocommit(True)"),
                commit_on_success(),
            ):
                write("a")
        finally:
            django_transaction.rollback(using="plain")
            django_transaction.set_autocommit(True, using="plain")
        self.assertEqual(names(), in_both())

    def assert_idle(self, alias: str) -> None:
        wrapper = connections[alias]
        self.assertTrue(wrapper.get_autocommit())
        self.assertEqual((wrapper.in_atomic_block, wrapper.atomic_blocks), (False, []))

    def test_a_database_without_autocommit_is_refused(self) -> None:
        wrapper = connections["plain"]
        wrapper.close()
        self.addCleanup(wrapper.close)
        with (
            mock.patch.dict(wrapper.settings_dict, AUTOCOMMIT=False),
            self.assertRaisesMessage(ImproperlyConfigured, "leave 'plain' out of TX_DATABASES"),
            commit_on_success(),
        ):
            write("a")
        self.assertEqual(names(), in_both())

    @override_settings(TX_DATABASES=["default"])
    def test_a_database_that_is_not_named_goes_its_own_way(self) -> None:
        if isinstance(connections["plain"], Participant):
            del connections["plain"]
        with self.assertRaises(Oops), commit_on_success():
            write("a")
            raise Oops
        self.assertEqual(names(), {"default": [], "plain": ["a"]})

    def test_the_wrapper_stays_the_same_object(self) -> None:
        wrapper = connections["plain"]
        with commit_on_success():
            write("a")
        self.assertIs(connections["plain"], wrapper)
        self.assertEqual(wrapper.vendor, "sqlite")


@override_settings(
    ROOT_URLCONF="tests.txmiddleware.urls",
    MIDDLEWARE=["txmiddleware.middleware.TransactionMiddleware"],
)
class InTestCaseTest(TestCase):
    databases = {"default", "plain"}

    def request(self, view: Any) -> None:
        self.client.raise_request_exception = False
        with mock.patch.dict(views, view=view):
            self.client.post("/sync/view/")

    def test_requests_undo_or_keep_their_work_in_both(self) -> None:
        def fails(request: HttpRequest) -> None:
            write("b")
            raise Oops

        write("a")
        self.request(fails)
        self.assertEqual(names(), in_both("a"))
        self.request(lambda request: write("c"))
        self.assertEqual(names(), in_both("a", "c"))
        self.request(fails)
        self.assertEqual(names(), in_both("a", "c"))

    def test_the_test_before_left_nothing(self) -> None:
        self.assertEqual(names(), in_both())
