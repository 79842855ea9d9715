"""A process that dies while it commits in two phases, and what is left for an operator to do."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from io import StringIO
from unittest import mock

import psycopg2
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import override_settings
from django.utils import timezone
from storm.exceptions import Error as StormError

from storm_django import recovery
from storm_django.models import TransactionOutcome
from tests.storm_django.aliases import extra_alias
from tests.storm_django.models import Entry
from tests.storm_django.test_lost_answer import Proxy
from tests.storm_django.two_phase import ALIASES, TwoPhaseCase, prepared
from tests.txmiddleware.resource import Resource
from txmiddleware import attempts, commit_on_success
from txmiddleware.exceptions import TransactionManagementError

FIRST, BETWEEN = "voter", "~txmiddleware:first0"
"""Sort keys: before all databases, and between the two that prepare."""

POINTS = {
    "one has prepared": (BETWEEN, "commit"),
    "both have prepared": (FIRST, "tpc_vote"),
    "all have voted": (FIRST, "tpc_finish"),
    "one has finished": (BETWEEN, "tpc_finish"),
}


class Interloper(Resource):
    """A resource that calls a function at one point of a commit."""

    state = "no work"  # with its key it could be one that commits when it votes

    def __init__(self, key: str, method: str, call: Callable[[], None]) -> None:
        self.key = key
        setattr(self, method, lambda txn: call())

    def sortKey(self) -> str:
        return self.key


def run(*arguments: str, young: int = 0) -> str:
    """What the command prints."""
    output = StringIO()
    with mock.patch.object(recovery, "YOUNG", young):
        call_command("storm_transactions", *arguments, stdout=output)
    return output.getvalue()


class RecoveryCase(TwoPhaseCase):
    @contextmanager
    def one_more(self, alias: str, uri: str) -> Iterator[None]:
        """Inside, the command knows of an alias more, which the test may use."""
        with (
            extra_alias(alias, uri),
            mock.patch.object(type(self), "databases", frozenset(connections)),
        ):
            yield

    def commit(self, point: str, call: Callable[[], None], one_phase: bool) -> None:
        """Write in all databases, and call ``call`` at that point of the commit."""
        with commit_on_success():
            self.work(Interloper(*POINTS[point], call))
            if one_phase:
                Entry.objects.create(name="one phase")

    def crash(self, point: str, one_phase: bool) -> None:
        """Die there, in a process of its own."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # there may be other threads
            child = os.fork()
        if not child:
            try:
                self.commit(point, lambda: os._exit(7), one_phase)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 7)

    def assert_committed(self, committed: bool, one_phase: bool) -> None:
        self.assert_at_rest()
        self.assertEqual(self.names(), self.written(*(["a"] if committed else [])))
        self.assertEqual(Entry.objects.count(), int(committed and one_phase))


class CrashTest(RecoveryCase):
    def test_after_a_crash_at_any_point_all_or_nothing_is_committed(self) -> None:
        for point in POINTS:
            for one_phase in (False, True):
                with self.subTest(point, one_phase=one_phase):
                    self.crash(point, one_phase)
                    committed = point == "one has finished" or (
                        one_phase and point == "all have voted"
                    )
                    self.assertNotEqual(prepared(self.server), [])
                    with self.assertRaisesMessage(CommandError, "run it with --finish"):
                        run()
                    told = run("--finish")
                    decision = "has committed it: commit" if committed else "it: roll back"
                    self.assertIn(decision, told)
                    self.assert_committed(committed, one_phase)
                    self.assertEqual(run(), "Nothing is prepared.\n")
                    self.forget()

    def test_another_alias_of_a_database_may_have_no_part(self) -> None:
        with self.one_more("again", self.server.uri.rpartition("/")[0] + "/first"):
            self.crash("both have prepared", one_phase=False)
            self.assertIn("it: roll back", run("--finish"))
        self.assert_committed(False, one_phase=False)

    def test_the_list_changes_nothing(self) -> None:
        self.crash("both have prepared", one_phase=False)
        with self.assertRaisesMessage(CommandError, "1 prepared"):
            run()
        self.assertEqual(prepared(self.server), ["first", "second"])
        self.assertEqual(TransactionOutcome.objects.count(), 0)
        run("--finish")

    def test_a_database_that_cant_be_asked_leaves_all_as_it_is(self) -> None:
        self.crash("both have prepared", one_phase=False)
        with (
            self.one_more("gone", "postgres://postgres@127.0.0.1:1/nowhere"),
            self.assertRaisesMessage(CommandError, "can't be asked"),
        ):
            run("--finish")
        self.assertEqual(prepared(self.server), ["first", "second"])
        run("--finish")
        self.assert_committed(False, one_phase=False)


class AliveTest(RecoveryCase):
    """The command, while the transaction goes on."""

    def finish(self, young: int = 0) -> None:
        """Run the command in another thread."""

        def work() -> None:
            try:
                self.told = run("--finish", young=young)
            except CommandError as error:
                self.told = str(error)
            finally:
                connections.close_all()

        thread = threading.Thread(target=work)
        with mock.patch.object(recovery, "PATIENCE", 1):
            thread.start()
            thread.join()

    def test_one_that_has_work_to_do_is_left_alone(self) -> None:
        for point, one_phase in (
            ("one has prepared", False),
            ("one has prepared", True),
            ("both have prepared", True),
        ):
            with self.subTest(point, one_phase=one_phase):
                self.commit(point, self.finish, one_phase)
                self.assertIn("run it again later", self.told)
                self.assert_committed(True, one_phase)
                self.forget()

    def test_one_that_is_decided_is_finished(self) -> None:
        with self.assertLogs("storm_django", "ERROR"):  # its own second phase finds nothing
            self.commit("all have voted", self.finish, True)
        self.assertIn("a database has committed it: commit", self.told)
        self.assert_committed(True, one_phase=True)

    def test_one_that_has_just_been_prepared_is_left_alone(self) -> None:
        self.commit("both have prepared", lambda: self.finish(young=30), one_phase=False)
        self.assertIn("run it again later", self.told)
        self.assert_committed(True, one_phase=False)

    def test_one_that_all_have_prepared_is_rolled_back_everywhere(self) -> None:
        with self.assertLogs("storm_django", "ERROR"), self.assertRaises(StormError):
            self.commit("both have prepared", self.finish, False)
        self.assertIn("no database has committed it: roll back", self.told)
        self.assert_committed(False, one_phase=False)


class LostTest(RecoveryCase):
    """A session that is lost between the two phases."""

    def lose(self) -> None:
        with psycopg2.connect(self.server.uri) as raw, raw.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'first'"
            )
        raw.close()

    def test_before_the_decision_all_that_can_be_reached_is_rolled_back(self) -> None:
        def lose_and_refuse() -> None:
            self.lose()
            raise ZeroDivisionError

        with self.assertLogs("storm_django", "ERROR"), self.assertRaises(ZeroDivisionError):
            self.commit("both have prepared", lose_and_refuse, one_phase=True)
        self.assertEqual(prepared(self.server), ["first"])
        self.assertIn("roll back", run("--finish"))
        self.assert_committed(False, one_phase=True)

    def test_after_the_decision_nothing_is_rolled_back(self) -> None:
        for one_phase in (True, False):
            with self.subTest(one_phase=one_phase):
                # Without the third nobody has committed, and nobody is told so.
                told = nullcontext() if one_phase else self.assertRaises(StormError)
                with self.assertLogs("storm_django", "ERROR") as logs, told:
                    self.commit("all have voted", self.lose, one_phase)
                left = ["first"] if one_phase else ["first", "second"]
                self.assertIn("first: a part of a transaction may be prepared", logs.output[0])
                self.assertEqual(prepared(self.server), left)
                run("--finish")
                self.assert_committed(one_phase, one_phase)
                self.work(Resource(), "b")
                self.forget()

    def test_an_answer_to_prepare_that_is_lost_is_told_and_nothing_is_tried_again(self) -> None:
        proxy = Proxy("127.0.0.1", self.server.port)
        self.addCleanup(proxy.close)
        uri = f"postgres://postgres@127.0.0.1:{proxy.port}/first"
        calls: list[int] = []

        @attempts(3)
        def work() -> None:
            calls.append(1)
            for alias in ("proxied", "second"):
                Entry.objects.using(alias).create(name="a")

        stores = settings.STORM_STORES | {"proxied": {"URI": uri, "TWO_PHASE": True}}
        with override_settings(STORM_STORES=stores), self.one_more("proxied", "proxied"):
            proxy.loses = b"PREPARE TRANSACTION"
            with self.assertLogs("storm_django", "ERROR") as logs, self.assertRaises(StormError):
                work()
            self.assertIn("proxied: a part of a transaction may be prepared", logs.output[0])
            self.assertEqual((proxy.loses, len(calls)), (b"", 1))
            self.assertEqual(prepared(self.server), ["first"])
            self.assertIn("roll back", run("--finish"))
        self.assertEqual((prepared(self.server), self.names()), ([], self.written()))


class NotesTest(RecoveryCase):
    def test_each_database_has_a_note_and_old_ones_are_deleted(self) -> None:
        self.commit("all have voted", lambda: None, one_phase=True)
        aliases = ("default", *ALIASES)
        ids = {alias: TransactionOutcome.objects.using(alias).get().id for alias in aliases}
        self.assertEqual(len({id.removesuffix(f":{alias}") for alias, id in ids.items()}), 1)
        run("--finish")
        for alias in aliases:
            found = TransactionOutcome.objects.using(alias)
            self.assertEqual(found.count(), 1)
            found.update(noted=timezone.now() - timedelta(days=2))
        run("--finish")
        for alias in aliases:
            self.assertEqual(TransactionOutcome.objects.using(alias).count(), 0)

    def test_two_aliases_may_be_about_one_database(self) -> None:
        with self.one_more("again", self.server.uri.rpartition("/")[0] + "/first"):
            with commit_on_success():
                self.work(Resource())
                Entry.objects.using("again").create(name="again")
            self.assertEqual(TransactionOutcome.objects.using("again").count(), 2)
            self.assertEqual(Entry.objects.using("again").count(), 3)

    def test_a_database_without_the_table_says_what_to_do(self) -> None:
        with connections["second"].schema_editor() as editor:
            editor.delete_model(TransactionOutcome)
        try:
            with self.assertRaisesMessage(
                TransactionManagementError, "manage.py migrate --database=second"
            ):
                self.commit("all have voted", lambda: None, one_phase=False)
        finally:
            with connections["second"].schema_editor() as editor:
                editor.create_model(TransactionOutcome)
        self.assert_committed(False, one_phase=False)
