"""What code that the last flush calls has to say about the outcome: as much as any other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import transaction
from django.db import DatabaseError, connection
from django.db.transaction import TransactionManagementError, atomic, set_rollback
from django.http import HttpResponse
from django.test import TestCase, TransactionTestCase, override_settings
from storm.exceptions import Error as StormError

from storm_django import get_store
from storm_django.signals import saved
from tests.storm_django.models import Entry, StormEntry
from tests.txmiddleware.resource import Resource
from tests.txmiddleware.test_middleware import TRANSACTIONS, RequestMixin
from tests.txmiddleware.test_timeout import by_django
from txmiddleware import commit_on_success


def fail_quietly(block: Any) -> None:
    with suppress(ZeroDivisionError), block:
        Entry.objects.create(name="inner")
        raise ZeroDivisionError


def fail_in_server() -> None:
    with suppress(DatabaseError, StormError):
        get_store().execute("SELECT * FROM nowhere")


AGAINST: dict[str, Callable[[], Any]] = {
    "doom": lambda: transaction.doom(),
    "set_rollback": lambda: set_rollback(True),
    "an inner scope that failed": lambda: fail_quietly(commit_on_success()),
    "a block without a savepoint that failed": lambda: fail_quietly(atomic(savepoint=False)),
}
ONLY_OUTSIDE_OF_A_TEST_CASE: dict[str, Callable[[], Any]] = {
    "close": lambda: connection.close(),
}
ON_POSTGRESQL: dict[str, Callable[[], Any]] = {"a statement that failed": fail_in_server}


class LastFlushMixin(RequestMixin):
    assertEqual: Callable[..., None]

    def setUp(self) -> None:
        self.calls = 0
        self.act: Callable[[], Any] = lambda: None
        saved.connect(self.receive, sender=StormEntry)
        self.addCleanup(saved.disconnect, self.receive, sender=StormEntry)  # type: ignore[attr-defined]

    def receive(self, instance: Any, **kwargs: Any) -> None:
        if instance.name == "last":
            self.calls += 1
            self.act()

    def view(self, request: Any) -> HttpResponse:
        Entry.objects.create(name="first")
        get_store().add(StormEntry("last"))
        return HttpResponse("done")

    def names(self) -> list[str]:
        return sorted(Entry.objects.values_list("name", flat=True))

    def acts(self) -> dict[str, Callable[[], Any]]:
        return AGAINST | (ON_POSTGRESQL if connection.vendor == "postgresql" else {})


@override_settings(ROOT_URLCONF="tests.txmiddleware.urls", MIDDLEWARE=[TRANSACTIONS])
class LastFlushTest(LastFlushMixin, TransactionTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(transaction.abort)

    def assert_undone_and_at_rest(self, block: Callable[[], Any]) -> None:
        """That nothing was committed, and that such a block works afterwards."""
        self.assertEqual(self.names(), [])
        with block():
            self.view(None)
        self.assertEqual(self.names(), ["first", "last"])
        Entry.objects.all().delete()

    def test_a_request_that_it_speaks_against_is_no_success(self) -> None:
        for name, act in (self.acts() | ONLY_OUTSIDE_OF_A_TEST_CASE).items():
            with self.subTest(name):
                self.act = act
                self.assertEqual(self.request(self.view).status_code, 500)
                self.act = lambda: None
                self.assertEqual(self.names(), [])
                self.assertEqual(self.request(self.view).status_code, 200)
                self.assertEqual(self.names(), ["first", "last"])
                Entry.objects.all().delete()

    def test_a_block_that_it_speaks_against_is_an_error(self) -> None:
        for block in (commit_on_success, atomic):
            for name, act in (self.acts() | ONLY_OUTSIDE_OF_A_TEST_CASE).items():
                with self.subTest(name, block=block):
                    self.act = act
                    with self.assertRaises(TransactionManagementError), block():
                        self.view(None)
                    self.act = lambda: None
                    self.assert_undone_and_at_rest(block)

    def test_hooks_before_the_commit_have_as_much_to_say(self) -> None:
        acts = {
            "doom": transaction.doom,
            "abort": transaction.abort,
            "commit": transaction.commit,
            "an inner scope that failed": AGAINST["an inner scope that failed"],
            "set_rollback": AGAINST["set_rollback"],
        }
        for block in (commit_on_success, atomic, lambda: transaction.manager):
            for name, act in acts.items():
                with self.subTest(name, block=block):
                    with self.assertRaises(TransactionManagementError), block():
                        Entry.objects.create(name="first")
                        transaction.get().addBeforeCommitHook(act)
                    transaction.abort()
                    self.assert_undone_and_at_rest(block)

    def test_the_last_flush_of_a_plain_transaction_is_judged_too(self) -> None:
        acts = self.acts() | {"abort": transaction.abort, "commit": transaction.commit}
        del acts["doom"]  # refused by the package at that time
        for name, act in acts.items():
            with self.subTest(name):
                self.act = act
                with self.assertRaises(TransactionManagementError), transaction.manager:
                    self.view(None)
                self.act = lambda: None
                transaction.abort()
                self.assert_undone_and_at_rest(lambda: transaction.manager)

    @override_settings(TX_TIMEOUT=0.3)
    def test_a_statement_that_was_out_of_time_is_not_hidden(self) -> None:
        def act() -> None:
            with suppress(DatabaseError):
                by_django()

        self.act = act
        self.assertEqual(self.request(self.view).status_code, 503)
        self.assertEqual(self.names(), [])

    def test_a_resource_is_asked_whether_to_try_again(self) -> None:
        class Retried(Resource):
            def should_retry(self, error: BaseException) -> bool:
                return isinstance(error, KeyError)

        def view(request: Any) -> HttpResponse:
            transaction.get().join(Retried())
            return self.view(request)

        def act() -> None:
            if self.calls == 1:
                raise KeyError

        self.act = act
        self.assertEqual(self.request(view).status_code, 200)
        self.assertEqual((self.calls, self.names()), (2, ["first", "last"]))


@override_settings(ROOT_URLCONF="tests.txmiddleware.urls", MIDDLEWARE=[TRANSACTIONS])
class LastFlushInTestCaseTest(LastFlushMixin, TestCase):
    def test_a_request_is_judged_as_outside_of_tests_and_leaves_nothing(self) -> None:
        Entry.objects.create(name="of the test")
        for name, act in self.acts().items():
            with self.subTest(name):
                self.act = act
                self.assertEqual(self.request(self.view).status_code, 500)
                self.act = lambda: None
                self.assertEqual(self.names(), ["of the test"])
                self.assertEqual(self.request(self.view).status_code, 200)
                self.assertEqual(self.names(), ["first", "last", "of the test"])
                Entry.objects.exclude(name="of the test").delete()

    def test_a_request_that_its_view_dooms_does_not_doom_the_next(self) -> None:
        for doom in (transaction.doom, lambda: fail_quietly(commit_on_success())):
            self.request(lambda request, doom=doom: doom())
            self.assertEqual(self.names(), [])
            self.assertEqual(self.request(self.view).status_code, 200)
            self.assertEqual(self.names(), ["first", "last"])
            Entry.objects.all().delete()
