"""The table "What the transactions must be": five objects, 2 to 4 inside an inner function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

from django.db import transaction
from django.db.transaction import TransactionManagementError
from django.http import HttpRequest
from django.test import TransactionTestCase, override_settings

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from tests.txmiddleware.urls import views
from tests.txmiddleware.witness import witness
from txmiddleware import commit_on_success

MIDDLEWARE = ["txmiddleware.middleware.TransactionMiddleware"]


class InnerError(Exception):
    """What the inner function raises after object 4."""


@override_settings(ROOT_URLCONF="tests.txmiddleware.urls")
class TableTest(TransactionTestCase):
    """Each row of the table is a test."""

    def transactions(
        self,
        inner: Callable[[Callable[[], None]], object] = lambda change: change(),
        *,
        middleware: bool,
        fails: bool = False,
        caught: bool = False,
        storm: bool = True,
    ) -> list[set[int]]:
        """Make the request; the positions of what was committed, grouped by transaction."""

        def write(position: int) -> None:
            if storm and position in (2, 4):
                get_store().add(StormEntry("storm", position))
                get_store().flush()
            else:
                Entry.objects.create(name="django", position=position)
            seen.look()

        def change() -> None:
            for position in (2, 3, 4):
                write(position)
            if fails:
                raise InnerError

        def view(request: HttpRequest) -> None:
            write(1)
            try:
                inner(change)
            except InnerError:
                if not caught:
                    raise
            seen.look()
            write(5)

        with (
            witness() as seen,
            mock.patch.dict(views, five=view),
            override_settings(MIDDLEWARE=MIDDLEWARE if middleware else []),
        ):
            self.client.raise_request_exception = False
            self.response = self.client.get("/sync/five/")
            return seen.transactions()

    def test_without_middleware_each_statement_is_a_transaction(self) -> None:
        self.assertEqual(
            self.transactions(middleware=False, storm=False), [{1}, {2}, {3}, {4}, {5}]
        )

    def test_without_middleware_the_decorated_function_is_a_transaction(self) -> None:
        self.assertEqual(
            self.transactions(lambda change: commit_on_success(change)(), middleware=False),
            [{1}, {2, 3, 4}, {5}],
        )

    def test_with_middleware_the_request_is_a_transaction(self) -> None:
        self.assertEqual(self.transactions(middleware=True), [{1, 2, 3, 4, 5}])

    def test_a_decorated_function_does_not_cut_the_request_in_two(self) -> None:
        self.assertEqual(
            self.transactions(lambda change: commit_on_success(change)(), middleware=True),
            [{1, 2, 3, 4, 5}],
        )

    def test_a_caught_failure_of_a_decorated_function_dooms_the_request(self) -> None:
        self.assertEqual(
            self.transactions(
                lambda change: commit_on_success(change)(),
                middleware=True,
                fails=True,
                caught=True,
            ),
            [],
        )
        self.assertEqual(self.response.status_code, 500)

    def test_with_a_savepoint_a_caught_failure_undoes_the_inner_work_alone(self) -> None:
        self.assertEqual(
            self.transactions(
                lambda change: commit_on_success(savepoint=True)(change)(),
                middleware=True,
                fails=True,
                caught=True,
            ),
            [{1, 5}],
        )
        self.assertEqual(self.response.status_code, 200)

    def test_an_atomic_block_does_not_cut_the_request_in_two(self) -> None:
        self.assertEqual(
            self.transactions(lambda change: transaction.atomic(change)(), middleware=True),
            [{1, 2, 3, 4, 5}],
        )

    def test_a_caught_failure_of_an_atomic_block_undoes_the_inner_work_alone(self) -> None:
        self.assertEqual(
            self.transactions(
                lambda change: transaction.atomic(change)(),
                middleware=True,
                fails=True,
                caught=True,
            ),
            [{1, 5}],
        )

    def test_what_asks_for_another_transaction_is_refused(self) -> None:
        @contextmanager
        def autocommit() -> Iterator[None]:
            transaction.set_autocommit(True)
            yield

        def commits(change: Callable[[], None]) -> None:
            change()
            transaction.commit()

        def in_autocommit(change: Callable[[], None]) -> None:
            with autocommit():
                change()

        for inner in (commits, in_autocommit):
            with self.subTest(inner.__name__):
                self.assertEqual(self.transactions(inner, middleware=True), [])
                self.assertEqual(self.response.status_code, 500)
                error = self.response.exc_info[1]
                self.assertIsInstance(error, TransactionManagementError)
