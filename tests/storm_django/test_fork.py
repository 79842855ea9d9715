"""What a forked child process inherits: no connection, and no transaction."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import textwrap
import threading
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import transaction
from django.conf import settings
from django.db import connection, connections
from django.db import transaction as django_transaction
from django.test import (
    SimpleTestCase,
    TransactionTestCase,
    override_settings,
    skipUnlessDBFeature,
    tag,
)
from storm.zope.zstorm import global_zstorm

from storm_django import get_store, get_store_uri
from tests.storm_django.models import Entry, StormEntry
from txmiddleware import commit_on_success, is_managed

ORMS = ("django", "storm")
SESSION = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}


def session() -> int:
    """The server's id of the session that both ORMs use."""
    if connection.vendor == "sqlite":
        return os.getpid()
    with connection.cursor() as cursor:
        cursor.execute(SESSION[connection.vendor])
        (number,) = cursor.fetchone()
    assert get_store().execute(SESSION[connection.vendor]).get_one() == (number,)
    return int(number)


def in_child(work: Callable[[], Any]) -> Any:
    """What ``work`` returns in a child process, which then ends at once."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # From Python 3.12 on, where there are other threads.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        try:
            os.close(reading)
            try:
                answer = {"found": work()}
            except BaseException:
                answer = {"error": traceback.format_exc()}
            os.write(writing, json.dumps(answer).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = json.load(pipe)
    os.waitpid(child, 0)
    if "error" in answer:
        raise AssertionError(answer["error"])
    return answer["found"]


def write(name: str) -> None:
    Entry.objects.create(name=f"{name} by django")
    store = get_store()
    store.add(StormEntry(f"{name} by storm"))
    store.flush()


def names() -> dict[str, int]:
    """How many rows of each name there are, for either ORM."""
    found = Counter(Entry.objects.values_list("name", flat=True))
    assert found == Counter(entry.name for entry in get_store().find(StormEntry))
    return dict(found)


def rows(**numbers: int) -> dict[str, int]:
    """What :func:`names` finds where each has called :func:`write` so often."""
    return {f"{who} by {orm}": number for who, number in numbers.items() for orm in ORMS}


def write_in_pool(name: str) -> int:
    """One task of a worker of ``multiprocessing``."""
    with commit_on_success():
        write(name)
        return session()


class ForkTest(TransactionTestCase):
    databases = {"default", "plain"}

    def setUp(self) -> None:
        with commit_on_success():
            self.session = session()
        self.addCleanup(transaction.abort)

    def check_parent(self) -> None:
        """The parent still has the session that it had."""
        with commit_on_success():
            self.assertEqual(session(), self.session)

    def test_an_idle_parent_and_its_children_each_have_a_connection(self) -> None:
        def work() -> int:
            with commit_on_success():
                write("child")
                return session()

        self.assertEqual(len({in_child(work), in_child(work), self.session}), 3)
        self.check_parent()
        with commit_on_success():
            self.assertEqual(names(), rows(child=2))

    def test_a_child_may_use_either_orm_first(self) -> None:
        def with_django() -> int:
            Entry.objects.create(name="django")
            return Entry.objects.count()

        def with_storm() -> int:
            store = get_store()
            store.add(StormEntry("storm"))
            store.commit()
            return int(store.find(StormEntry).count())

        self.assertEqual(in_child(with_django), 1)
        self.assertEqual(in_child(with_storm), 2)
        self.check_parent()

    def test_a_child_may_close_what_it_has_inherited(self) -> None:
        def work() -> None:
            get_store().close()
            connections.close_all()

        in_child(work)
        self.check_parent()

    def test_a_child_reads_again_what_the_parent_had_read(self) -> None:
        with commit_on_success():
            entry = get_store().add(StormEntry("old"))
        with commit_on_success():
            self.assertEqual(entry.name, "old")

        def work() -> str:
            Entry.objects.update(name="new")
            return str(entry.name)

        self.assertEqual(in_child(work), "new")

    @skipUnlessDBFeature("has_select_for_update")  # SQLite: see below
    def test_children_leave_the_transaction_of_their_parent_alone(self) -> None:
        def work() -> list[Any]:
            before = [is_managed(), connection.get_autocommit(), names()]
            transaction.abort()
            with commit_on_success():
                write("child")
            with django_transaction.atomic():
                write("child")
            return [*before, session()]

        for scope in (commit_on_success, django_transaction.atomic, lambda: transaction.manager):
            with self.subTest(scope=scope):
                Entry.objects.all().delete()
                with scope():
                    write("parent")
                    pending = get_store().add(StormEntry("pending"))
                    first = in_child(work)
                    second = in_child(work)
                    pending.name = "changed"
                    self.assertEqual(session(), self.session)
                    write("parent")
                self.assertEqual(first[:3], [False, True, {}])
                self.assertEqual(second[:3], [False, True, rows(child=2)])
                self.assertEqual(len({first[3], second[3], self.session}), 3)
                with commit_on_success():
                    self.assertEqual(names(), {**rows(child=4, parent=2), "changed": 1})

    @skipUnlessDBFeature("has_select_for_update")
    def test_a_child_that_leaves_the_scope_of_its_parent_ends_nothing(self) -> None:
        scope = commit_on_success()
        scope.__enter__()
        Entry.objects.create(name="parent")

        def leave(write: bool) -> list[Any]:
            if write:
                get_store().add(StormEntry("child"))
                get_store().flush()
            scope.__exit__(None, None, None)
            connected = connection.connection is not None
            transaction.abort()
            return [connected, names()]

        self.assertEqual(in_child(lambda: leave(write=True)), [True, {}])
        self.assertEqual(in_child(lambda: leave(write=False)), [False, {}])
        scope.__exit__(None, None, None)
        self.assertEqual(names(), {"parent": 1})

    def test_a_thread_that_has_ended_keeps_nothing_from_being_forgotten(self) -> None:
        inside = []

        def work() -> None:
            with django_transaction.atomic():
                Entry.objects.count()
                inside.append(in_child(lambda: connection.in_atomic_block))

        gc.collect()
        gc.disable()  # the wrapper of the first thread is garbage then, and its connection closed
        self.addCleanup(gc.enable)
        for target in (Entry.objects.count, work):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
        self.assertEqual(inside, [False])

    @skipUnlessDBFeature("has_select_for_update")
    def test_the_workers_of_a_pool_leave_the_transaction_of_their_parent_alone(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            with commit_on_success():
                write("parent")
                with multiprocessing.get_context("fork").Pool(2) as pool:
                    sessions = pool.map(write_in_pool, ["child"] * 4, chunksize=1)
                self.assertNotIn(self.session, sessions)
                self.assertEqual(session(), self.session)
        with commit_on_success():
            self.assertEqual(names(), rows(parent=1, child=4))

    @skipUnlessDBFeature("has_select_for_update")
    def test_the_other_threads_of_the_parent_keep_their_connections(self) -> None:
        written, forked = threading.Event(), threading.Event()

        def work() -> None:
            with commit_on_success():
                write("thread")
                written.set()
                forked.wait(60)
                write("thread")

        thread = threading.Thread(target=work)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(forked.set)
        written.wait(60)
        self.assertEqual(in_child(lambda: [gc.collect(), names()][1]), {})
        forked.set()
        thread.join()
        with commit_on_success():
            self.assertEqual(names(), rows(thread=2))

    def test_a_database_in_sqlite_is_refused_to_a_child_of_a_transaction(self) -> None:
        if connection.vendor != "sqlite":
            self.skipTest("only SQLite takes the parent's locks for its own")

        def work() -> list[str]:
            found = []
            for use in (Entry.objects.count, lambda: get_store().execute("SELECT 1")):
                try:
                    use()
                except django_transaction.TransactionManagementError as error:
                    found.append(str(error))
            return found

        with commit_on_success():
            write("parent")
            found = in_child(work)
            write("parent")
        self.assertEqual(len(found), 2)
        self.assertIn("fork outside of transactions", found[0])
        with commit_on_success():
            self.assertEqual(names(), rows(parent=2))
        self.assertEqual(in_child(names), rows(parent=2))

    def test_a_stock_database_in_a_scope_is_let_go_too(self) -> None:
        with commit_on_success():
            connections["plain"].ensure_connection()

        def work() -> bool:
            with commit_on_success(), connections["plain"].cursor() as cursor:
                cursor.execute("CREATE TABLE of_the_child (id integer)")
            return True

        self.assertTrue(in_child(work))
        with commit_on_success(), connections["plain"].cursor() as cursor:
            cursor.execute("DROP TABLE of_the_child")


class PlainStoreTest(TransactionTestCase):
    """A store without an alias."""

    def setUp(self) -> None:
        uri = get_store_uri()
        if uri.startswith("sqlite:"):
            folder = self.enterContext(tempfile.TemporaryDirectory())
            uri = f"sqlite:{folder}/plain.sqlite3"
        # Plain Storm calls ping(False) on a connection to MySQL.
        self.enterContext(warnings.catch_warnings())
        warnings.filterwarnings("ignore", "The reconnect parameter", DeprecationWarning)
        stores = {**settings.STORM_STORES, "forked": uri}
        self.enterContext(override_settings(STORM_STORES=stores))
        self.store = get_store("forked")
        self.store.execute("CREATE TABLE tests_fork (name varchar(20))")
        transaction.commit()
        self.addCleanup(self.drop)

    def drop(self) -> None:
        transaction.abort()
        self.store.execute("DROP TABLE tests_fork")
        transaction.commit()
        global_zstorm.remove(self.store)
        self.store.close()
        del global_zstorm._default_databases["forked"], global_zstorm._default_uris["forked"]

    def write(self, name: str) -> None:
        get_store("forked").execute("INSERT INTO tests_fork VALUES (?)", (name,))

    def count(self) -> int:
        (number,) = get_store("forked").execute("SELECT count(*) FROM tests_fork").get_one()
        return int(number)

    def test_it_has_a_connection_of_its_own_in_a_child(self) -> None:
        def work() -> int:
            before = self.count()
            transaction.abort()
            with commit_on_success():
                self.write("child")
            self.store.close()
            return before

        self.assertEqual(in_child(work), 0)
        self.assertEqual(self.count(), 1)
        transaction.commit()

    def test_it_joins_the_transactions_of_a_child(self) -> None:
        if self.store.get_database().__class__.__name__ == "SQLite":
            self.skipTest("SQLite takes the parent's locks for its own")

        def work() -> int:
            with suppress(ZeroDivisionError), commit_on_success():
                self.write("lost")
                _ = 1 / 0
            with commit_on_success():
                self.write("child")
            return self.count()

        with commit_on_success():
            self.write("parent")
            self.assertEqual(in_child(work), 1)
            self.write("parent")
        self.assertEqual(self.count(), 3)


@tag("once")
class InterpreterTest(SimpleTestCase):
    """What only a process of its own can show."""

    def run_script(self, name: str, script: str) -> str:
        with tempfile.TemporaryDirectory() as folder:
            uri = f"sqlite:{folder}/{name}" if name else "sqlite:"
            done = subprocess.run(
                [sys.executable, "-c", PREPARE + textwrap.dedent(script), uri],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def test_a_child_that_ends_as_a_program_does_leaves_a_file_alone(self) -> None:
        output = self.run_script(
            "forked.sqlite3",
            """
            with commit_on_success():
                execute("INSERT INTO a VALUES (1)")
                child = os.fork()
                if not child:
                    sys.exit(0)  # which also leaves the block
                os.waitpid(child, 0)
                execute("INSERT INTO a VALUES (2)")
            print(get_store().execute("SELECT count(*) FROM a").get_one())
            """,
        )
        self.assertEqual(output, "(2,)\n")

    def test_a_database_in_memory_is_copied(self) -> None:
        output = self.run_script(
            "",
            """
            def show(who):
                print(who, get_store().execute("SELECT count(*) FROM a").get_one(), flush=True)
                transaction.abort()

            execute("INSERT INTO a VALUES (1)")
            with commit_on_success():
                execute("INSERT INTO a VALUES (2)")
                child = os.fork()
                if not child:
                    show("child")
                    execute("INSERT INTO a VALUES (3)")
                    show("child")
                    os._exit(0)
                os.waitpid(child, 0)
            show("parent")
            """,
        )
        self.assertEqual(output.splitlines(), ["child (1,)", "child (2,)", "parent (2,)"])


PREPARE = """
import os, sys
import django, transaction
from django.conf import settings

settings.configure(DATABASES={"default": {"ENGINE": "storm_django.backend", "NAME": sys.argv[1]}})
django.setup()
from django.db import connection
from storm_django import get_store
from txmiddleware import commit_on_success

def execute(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)

execute("CREATE TABLE a (id integer)")
get_store()
"""
