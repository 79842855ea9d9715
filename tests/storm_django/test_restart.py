"""A server that is restarted, or crashes, under the connections of both ORMs."""

from __future__ import annotations

import itertools
import os
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import transaction
from django.db import Error, connection, connections
from django.db import transaction as django_transaction
from django.test import SimpleTestCase
from storm.exceptions import Error as StormError

from storm_django import get_store
from tests.private_servers import PostgresServer, private_server
from tests.storm_django.aliases import extra_alias
from tests.storm_django.models import Entry, StormEntry
from tests.storm_django.test_connection import ImplicitTransaction
from txmiddleware import commit_on_success
from txmiddleware.retry import attempts
from txmiddleware.retryable import retry_reason

ROUNDS = int(os.environ.get("TEST_RESTART_ROUNDS", "0"))
"""How often each of the 72 ways to lose the server is tried; 0 is three of them, once."""

Write = Callable[[str], None]


def write_with_django(name: str) -> None:
    Entry.objects.using("restarted").create(name=name)


def write_with_storm(name: str) -> None:
    store = get_store("restarted")
    store.add(StormEntry(name))
    store.flush()


def atomic() -> AbstractContextManager[Any]:
    return django_transaction.atomic(using="restarted")


def implicit() -> AbstractContextManager[Any]:
    return ImplicitTransaction("restarted")


class RestartTest(SimpleTestCase):
    databases = "__all__"

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = cls.enterClassContext(private_server(connection.vendor))
        uri = f"{cls.server.uri}?isolation=read-committed"
        cls.enterClassContext(extra_alias("restarted", uri))
        super().setUpClass()
        with connections["restarted"].schema_editor() as editor:
            editor.create_model(Entry)

    def setUp(self) -> None:
        self.addCleanup(self.forget)

    def forget(self) -> None:
        transaction.abort()
        connections["restarted"].close()
        Entry.objects.using("restarted").all().delete()

    def names(self) -> list[str]:
        found = list(Entry.objects.using("restarted").order_by("pk").values_list("name", flat=True))
        storms = get_store("restarted").find(StormEntry).order_by(StormEntry.id)
        self.assertEqual([entry.name for entry in storms], found)
        transaction.abort()
        return found

    def prepared(self) -> list[Any]:
        """What both ORMs have set on the connection, and how each reads from it."""
        with commit_on_success(), connections["restarted"].cursor() as cursor:
            found = []
            for query in PREPARED[connection.vendor]:
                cursor.execute(query)
                found.append(cursor.fetchone())
                found.append(get_store("restarted").execute(query).get_one())
            return found

    def attempt(
        self,
        scope: Callable[[], AbstractContextManager[Any]],
        writes: tuple[Write, Write],
        name: str,
        when: str = "never",
        lose: Callable[[], None] = lambda: None,
    ) -> BaseException | None:
        """Two writes in one transaction, losing the server; what was raised."""
        if when == "before":
            lose()
        try:
            with scope():
                writes[0](name)
                if when == "inside":
                    lose()
                writes[1](name)
                if when == "at the end":
                    lose()
        except (Error, StormError) as error:
            return error
        return None

    def check(
        self,
        crash: bool,
        when: str,
        scope: Callable[[], AbstractContextManager[Any]],
        writes: tuple[Write, Write],
    ) -> None:
        prepared = self.prepared()
        before = connections["restarted"].connection
        error = self.attempt(scope, writes, "first", when, lambda: self.server.restart(crash=crash))
        self.assertIsNotNone(error)
        self.assertIsNotNone(retry_reason(error), repr(error))
        # The next transaction is none the wiser.
        self.assertIsNone(self.attempt(scope, writes, "second"))
        self.assertIsNot(connections["restarted"].connection, before)
        self.assertEqual(self.names(), ["second"] * 2)
        self.assertEqual(self.prepared(), prepared)
        Entry.objects.using("restarted").all().delete()

    def test_a_restarted_server_loses_the_transaction_and_nothing_else(self) -> None:
        both = (write_with_django, write_with_storm)
        scopes = (commit_on_success, atomic, implicit)
        ways: Any = itertools.product(
            (False, True),
            ("before", "inside", "at the end"),
            scopes,
            itertools.product(both, repeat=2),
        )
        if not ROUNDS:
            ways = (
                (False, "before", commit_on_success, both[::-1]),
                (True, "inside", implicit, both[::-1]),
                (True, "at the end", atomic, both),
            )
        for crash, when, scope, writes in list(ways) * max(ROUNDS, 1):
            with self.subTest(crash=crash, when=when, scope=scope, writes=writes):
                self.check(crash, when, scope, writes)

    def test_while_the_server_is_away_each_failure_can_be_tried_again(self) -> None:
        self.prepared()
        self.server.stop()
        try:
            for scope in (commit_on_success, atomic, implicit):
                for write in (write_with_django, write_with_storm):
                    for _ in range(2):
                        error = self.attempt(scope, (write, write), "lost")
                        self.assertIsNotNone(retry_reason(error), repr(error))
        finally:
            self.server.start()
        self.assertIsNone(
            self.attempt(commit_on_success, (write_with_django, write_with_storm), "back")
        )
        self.assertEqual(self.names(), ["back"] * 2)

    def test_a_server_that_is_stopping_can_be_tried_again(self) -> None:
        if not isinstance(self.server, PostgresServer):
            self.skipTest("only PostgreSQL waits for sessions before it stops")
        copy = connections["restarted"].copy()
        copy.ensure_connection()
        connections["restarted"].close()
        self.server.begin_to_stop()
        try:
            for write in (write_with_django, write_with_storm):
                error = self.attempt(commit_on_success, (write, write), "lost")
                self.assertIn("shutting down", str(error))
                self.assertIsNotNone(retry_reason(error))
        finally:
            copy.close()
            self.server.stop()
            self.server.start()
        self.assertEqual(self.names(), [])

    def test_threads_at_work_lose_and_double_nothing(self) -> None:
        """Restarts at any moment: while connecting, between statements, while committing."""
        over = threading.Event()
        wake = threading.Event()
        done: list[str] = []
        failed: list[tuple[str, BaseException]] = []

        def both(name: str) -> None:
            write_with_django(name)
            write_with_storm(name)

        def work(number: int) -> None:
            run: Callable[[str], None] = attempts(20)(both) if number % 2 else attempts(1)(both)
            for count in itertools.count():
                if over.is_set():
                    break
                name = f"thread {number} row {count}"
                try:
                    run(name)
                except Exception as error:
                    failed.append((name, error))
                    wake.wait(0.02)
                else:
                    done.append(name)
            connections["restarted"].close()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        try:
            for crash in (False, True) * max(5 * ROUNDS, 1):
                before = len(done)
                for _ in range(6000):
                    if len(done) >= before + 20:
                        break
                    wake.wait(0.01)
                else:
                    self.fail(f"nothing was done for a minute, {failed[-1:]}")
                self.server.restart(crash=crash)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        self.assertTrue(failed)
        for name, error in failed:
            self.assertIsNotNone(retry_reason(error), f"{name}: {error!r}")
        connections["restarted"].close()  # opened before the server was restarted
        found = Counter(self.names())
        self.assertEqual({name: found[name] for name in done}, dict.fromkeys(done, 2))
        # One whose COMMIT had no answer may be there: whole, and once.
        self.assertLessEqual({found[name] for name, _ in failed}, {0, 2})


PREPARED = {
    "postgresql": (
        "SHOW timezone",
        "SHOW transaction_isolation",
        "SELECT '2026-07-01 12:00+02'::timestamptz",
        """SELECT '{"a": [1]}'::jsonb""",
        "SELECT 'b9a55b3c-5b8a-4a5e-8b1c-0d3f1d0c9a11'::uuid",
    ),
    "mysql": (
        "SELECT @@session.time_zone",
        "SELECT @@session.tx_isolation",
        "SELECT @@session.sql_auto_is_null",
        "SELECT @@session.character_set_client",
        "SELECT CAST('2026-07-01 12:00' AS DATETIME)",
    ),
}
