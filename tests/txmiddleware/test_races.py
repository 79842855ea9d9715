"""Which integrity errors may come of a row that the transaction could not see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import IntegrityError, connection, connections
from django.test import TransactionTestCase, override_settings

from storm_django import get_store
from tests.storm_django.models import Item, Unique
from tests.txmiddleware.test_middleware import TRANSACTIONS, RequestMixin
from txmiddleware.retryable import retry_reason

TABLE = Unique._meta.db_table


def duplicate() -> None:
    Unique.objects.create(value=1)
    Unique.objects.create(value=1)


def duplicate_by_storm() -> None:
    for _ in range(2):
        get_store().execute(f"INSERT INTO {TABLE} (value) VALUES (1)")


def dangling() -> None:
    Item.objects.create(box_id=-1, name="in no box")
    connection.check_constraints()


def null() -> None:
    Unique.objects.create(value=None)


def null_by_storm() -> None:
    get_store().execute(f"INSERT INTO {TABLE} (value) VALUES (NULL)")


@override_settings(ROOT_URLCONF="tests.txmiddleware.urls", MIDDLEWARE=[TRANSACTIONS], TX_ATTEMPTS=2)
class RaceTest(RequestMixin, TransactionTestCase):
    databases = {"default", "plain"}

    def attempts(self, work: Callable[[], None]) -> int:
        seen = []

        def view(request: Any) -> None:
            seen.append(request.tx_attempt)
            work()

        self.assertEqual(self.request(view).status_code, 500)
        return len(seen)

    def test_a_row_that_is_there_or_gone_may_be(self) -> None:
        expected = 1 if connection.vendor == "sqlite" else 2  # which has no snapshot to write from
        for work in (duplicate, duplicate_by_storm, dangling):
            with self.subTest(work.__name__):
                self.assertEqual(self.attempts(work), expected)

    def test_a_value_that_is_never_right_is_not(self) -> None:
        for work in (null, null_by_storm):
            with self.subTest(work.__name__):
                self.assertEqual(self.attempts(work), 1)

    def duplicate_before(self) -> IntegrityError:
        with self.assertRaises(IntegrityError) as caught:
            duplicate()
        return caught.exception

    def test_a_database_that_takes_no_part_has_no_say(self) -> None:
        if connection.vendor == "sqlite":
            self.skipTest("SQLite has no levels.")
        error = self.duplicate_before()
        for alias, expected in (("plain", 1), ("default", 2)):

            def work(alias: str = alias) -> None:
                with connections[alias].cursor() as cursor:
                    cursor.execute("SELECT 1")
                raise error

            with self.subTest(alias):
                self.assertEqual(self.attempts(work), expected)

    def test_where_those_that_take_part_are_not_known_it_may_be_any(self) -> None:
        error = self.duplicate_before()
        expected = None if connection.vendor == "sqlite" else "integrity error in a snapshot"
        self.assertEqual(retry_reason(error), expected)
        self.assertIsNone(retry_reason(error, []))
