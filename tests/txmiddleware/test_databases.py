"""An ordinary Django database beside a store, in one transaction."""

from __future__ import annotations

from typing import Any
from unittest import mock

from django.db import connections
from django.db import transaction as django_transaction
from django.db.transaction import TransactionManagementError
from django.http import HttpRequest
from django.test import TestCase, TransactionTestCase, override_settings
from django.test.utils import CaptureQueriesContext

from tests.storm_django.models import Entry
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
