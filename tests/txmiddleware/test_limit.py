"""TX_TIMEOUT: which ways to the server it limits, when it stays, and when it goes.

Each on a store's alias and on one of Django's own engine for the same database.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import transaction
from django.db import DatabaseError, connection, connections
from django.db.transaction import atomic
from django.http import HttpResponse
from django.test import TransactionTestCase, override_settings

from storm_django import get_store
from tests.storm_django.models import Entry
from tests.txmiddleware.test_middleware import BOTH, TRANSACTIONS, RequestMixin, names, write
from tests.txmiddleware.test_timeout import SLOW, by_django, by_storm
from txmiddleware import commit_on_success
from txmiddleware.conf import conf

ENGINES = {"sqlite": "sqlite3", "postgresql": "postgresql", "mysql": "mysql"}
LIMITS = {"postgresql": "SHOW statement_timeout", "mysql": "SELECT @@max_statement_time"}
NO_LIMIT = {"postgresql": "SET statement_timeout TO 0", "mysql": "SET max_statement_time = 0"}
NAP = {"postgresql": "SELECT pg_sleep(%s)", "mysql": "SELECT sleep(%s)", "sqlite": "SELECT nap(%s)"}
# Something at once, and then nothing for a long time.
SLOW_ROWS = f"SELECT 1 UNION ALL SELECT * FROM ({SLOW['sqlite']})"


def compute(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@override_settings(
    ROOT_URLCONF="tests.txmiddleware.urls", MIDDLEWARE=[TRANSACTIONS], TX_TIMEOUT=0.3
)
class LimitTest(RequestMixin, TransactionTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        settings = dict(connection.settings_dict)
        settings["ENGINE"] = f"django.db.backends.{ENGINES[connection.vendor]}"
        del settings["STORE"]
        connections.settings["stock"] = settings
        conf.forget()
        cls.addClassCleanup(cls.forget_stock)
        cls.databases = {"default", "stock"}
        super().setUpClass()

    @classmethod
    def forget_stock(cls) -> None:
        connections["stock"].close()
        del connections["stock"], connections.settings["stock"]
        conf.forget()

    def assert_too_late(self, statement: Callable[[], Any], alias: str = "default") -> None:
        """That it is, at about the right time, and that a view can't have it otherwise."""

        def caught() -> None:
            with suppress(Exception), atomic(alias):
                statement()

        for act in (statement, caught):

            def view(request: Any, act: Callable[[], Any] = act) -> HttpResponse:
                Entry.objects.using(alias).create(name="before")
                act()
                return HttpResponse("done")

            with self.subTest(alias, caught=act is caught):
                start = time.monotonic()
                self.assertEqual(self.request(view).status_code, 503)
                self.assertLess(time.monotonic() - start, 5)
                self.assertEqual(names(), [])

    def execute(self, alias: str, sql: str, params: Any = None) -> Any:
        with connections[alias].cursor() as cursor:
            cursor.execute(sql, params)
            return cursor.fetchall()

    def be_slow(self, alias: str) -> None:
        self.execute(alias, SLOW[connection.vendor])

    def for_vendors(self, *vendors: str) -> None:
        if connection.vendor not in vendors:
            self.skipTest(f"It is about {' and '.join(vendors)}.")

    def test_the_first_request_of_a_thread(self) -> None:
        for alias in ("default", "stock"):
            statuses = []

            def write_one(request: Any, alias: str = alias) -> HttpResponse:
                Entry.objects.using(alias).create(name="one")
                return HttpResponse("done")

            def slow(request: Any, alias: str = alias) -> None:
                self.be_slow(alias)

            def run(views: Any = (write_one, slow), statuses: list[int] = statuses) -> None:
                statuses.extend(self.request(view).status_code for view in views)
                connections.close_all()

            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
            with self.subTest(alias):
                self.assertEqual(statuses, [200, 503])

    def test_a_rollback_of_what_joined_last_does_not_end_it(self) -> None:
        for alias in ("default", "stock"):

            def fail(alias: str = alias) -> None:
                with suppress(ZeroDivisionError), commit_on_success(savepoint=True):
                    Entry.objects.using(alias).create(name="undone")
                    raise ZeroDivisionError

            def view(request: Any, fail: Any = fail) -> HttpResponse:
                fail()
                return HttpResponse("done")

            def slow(request: Any, fail: Any = fail, alias: str = alias) -> None:
                fail()
                self.be_slow(alias)

            connections[alias].close()
            with self.subTest(alias):
                self.assertEqual(self.request(slow).status_code, 503)
            connections[alias].close()
            with self.subTest(alias, request="a later one"):
                self.assertEqual(self.request(view).status_code, 200)
                self.assert_too_late(lambda alias=alias: self.be_slow(alias), alias)

    def test_an_abort_inside_of_a_block_does_not_end_it(self) -> None:
        for alias in ("default", "stock"):

            def abort(alias: str = alias) -> None:
                with atomic(alias):
                    transaction.abort()
                    self.be_slow(alias)

            connections[alias].close()
            self.assert_too_late(abort, alias)

    def test_it_leaves_nothing_behind_where_its_end_is_rolled_back(self) -> None:
        self.for_vendors("postgresql", "mysql")

        def fail(alias: str) -> None:
            with suppress(ZeroDivisionError), atomic(alias):
                Entry.objects.using(alias).create(name="undone")
                raise ZeroDivisionError

        def fail_quietly(alias: str) -> None:
            # On PostgreSQL COMMIT is a rollback then.
            with suppress(DatabaseError), atomic(alias), suppress(DatabaseError):
                self.execute(alias, "SELECT * FROM nowhere")

        for alias in ("default", "stock"):
            for act in (fail, fail_quietly):
                with self.subTest(alias, act=act.__name__), self.settings(TX_TIMEOUT=60):
                    limit = LIMITS[connection.vendor]
                    before = self.execute(alias, limit)
                    inside = []
                    self.request(
                        lambda request, alias=alias, limit=limit, inside=inside: inside.extend(
                            self.execute(alias, limit)
                        )
                    )
                    self.assertNotEqual(inside, before)
                    act(alias)
                    self.assertEqual(self.execute(alias, limit), before)
                    self.assertEqual(connections[alias].execute_wrappers, [])

    @override_settings(TX_DATABASES=[])
    def test_a_store_that_is_not_in_tx_databases_joins_and_is_limited(self) -> None:
        for statement in (by_django, by_storm):
            self.assert_too_late(statement)

    def test_what_does_not_pass_execute_wrappers(self) -> None:
        self.for_vendors("postgresql", "mysql")
        if connection.vendor == "mysql":
            self.execute("default", "CREATE PROCEDURE pg_sleep(s double) DO sleep(s)")
            self.addCleanup(self.execute, "default", "DROP PROCEDURE pg_sleep")

        def call(alias: str, seconds: float = 60) -> None:
            with connections[alias].cursor() as cursor:
                cursor.callproc("pg_sleep", [seconds])

        def call_late(alias: str) -> None:
            compute(0.3)
            call(alias, 0)

        def copy(alias: str) -> None:
            with connections[alias].cursor() as cursor:
                cursor.copy_expert("COPY (SELECT pg_sleep(60)) TO STDOUT", io.StringIO())

        ways = [call, call_late] + ([copy] if connection.vendor == "postgresql" else [])
        for alias in ("default", "stock"):
            for logged in (False, True):
                connections[alias].force_debug_cursor = logged
                for way in ways:
                    self.assert_too_late(lambda way=way, alias=alias: way(alias), alias)
            connections[alias].force_debug_cursor = False

    def test_the_sum_of_what_the_driver_sends_one_by_one(self) -> None:
        self.for_vendors("postgresql", "mysql")

        def many(alias: str) -> None:
            with connections[alias].cursor() as cursor:
                cursor.executemany(NAP[connection.vendor], [[0.15]] * 3)

        for alias in ("default", "stock"):
            self.assert_too_late(lambda alias=alias: many(alias), alias)

    def test_a_statement_that_the_server_lets_go_on(self) -> None:
        def nap(alias: str) -> None:
            if connection.vendor == "sqlite":
                connections[alias].connection.create_function("nap", 1, compute)
            else:
                with connections[alias].cursor() as cursor:
                    cursor.execute(NO_LIMIT[connection.vendor])
            self.execute(alias, NAP[connection.vendor], [0.4])

        for alias in ("default", "stock"):
            self.assert_too_late(lambda alias=alias: nap(alias), alias)

    @override_settings(TX_TIMEOUT=1)
    def test_what_a_view_does_after_its_last_statement(self) -> None:
        def view(request: Any) -> HttpResponse:
            write()
            get_store().flush()
            compute(1.1)
            return HttpResponse("done")

        self.assertEqual(self.request(view).status_code, 200)
        self.assertEqual(names(), BOTH)

    def test_rows_that_come_by_statements_of_their_own(self) -> None:
        self.for_vendors("postgresql")

        def some(cursor: Any) -> None:
            while cursor.fetchmany(2):
                pass

        def each(cursor: Any) -> None:
            cursor.cursor.itersize = 2
            for _ in cursor:
                pass

        def late(cursor: Any) -> None:
            cursor.fetchmany(1)
            compute(0.3)
            cursor.fetchmany(1)

        for alias in ("default", "stock"):
            for fetch in (some, each, late, lambda cursor: cursor.fetchall()):

                def rows(fetch: Any = fetch, alias: str = alias) -> None:
                    with connections[alias].chunked_cursor() as cursor:
                        cursor.execute("SELECT pg_sleep(0.02) FROM generate_series(1, 500)")
                        fetch(cursor)

                self.assert_too_late(rows, alias)

    def test_rows_that_take_the_time_in_this_process(self) -> None:
        self.for_vendors("sqlite")
        for alias in ("default", "stock"):
            self.assert_too_late(lambda alias=alias: self.execute(alias, SLOW_ROWS), alias)
        self.assert_too_late(lambda: get_store().execute(SLOW_ROWS).get_all())

    def test_what_ends_too_late_keeps_no_lock(self) -> None:
        self.for_vendors("sqlite")

        def view(request: Any) -> None:
            write()
            get_store().flush()
            connection.connection.create_function("nap", 1, compute)
            get_store().execute("SELECT nap(0.4) FROM sqlite_master")

        response = self.request(view)  # which refers to the error
        connection.close()
        write()
        transaction.commit()
        self.assertEqual((response.status_code, names()), (503, BOTH))

    def test_the_further_results_of_a_procedure_stay(self) -> None:
        self.for_vendors("mysql")
        with connection.cursor() as cursor:
            cursor.execute("DROP PROCEDURE IF EXISTS three")
            cursor.execute("CREATE PROCEDURE three() BEGIN SELECT 1; SELECT 2; SELECT 3; END")
        found: list[Any] = []

        def view(request: Any) -> HttpResponse:
            with connection.cursor() as cursor:
                cursor.callproc("three")
                found.append(cursor.fetchall())
                time.sleep(0.1)  # the limit's next step
                while cursor.nextset():
                    found.append(cursor.fetchall())
            return HttpResponse("done")

        with self.settings(TX_TIMEOUT=1):
            self.assertEqual(self.request(view).status_code, 200)
        self.assertEqual([rows for rows in found if rows], [((1,),), ((2,),), ((3,),)])
        with connection.cursor() as cursor:
            cursor.execute("DROP PROCEDURE three")

    def test_a_limit_that_the_application_has_changed_is_set_again(self) -> None:
        self.for_vendors("postgresql", "mysql")

        def change(request: Any) -> HttpResponse:
            with connection.cursor() as cursor:
                cursor.execute(f"  {NO_LIMIT[connection.vendor].lower()}")
            return HttpResponse("done")

        with self.settings(TX_TIMEOUT=60):
            self.assertEqual(self.request(change).status_code, 200)
            limits: list[Any] = []

            def ask(request: Any) -> HttpResponse:
                limits.append(self.execute("default", LIMITS[connection.vendor])[0][0])
                return HttpResponse("done")

            self.request(ask)
        self.assertIn(str(limits[0]), ("1min", "60.000000", "60.0"))
