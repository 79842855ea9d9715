"""The end of a connection: by age, with its thread, by the server; and what is set on it."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from unittest import SkipTest, mock
from zoneinfo import ZoneInfo

import transaction
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import request_finished
from django.db import Error, IntegrityError, close_old_connections, connection, connections
from django.db import transaction as django_transaction
from django.test import (
    SimpleTestCase,
    TransactionTestCase,
    override_settings,
    skipUnlessDBFeature,
)
from storm.exceptions import Error as StormError
from storm.locals import DateTime, Int, Store, create_database
from storm.uri import URI

from storm_django import get_store, get_store_uri
from tests.storm_django.aliases import extra_alias
from tests.storm_django.models import Entry, StormEntry, Typed, Unique
from tests.storm_django.test_connection import OWN_ID, write_with_django, write_with_storm
from tests.storm_django.test_engine import IN_TRANSACTION
from txmiddleware import commit_on_success
from txmiddleware.retryable import retry_reason

ALIVE = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE pid = %s",
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE id = %s",
}
BRUSSELS = ZoneInfo("Europe/Brussels")


class AgeTest(TransactionTestCase):
    databases = {"default", "plain"}

    def tearDown(self) -> None:
        transaction.abort()
        connection.close()

    def use(self, max_age: int | None, write: Callable[[str], None]) -> bool:
        """Write in a connection of that age; whether it has survived the end of the request."""
        connection.close()
        with mock.patch.dict(connection.settings_dict, CONN_MAX_AGE=max_age):
            with commit_on_success():
                write("a")
            before = connection.connection
            self.assertIsNotNone(before)
            close_old_connections()
            return connection.connection is before

    def test_conn_max_age_counts_for_either_orm(self) -> None:
        for write in (write_with_django, write_with_storm):
            with self.subTest(write=write):
                self.assertFalse(self.use(0, write))
                self.assertTrue(self.use(None, write))
                self.assertTrue(self.use(3600, write))
        self.assertEqual(Entry.objects.count(), 6)

    def test_looking_after_connections_in_a_scope_begins_nothing(self) -> None:
        connections["plain"].ensure_connection()
        connection.ensure_connection()
        with commit_on_success():
            close_old_connections()
        with commit_on_success():
            connections.close_all()
            for alias in ("plain", "default"):
                self.assertIsNone(connections[alias].connection)


@skipUnlessDBFeature("has_select_for_update")  # not SQLite: it has no sessions
class SessionTest(TransactionTestCase):
    """What the server sees, asked on another connection."""

    def setUp(self) -> None:
        self.witness = connection.copy()
        self.addCleanup(self.witness.close)
        self.addCleanup(transaction.abort)

    def ask(self, sql: str, *params: object) -> int:
        with self.witness.cursor() as cursor:
            cursor.execute(sql, params)
            (number,) = cursor.fetchone()
        return int(number)

    def session(self) -> int:
        with connection.cursor() as cursor:
            cursor.execute(OWN_ID[connection.vendor])
            (number,) = cursor.fetchone()
        return int(number)

    def wait_for_end(self, session: int) -> None:
        for _ in range(1000):
            if not self.ask(ALIVE[connection.vendor], session):
                return
            threading.Event().wait(0.01)  # the server takes its time
        self.fail("the session goes on")

    def assertInTransaction(self, number: int) -> None:
        number += connection.vendor == "postgresql"  # the question itself
        for _ in range(10):
            found = self.ask(IN_TRANSACTION[connection.vendor])
            if found == number:
                return
            # InnoDB says again what it has said, if that is less than 0.1 seconds ago.
            threading.Event().wait(0.11)
        self.assertEqual(found, number)

    def test_the_session_of_a_thread_ends_with_it(self) -> None:
        for write in (write_with_django, write_with_storm):
            for committed in (True, False):
                with self.subTest(write=write, committed=committed):
                    sessions = []

                    def work(
                        write: Callable[[str], None] = write,
                        committed: bool = committed,
                        sessions: list[int] = sessions,
                    ) -> None:
                        write("a")
                        sessions.append(self.session())
                        if committed:
                            transaction.commit()

                    thread = threading.Thread(target=work)
                    thread.start()
                    thread.join()
                    self.wait_for_end(sessions[0])
                    self.assertInTransaction(0)
        # Django's write without a scope is a transaction of its own.
        self.assertEqual(Entry.objects.count(), 3)

    def test_no_transaction_is_left_open_by_a_request_that_did_not_end_it(self) -> None:
        connection.ensure_connection()
        write_with_storm("a")
        self.assertInTransaction(1)
        with self.assertLogs("txmiddleware", "WARNING"):
            request_finished.send(sender=type(self))  # as a server does
        self.assertInTransaction(0)
        self.assertEqual(Entry.objects.count(), 0)

    def test_no_transaction_is_left_open_by_a_scope(self) -> None:
        for scope in (commit_on_success, django_transaction.atomic):
            for fails in (False, True):
                with self.subTest(scope=scope, fails=fails):
                    try:
                        with scope():
                            write_with_storm("a")
                            write_with_django("b")
                            self.assertInTransaction(1)
                            if fails:
                                raise ZeroDivisionError
                    except ZeroDivisionError:
                        pass
                    self.assertInTransaction(0)

    def test_a_session_that_was_idle_for_too_long_is_replaced(self) -> None:
        for write in (write_with_django, write_with_storm):
            with self.subTest(write=write), connection.cursor() as cursor:
                connection.close()
                cursor = connection.cursor()
                if connection.vendor == "postgresql":
                    cursor.execute("SET idle_session_timeout = '10ms'")
                else:
                    cursor.execute("SET SESSION wait_timeout = 1")
                self.check_replaced(write, self.session())

    @skipUnlessDBFeature("can_defer_constraint_checks")  # PostgreSQL
    def test_a_session_that_was_idle_in_a_transaction_is_replaced(self) -> None:
        for first in (write_with_django, write_with_storm):
            for second in (write_with_django, write_with_storm):
                with self.subTest(first=first, second=second):
                    connection.close()
                    with self.assertRaises((Error, StormError)) as caught, commit_on_success():
                        first("lost")
                        with connection.cursor() as cursor:
                            cursor.execute("SET idle_in_transaction_session_timeout = '10ms'")
                        self.wait_for_end(self.session())
                        second("lost")
                    self.assertIsNotNone(retry_reason(caught.exception))
                    with commit_on_success():
                        second("kept")
        self.assertEqual(set(Entry.objects.values_list("name", flat=True)), {"kept"})

    def check_replaced(self, write: Callable[[str], None], session: int) -> None:
        self.wait_for_end(session)
        with self.assertRaises((Error, StormError)) as caught, commit_on_success():
            write("lost")
        self.assertIsNotNone(retry_reason(caught.exception), repr(caught.exception))
        with commit_on_success():
            write("kept")
            self.assertNotEqual(self.session(), session)
        self.assertFalse(Entry.objects.filter(name="lost").exists())


class LocalTyped:
    """A Storm class in the time zone of an alias."""

    __storm_table__ = "tests_storm_django_typed"

    id = Int(primary=True)
    moment = DateTime(tzinfo=BRUSSELS)


class AliasTest(SimpleTestCase):
    """What an alias of its own sets on its connections."""

    databases = "__all__"

    def store_uri(self, **options: str) -> str:
        uri = URI(get_store_uri())
        uri.options.update(options)
        return str(uri)

    @classmethod
    def setUpClass(cls) -> None:
        zone = None if connection.vendor == "postgresql" else "Europe/Brussels"
        cls.enterClassContext(extra_alias("local", get_store_uri(), TIME_ZONE=zone))
        super().setUpClass()

    def test_time_zone_counts_for_both_orms(self) -> None:
        """That of the alias, where the vendor has no zones."""
        for moment in (
            datetime.datetime(2026, 7, 1, 12, tzinfo=BRUSSELS),
            datetime.datetime(2026, 1, 1, 12, tzinfo=BRUSSELS),
        ):
            with self.subTest(moment):
                row = Typed.objects.using("local").create(moment=moment)
                self.addCleanup(row.delete)
                store = get_store("local")
                found = store.get(LocalTyped, row.pk)
                self.assertEqual(found.moment, moment)
                found.moment = moment + datetime.timedelta(hours=1)
                store.commit()
                row.refresh_from_db()
                self.assertEqual(row.moment, found.moment)
                self.assertTrue(Typed.objects.using("local").filter(moment=found.moment).exists())
                transaction.abort()

    @override_settings(USE_TZ=False)
    def test_without_use_tz_a_session_is_in_the_projects_zone(self) -> None:
        if connection.vendor != "postgresql":
            self.skipTest("no session has a zone")
        with override_settings(TIME_ZONE="America/New_York"):
            connections["local"].close()
            (found,) = get_store("local").execute("SHOW timezone").get_one()
            transaction.abort()
        connections["local"].close()
        self.assertEqual(found, "America/New_York")


class IsolationTest(SimpleTestCase):
    databases = "__all__"
    levels = ("read-committed", "repeatable-read", "serializable")
    query: str

    @classmethod
    def setUpClass(cls) -> None:
        if connection.vendor == "sqlite":
            raise SkipTest("SQLite has one level")
        cls.query = {
            "postgresql": "SHOW transaction_isolation",
            "mysql": "SELECT @@session.tx_isolation",
        }[connection.vendor]
        for level in cls.levels:
            uri = URI(get_store_uri())
            uri.options["isolation"] = level
            cls.enterClassContext(extra_alias(level, str(uri)))
        uri.options["isolation"] = "default"
        if connection.vendor == "postgresql":
            uri.options["options"] = "-cdefault_transaction_isolation=serializable"
        cls.enterClassContext(extra_alias("left", str(uri)))
        super().setUpClass()

    def test_either_orm_begins_a_transaction_at_the_level_of_the_uri(self) -> None:
        for level in self.levels:
            for closed in (False, True):
                with self.subTest(level=level, closed=closed):
                    if closed:
                        connections[level].close()
                    (for_storm,) = get_store(level).execute(self.query).get_one()
                    transaction.abort()
                    with django_transaction.atomic(level), connections[level].cursor() as cursor:
                        cursor.execute(self.query)
                        (for_django,) = cursor.fetchone()
                    with commit_on_success():
                        (in_scope,) = get_store(level).execute(self.query).get_one()
                    found = {
                        value.lower().replace(" ", "-")
                        for value in (for_storm, for_django, in_scope)
                    }
                    self.assertEqual(found, {level})

    def test_a_row_that_others_have_made_since_is_got_or_is_an_error(self) -> None:
        for level in self.levels[:2]:  # at the third the other would wait for MySQL's lock
            with self.subTest(level), django_transaction.atomic(level):
                self.assertFalse(Unique.objects.using(level).exists())
                Unique.objects.using("default").create(value=1)
                try:
                    _, is_new = Unique.objects.using(level).get_or_create(value=1)
                except IntegrityError:
                    django_transaction.set_rollback(True, level)
                    found = "error"
                else:
                    found = "made" if is_new else "got"
            Unique.objects.using("default").all().delete()
            self.assertEqual(found, "got" if level == "read-committed" else "error")

    def test_the_level_may_be_left_to_the_server(self) -> None:
        expected = "serializable" if connection.vendor == "postgresql" else "repeatable-read"
        (for_storm,) = get_store("left").execute(self.query).get_one()
        transaction.abort()
        with django_transaction.atomic("left"), connections["left"].cursor() as cursor:
            cursor.execute(self.query)
            (for_django,) = cursor.fetchone()
        found = [for_storm, for_django]
        if connection.vendor == "postgresql":  # plain Storm, which has no such word
            plain = Store(create_database(get_store_uri("left")))
            try:
                found += plain.execute(self.query).get_one()
            finally:
                plain.close()
        for value in found:
            self.assertEqual(value.lower().replace(" ", "-"), expected)

    def test_an_unknown_level_is_named_with_those_that_there_are(self) -> None:
        if connection.vendor != "postgresql":
            self.skipTest("MySQL's engine names the levels")
        message = "isolation is 'repeatable read'; use one of .* read-uncommitted, default"
        with self.assertRaisesRegex(ImproperlyConfigured, message):
            connection.options_of_uri({"isolation": "repeatable read"})


class StoreTest(TransactionTestCase):
    def test_storms_rows_are_there_whoever_connects_first(self) -> None:
        connection.close()
        write_with_storm("a")
        transaction.commit()
        connection.close()
        self.assertEqual(Entry.objects.count(), 1)
        self.assertEqual(get_store().find(StormEntry).count(), 1)
        transaction.abort()
