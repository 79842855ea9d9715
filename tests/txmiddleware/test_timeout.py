"""TX_TIMEOUT: a budget for the statements of a request, whichever ORM sends them."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from django.db import DatabaseError, connection, connections
from django.http import HttpResponse
from django.test import TestCase, TransactionTestCase, override_settings

from storm_django import get_store
from tests.txmiddleware.test_middleware import TRANSACTIONS, RequestMixin, names, write
from txmiddleware.exceptions import TransactionTimeout

SLOW = {
    # A minute, if nobody stops it.
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) "
    "SELECT count(*) FROM n",
    "postgresql": "SELECT pg_sleep(60)",
    "mysql": "SELECT sleep(60)",
}


def by_django() -> None:
    with connection.cursor() as cursor:
        cursor.execute(SLOW[connection.vendor])


def by_storm() -> None:
    get_store().execute(SLOW[connection.vendor]).get_one()


def limit_in_server() -> str:
    """What the session's limit is now."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SHOW statement_timeout")
        else:
            cursor.execute("SELECT @@max_statement_time")
        return str(cursor.fetchone()[0])


@override_settings(
    ROOT_URLCONF="tests.txmiddleware.urls", MIDDLEWARE=[TRANSACTIONS], TX_TIMEOUT=0.3
)
class TimeoutTest(RequestMixin, TransactionTestCase):
    def slow(self, statement: Any) -> Any:
        def view(request: Any) -> None:
            write()
            statement()

        start = time.monotonic()
        response = self.request(view)
        self.assertLess(time.monotonic() - start, 10)
        return response

    def test_a_slow_statement_of_either_orm_is_stopped_and_nothing_is_kept(self) -> None:
        for statement in (by_django, by_storm):
            response = self.slow(statement)
            self.assertEqual(response.status_code, 503)
            self.assertEqual(names(), [])

    def test_many_statements_have_one_budget(self) -> None:
        def view(request: Any) -> None:
            while True:
                write()

        start = time.monotonic()
        self.assertEqual(self.request(view).status_code, 503)
        self.assertGreater(time.monotonic() - start, 0.3)
        self.assertEqual(names(), [])

    def test_a_view_that_catches_the_error_has_no_say(self) -> None:
        def statement() -> None:
            with suppress(DatabaseError):
                by_django()

        self.assertEqual(self.slow(statement).status_code, 503)
        self.assertEqual(names(), [])

    def test_the_error_says_what_it_is(self) -> None:
        seen = []

        def statement() -> None:
            try:
                by_storm()
            except DatabaseError as error:
                seen.append(error)
                raise

        self.slow(statement)
        self.assertIsInstance(seen[0], TransactionTimeout)
        self.assertIn("TX_TIMEOUT (0.3 s)", str(seen[0]))

    def test_the_connection_is_usable_afterwards(self) -> None:
        self.slow(by_django)
        with self.settings(TX_TIMEOUT=60):
            self.assertEqual(self.request(lambda request: write()).status_code, 200)
        self.assertEqual(names(), ["a (django)", "a (storm)"])

    def test_an_async_view_is_limited_too(self) -> None:
        from asgiref.sync import sync_to_async

        async def view(request: Any) -> HttpResponse:
            await sync_to_async(by_storm)()
            return HttpResponse("done")

        self.assertEqual(self.request(view, kind="async").status_code, 503)

    @override_settings(TX_TIMEOUT=60)
    def test_only_the_statements_of_requests_are_limited(self) -> None:
        if connection.vendor == "sqlite":
            self.skipTest("SQLite's limit is in the process.")
        before = limit_in_server()
        inside = []
        self.request(lambda request: inside.append(limit_in_server()))
        self.assertNotEqual(inside, [before])
        self.assertEqual(limit_in_server(), before)

        def fails(request: Any) -> None:
            inside.append(limit_in_server())
            raise ZeroDivisionError

        self.request(fails)
        self.assertEqual(inside[0], inside[1])
        self.assertEqual(limit_in_server(), before)

    @override_settings(TX_TIMEOUT=60)
    def test_requests_in_a_row_send_one_statement_for_the_limit(self) -> None:
        if connection.vendor != "mysql":
            self.skipTest("Only MySQL counts the SET statements of a session.")
        counts = []

        def view(request: Any) -> None:
            write()
            with connection.cursor() as cursor:
                cursor.execute("SHOW SESSION STATUS LIKE 'Com_set_option'")
                counts.append(int(cursor.fetchone()[1]))

        for _ in range(4):
            self.request(view)
        usual = counts[-1] - counts[-2]
        self.assertEqual(counts[1] - counts[0], usual)
        with self.settings(TX_TIMEOUT=None):
            self.request(view)
            self.assertEqual(counts[-1] - counts[-2], usual + 1)
            self.request(view)
            self.assertEqual(counts[-1] - counts[-2], usual)

    @override_settings(TX_TIMEOUT=60)
    def test_a_new_connection_is_limited_as_well(self) -> None:
        if connection.vendor == "sqlite":
            self.skipTest("SQLite's limit is in the process.")
        before = limit_in_server()
        inside = []
        self.request(lambda request: inside.append(limit_in_server()))
        connection.close()
        self.assertEqual(limit_in_server(), before)
        connection.close()
        self.request(lambda request: inside.append(limit_in_server()))
        self.assertNotIn(before, inside)

    def test_a_stock_database_is_limited_too(self) -> None:
        if connection.vendor == "sqlite":
            alias = "plain"
        else:
            self.skipTest("The stock database of the tests is SQLite's.")

        def view(request: Any) -> None:
            write()
            with connections[alias].cursor() as cursor:
                cursor.execute(SLOW["sqlite"])

        self.assertEqual(self.request(view).status_code, 503)
        self.assertEqual(names(), [])

    databases = {"default", "plain"}


@override_settings(
    ROOT_URLCONF="tests.txmiddleware.urls", MIDDLEWARE=[TRANSACTIONS], TX_TIMEOUT=0.3
)
class TimeoutInTestCaseTest(RequestMixin, TestCase):
    def test_a_request_in_a_test_case_is_limited_and_the_test_goes_on(self) -> None:
        write("before")

        def view(request: Any) -> None:
            write()
            by_storm()

        self.assertEqual(self.request(view).status_code, 503)
        self.assertEqual(names(), ["before (django)", "before (storm)"])
