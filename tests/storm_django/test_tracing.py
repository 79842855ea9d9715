"""One query log for both ORMs."""

from __future__ import annotations

import cProfile
import io
import logging
import pstats
import unittest
import warnings
from collections.abc import Callable
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

from django.db import Error as DjangoError
from django.db import OperationalError as DjangoOperationalError
from django.db import connection, connections
from django.db.models import Q
from django.db.transaction import atomic
from django.test import TransactionTestCase, override_settings
from django.test.utils import CaptureQueriesContext
from storm.exceptions import DatabaseError, IntegrityError, TimeoutError
from storm.expr import Mod, Select
from storm.store import Store
from storm.tracer import (
    BaseStatementTracer,
    DebugTracer,
    TimeoutTracer,
    install_tracer,
    remove_tracer,
)
from storm.tracer import debug as storm_debug

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry, StormTyped, Unique
from txmiddleware import commit_on_success

TABLE = Entry._meta.db_table


class Blocked(Exception):
    """What a wrapper raises that lets no statement pass."""


def block(*args: Any) -> None:
    raise Blocked


class Messages(logging.Handler):
    """The records of a logger."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class QueryLogTest(TransactionTestCase):
    def setUp(self) -> None:
        self.store = get_store()
        scope = commit_on_success()
        scope.__enter__()
        self.addCleanup(scope.__exit__, None, None, None)

    def capture(self) -> CaptureQueriesContext:
        """What is logged inside, where the transaction has begun already."""
        self.store.execute("SELECT 1")
        return CaptureQueriesContext(connection)

    def test_statements_of_both_are_in_the_log_in_order(self) -> None:
        with self.capture() as captured:
            Entry.objects.create(name="django's")
            entry = self.store.find(StormEntry).one()
            entry.name = "storm's"
            self.assertEqual(Entry.objects.get().name, "storm's")
        verbs = [
            (query.get("orm", "django"), query["sql"].split()[0])
            for query in captured.captured_queries
        ]
        self.assertEqual(
            verbs,
            [("django", "INSERT"), ("storm", "SELECT"), ("storm", "UPDATE"), ("django", "SELECT")],
        )

    def test_a_statement_is_shown_as_django_shows_it(self) -> None:
        count = f"SELECT COUNT(*) FROM {TABLE} WHERE name = {{}} AND position = {{}}"
        params = ("o'%s ?%", 7)
        with self.capture() as captured:
            with connection.cursor() as cursor:
                cursor.execute(count.format("%s", "%s"), params)
            self.store.execute(count.format("?", "?"), params).get_one()
        djangos, storms = captured.captured_queries
        self.assertEqual(djangos["sql"], storms["sql"])
        self.assertRegex(storms["time"], r"^\d+\.\d{3}$")

    def test_assert_num_queries_counts_both(self) -> None:
        self.store.find(StormEntry).count()
        with self.assertNumQueries(3):
            self.store.find(StormEntry).count()
            Entry.objects.count()
            self.store.execute("SELECT 1").get_one()

    def test_debug_alone_fills_the_log(self) -> None:
        with override_settings(DEBUG=True):
            connection.queries_log.clear()
            self.store.execute("SELECT 1").get_one()
            self.assertEqual(connection.queries[-1]["sql"], "SELECT 1")
        connection.queries_log.clear()
        self.store.execute("SELECT 1").get_one()
        self.assertEqual(connection.queries, [])

    def test_the_logger_has_who_what_and_where(self) -> None:
        logger = logging.getLogger("django.db.backends")
        messages = Messages()
        level = logger.level
        logger.addHandler(messages)
        logger.setLevel(logging.DEBUG)
        self.addCleanup(logger.removeHandler, messages)
        self.addCleanup(logger.setLevel, level)
        with self.capture():
            messages.records.clear()
            self.store.execute(f"SELECT name FROM {TABLE} WHERE position = ?", (7,)).get_one()
            Entry.objects.count()
        storms, djangos = messages.records
        self.assertEqual((storms.orm, djangos.orm), ("storm", "django"))
        self.assertEqual((storms.alias, storms.params), ("default", (7,)))
        self.assertEqual(storms.sql, f"SELECT name FROM {TABLE} WHERE position = 7")
        self.assertGreaterEqual(storms.duration, 0)
        self.assertIn("alias=default", storms.getMessage())

    def test_a_statement_that_fails_is_logged_and_fails_as_without_a_log(self) -> None:
        Unique.objects.create(value=1)
        insert = f"INSERT INTO {Unique._meta.db_table} (value) VALUES (?)"
        for statement, params, error in (
            (insert, (1,), IntegrityError),
            ("SELECT nonsense", None, DatabaseError),
        ):
            found = []
            for force in (False, True):
                connection.force_debug_cursor = force
                connection.queries_log.clear()
                sid = connection.savepoint()
                try:
                    with self.assertRaises(error) as caught:
                        self.store.execute(statement, params)
                finally:
                    connection.force_debug_cursor = False
                    connection.savepoint_rollback(sid)
                found.append((type(caught.exception).__mro__, caught.exception.args))
            self.assertEqual(found[0][0], found[1][0])
            self.assertEqual(str(found[0][1]), str(found[1][1]))
            self.assertIn("storm", [entry.get("orm") for entry in connection.queries_log])


class MarksTest(TransactionTestCase):
    """What Storm executes is the same with a log and without."""

    def both(self, run: Callable[[Store], Any]) -> tuple[Any, str]:
        """Run without a log and with it; return the result of both, and the last statement."""
        store = get_store()
        expected = run(store)
        with CaptureQueriesContext(connection) as captured:
            found = run(store)
        store.rollback()
        self.assertEqual(found, expected)
        return found, captured.captured_queries[-1]["sql"]

    def test_percent_signs(self) -> None:
        percent = "%" if connection.vendor == "sqlite" else "%%"
        found, shown = self.both(
            lambda store: store.execute(
                f"SELECT 7 {percent} ?, '{percent}s', '{percent}', ?", (4, "%")
            ).get_one()
        )
        self.assertEqual(found, (3, "%s", "%", "%"))
        self.assertIn("7 % 4, '%s', '%'", shown)

    def test_percent_signs_without_parameters(self) -> None:
        for params in (None, ()):
            found, shown = self.both(
                lambda store: store.execute("SELECT '%s %% %'", params).get_one()  # noqa: B023
            )
            self.assertEqual((found, shown), (("%s %% %",), "SELECT '%s %% %'"))

    def test_question_marks_that_are_no_parameters(self) -> None:
        found, _ = self.both(lambda store: store.execute("SELECT '?', ?", ("?",)).get_one())
        self.assertEqual(found, ("?", "?"))

    def test_the_remainder_of_an_expression(self) -> None:
        if connection.vendor == "sqlite":
            self.assertEqual(
                self.both(lambda store: store.execute(Select(Mod(7, 4))).get_one())[0], (3,)
            )

    @unittest.skipUnless(connection.vendor == "sqlite", "SQLite's own marks")
    def test_what_only_sqlite_takes_for_a_mark(self) -> None:
        for statement, params in (
            ("SELECT ?1, ?1", ("a",)),
            ('SELECT ? AS "a?b" -- ?', ("a",)),
            ("SELECT ? /* ? */, [x?] FROM (SELECT 1 AS [x?])", ("a",)),
        ):
            with self.subTest(statement):
                self.both(lambda store: store.execute(statement, params).get_one())  # noqa: B023

    @unittest.skipUnless(connection.vendor == "sqlite", "the driver's own count")
    def test_a_wrong_number_of_parameters_is_storms_error(self) -> None:
        with CaptureQueriesContext(connection), self.assertRaisesRegex(DatabaseError, "bindings"):
            get_store().execute("SELECT ?", (1, 2))
        get_store().rollback()

    @unittest.skipIf(connection.vendor == "mysql", "its driver takes anything")
    def test_a_value_that_the_driver_refuses(self) -> None:
        found = []
        for force in (False, True):
            connection.force_debug_cursor = force
            try:
                with self.assertRaises(Exception) as caught:
                    get_store().execute("SELECT ?", (object,))
            finally:
                connection.force_debug_cursor = False
                get_store().rollback()
            found.append([base.__name__ for base in type(caught.exception).__mro__])
        self.assertEqual(found[0], found[1])

    def test_a_value_of_each_type(self) -> None:
        store = get_store()
        with CaptureQueriesContext(connection) as captured:
            typed = store.add(StormTyped())
            typed.text = "é'%s?"
            typed.data = b"\x00\xff'%"
            typed.flag = True
            typed.amount = Decimal("1.5000")
            typed.day = date(2030, 6, 4)
            typed.moment = datetime(2030, 6, 4, 10, tzinfo=timezone.utc)
            store.flush()
            store.invalidate()
            self.assertEqual((typed.text, typed.data), ("é'%s?", b"\x00\xff'%"))
            self.assertEqual((typed.flag, typed.amount), (True, Decimal("1.5")))
        shown = [query["sql"] for query in captured.captured_queries]
        self.assertTrue([sql for sql in shown if "INSERT" in sql and "1.5000" in sql], shown)
        store.rollback()


class WrapperTest(TransactionTestCase):
    def setUp(self) -> None:
        self.store = get_store()
        self.store.execute("SELECT 1")  # begins a transaction
        self.addCleanup(self.store.rollback)

    def test_execute_wrapper_sees_both_in_order(self) -> None:
        seen = []

        def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            seen.append((sql.split()[0], params, many, context["connection"].alias))
            return execute(sql, params, many, context)

        with connection.execute_wrapper(wrapper):
            self.store.execute(f"UPDATE {TABLE} SET position = ?", (3,))
            Entry.objects.filter(Q(position=4)).exists()
        self.assertEqual(seen[0], ("UPDATE", (3,), False, "default"))
        self.assertEqual(seen[1][0], "SELECT")
        self.assertEqual(len(seen), 2)

    def test_a_wrapper_can_change_storms_statement(self) -> None:
        def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            self.assertIn("%s", sql)
            result = execute(f"{sql} + %s", (*params, 10), many, context)
            self.assertEqual(context["cursor"].description[0][0], "total")
            return result

        with connection.execute_wrapper(wrapper):
            result = self.store.execute("SELECT ? AS total, 1", (5,))
            self.assertEqual(result.get_one(), (5, 11))

    def test_a_wrapper_that_raises_blocks_storms_statement(self) -> None:
        with connection.execute_wrapper(block):
            with self.assertRaises(Blocked):
                self.store.find(StormEntry).count()
            self.store.add(StormEntry("a"))
            with self.assertRaises(Blocked):
                self.store.flush()
        self.assertEqual(self.store.find(StormEntry).count(), 0)
        self.assertEqual(Entry.objects.count(), 0)

    def test_a_wrapper_has_djangos_error_and_storms_code_has_storms(self) -> None:
        caught = []

        def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            try:
                return execute(sql, params, many, context)
            except Exception as error:
                caught.append(type(error).__module__)
                raise

        with connection.execute_wrapper(wrapper), self.assertRaises(DatabaseError):
            self.store.execute("SELECT nonsense")
        self.assertEqual(caught, ["django.db.utils"])

    def test_an_error_that_a_wrapper_makes_up_is_left_alone(self) -> None:
        def wrapper(execute: Any, *args: Any) -> None:
            try:
                execute(*args)
            except DjangoError as error:
                raise DjangoOperationalError("made up of another") from error
            raise DjangoOperationalError("made up")

        with connection.execute_wrapper(wrapper):
            for statement, words in (("SELECT 1", "made up"), ("SELECT a", "made up of another")):
                with self.assertRaisesMessage(DjangoOperationalError, words) as caught:
                    self.store.execute(statement)
                self.assertIs(type(caught.exception), DjangoOperationalError)

    def test_a_retrying_wrapper(self) -> None:
        calls = []

        def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            calls.append(execute(sql, params, many, context))
            return execute(sql, params, many, context)

        with connection.execute_wrapper(wrapper):
            self.assertEqual(self.store.execute("SELECT 5").get_one(), (5,))
        self.assertEqual(len(calls), 1)


class TransactionStatementsTest(TransactionTestCase):
    def logged(self, run: Callable[[], Any]) -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            run()
        return [query["sql"].split()[0] for query in captured.captured_queries]

    def test_storms_transaction_has_one_begin_and_one_end(self) -> None:
        store = get_store()

        def commit() -> None:
            store.execute("SELECT 1")
            store.commit()

        def rollback() -> None:
            store.execute("SELECT 1")
            store.rollback()

        self.assertEqual(self.logged(commit), ["BEGIN", "SELECT", "COMMIT"])
        self.assertEqual(self.logged(rollback), ["BEGIN", "SELECT", "ROLLBACK"])

    def test_a_scope_of_both_has_one_begin_and_one_end(self) -> None:
        @commit_on_success
        def both() -> None:
            get_store().execute("SELECT 1")
            Entry.objects.count()
            with atomic():
                get_store().execute("SELECT 1")

        self.assertEqual(
            self.logged(both),
            ["BEGIN", "SELECT", "SELECT", "SAVEPOINT", "SELECT", "RELEASE", "COMMIT"],
        )


class BudgetTracer(TimeoutTracer):
    """A tracer with a given time left."""

    left = 60.0

    def get_remaining_time(self) -> float:
        return self.left

    def set_statement_timeout(self, raw_cursor: Any, remaining_time: float) -> None:
        raw_cursor.execute("SELECT 'timeout'")

    def connection_raw_execute_error(self, *args: Any) -> None:
        pass


class StormsTracersTest(TransactionTestCase):
    """They work with Django's log on, and off."""

    def setUp(self) -> None:
        self.store = get_store()
        self.addCleanup(self.store.rollback)

    def test_the_debug_tracer(self) -> None:
        for force in (False, True):
            stream = io.StringIO()
            storm_debug(True, stream)
            connection.force_debug_cursor = force
            try:
                self.store.execute("SELECT ?", (5,))
                with self.assertRaises(DatabaseError):
                    self.store.execute("SELECT nonsense")
            finally:
                connection.force_debug_cursor = False
                storm_debug(False)
                self.store.rollback()
            said = stream.getvalue()
            self.assertEqual((said.count("EXECUTE"), said.count("DONE")), (2, 1))
            self.assertIn("(5,)", said)
            self.assertIn("ERROR", said)

    def test_the_timeout_tracer(self) -> None:
        tracer = BudgetTracer()
        install_tracer(tracer)
        self.addCleanup(remove_tracer, tracer)
        with CaptureQueriesContext(connection) as captured:
            self.assertEqual(self.store.execute("SELECT 5").get_one(), (5,))
            tracer.left = 0
            with self.assertRaises(TimeoutError):
                self.store.execute("SELECT 6")
        statements = [query["sql"] for query in captured.captured_queries]
        self.assertEqual(statements[-2:], ["SELECT 'timeout'", "SELECT 5"])

    def test_a_tracer_that_puts_the_parameters_in(self) -> None:
        seen = []

        class Capture(BaseStatementTracer):  # as CaptureTracer, which needs another package
            def _expanded_raw_execute(self, *args: Any) -> None:
                seen.append(args[-1])

        tracer = Capture()
        install_tracer(tracer)
        self.addCleanup(remove_tracer, tracer)
        self.store.execute("SELECT ?", ("a",))
        with CaptureQueriesContext(connection):
            self.store.execute("SELECT ?", ("a",))
        self.assertEqual(seen, ["SELECT 'a'"] * 2)

    def test_a_tracer_has_storms_own_statement_and_the_drivers_cursor(self) -> None:
        seen = []

        class Tracer(DebugTracer):
            def connection_raw_execute_success(self, *args: Any) -> None:
                _, cursor, statement, params = args
                seen.append((statement, params, cursor.description is not None))

            connection_raw_execute = connection_raw_execute_error = lambda *args: None

        tracer = Tracer()
        install_tracer(tracer)
        self.addCleanup(remove_tracer, tracer)
        self.store.execute("SELECT ?", (5,))
        with CaptureQueriesContext(connection):
            self.store.execute("SELECT ?", (5,))
        self.assertEqual(seen[0], seen[1])


class CostTest(TransactionTestCase):
    def calls(self, store: Store, statements: int) -> dict[str, int]:
        profile = cProfile.Profile(builtins=False)
        profile.enable()
        for _ in range(statements):
            store.execute("SELECT 1", noresult=True)
        profile.disable()
        found = {}
        for (path, _, name), (calls, *_) in pstats.Stats(profile).stats.items():
            key = f"{path.rpartition('site-packages/')[2]}:{name}"
            found[key] = found.get(key, 0) + calls
        return found

    def test_nothing_of_the_log_runs_while_it_is_off(self) -> None:
        store = get_store()
        self.addCleanup(store.rollback)
        store.execute("SELECT 1")
        # What tests before have left: a SimpleTestCase its cursor(), TX_TIMEOUT its wrapper.
        vars(connections["default"]).pop("cursor", None)
        self.addCleanup(connection.execute_wrappers.extend, connection.execute_wrappers[:])
        connection.execute_wrappers.clear()
        calls = self.calls(store, 100)
        ours = {key: count for key, count in calls.items() if "tracing.py" in key}
        # The connection's cursor(), which does what Storm's own does and calls nothing more.
        self.assertEqual([key.rpartition(":")[2] for key in ours], ["cursor"])
        self.assertEqual(list(ours.values()), [100])
        self.assertFalse([key for key in calls if "django/db/backends/utils.py" in key])


class UnsharedTest(TransactionTestCase):
    def test_a_connection_of_storms_own_is_not_in_the_log(self) -> None:
        with warnings.catch_warnings():
            # Plain Storm calls ping(False) on a connection to MySQL.
            warnings.filterwarnings("ignore", "The reconnect parameter", DeprecationWarning)
            own = Store(get_store().get_database())
        self.addCleanup(own.close)
        with self.assertNumQueries(0), connection.execute_wrapper(block):
            own.execute("SELECT 1").get_one()
        own.rollback()
