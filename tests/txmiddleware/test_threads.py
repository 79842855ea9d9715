"""What a thread had begun before txmiddleware saw it for the first time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import transaction
from django.test import SimpleTestCase
from transaction.interfaces import TransientError

from tests.txmiddleware.resource import Resource
from txmiddleware import attempts, is_managed
from txmiddleware.leftovers import abort_leftovers


def in_new_thread(function: Callable[[], Any]) -> list[Any]:
    """What ``function`` returns there."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found


class FirstLookTest(SimpleTestCase):
    def test_an_implicit_transaction_from_before_is_not_a_scope(self) -> None:
        def work() -> Any:
            transaction.get().join(Resource())
            found = is_managed(), transaction.manager.explicit
            transaction.commit()  # still the business of whoever began it
            return found

        self.assertEqual(in_new_thread(work), [(False, False)])

    def test_a_transaction_that_is_begun_later_is_one(self) -> None:
        def work() -> Any:
            is_managed()
            transaction.begin()
            found = is_managed()
            transaction.abort()
            return found, is_managed()

        self.assertEqual(in_new_thread(work), [(True, False)])


class TaskTest(SimpleTestCase):
    """A worker that is not Django's: it has no signals, and calls the function itself."""

    def test_what_a_task_has_begun_and_not_ended_is_aborted_and_told(self) -> None:
        def work() -> Any:
            is_managed()
            transaction.begin().join(Resource())
            with self.assertLogs("txmiddleware", "WARNING") as logs:
                abort_leftovers()
            self.assertIn("Resource", logs.output[0])
            return is_managed(), transaction.get()._resources

        self.assertEqual(in_new_thread(work), [(False, [])])

    def test_one_that_was_doomed_is_ended_though_nobody_has_joined_it(self) -> None:
        def work() -> Any:
            is_managed()
            transaction.doom()
            with self.assertLogs("txmiddleware", "WARNING"):
                abort_leftovers()
            return transaction.get().isDoomed()

        self.assertEqual(in_new_thread(work), [False])


class Busy(TransientError):
    """The resource may be free the next time."""


class TransientTest(SimpleTestCase):
    def test_a_transient_error_is_tried_again_where_nothing_has_joined(self) -> None:
        calls = []

        @attempts(3)
        def work() -> str:
            calls.append(1)
            if len(calls) < 3:
                raise Busy
            return "done"

        self.assertEqual((work(), len(calls)), ("done", 3))
