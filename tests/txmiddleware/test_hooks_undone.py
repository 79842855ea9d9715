"""Callbacks of work that was undone in part, or that ends with a block of Django's own engine."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

import transaction
from django.db import connection
from django.db import transaction as django_transaction
from django.test import TestCase, TransactionTestCase

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from tests.txmiddleware.resource import Resource, expect_failures
from txmiddleware import commit_on_success, on_abort, on_commit


class Oops(Exception):
    pass


class Ran(list[str]):
    """The names of the callbacks that have run."""

    def note(self, name: str) -> Callable[[], Any]:
        return lambda: self.append(name)


class CallbackCase(TransactionTestCase):
    databases = {"default", "plain"}

    def setUp(self) -> None:
        self.ran = Ran()
        self.addCleanup(Entry.objects.using("plain").all().delete)


class UndoneTest(CallbackCase):
    def register(self, name: str) -> None:
        on_commit(self.ran.note(f"{name} committed"))
        on_abort(self.ran.note(f"{name} aborted"))

    def undo(self, kind: str, alias: str) -> None:
        """Register callbacks in work that is undone at once."""
        if kind == "transaction.savepoint":
            point = transaction.savepoint()
            self.register("inner")
            point.rollback()
            return
        block = {
            "commit_on_success": lambda: commit_on_success(savepoint=True),
            "atomic": lambda: django_transaction.atomic(using=alias),
        }[kind]
        with suppress(Oops), block():
            if alias:
                Entry.objects.using(alias).create(name="inner")
            self.register("inner")
            raise Oops

    def kinds(self) -> list[tuple[str, str]]:
        kinds = ("transaction.savepoint", "commit_on_success", "atomic")
        return [
            (kind, alias)
            for kind in kinds
            for alias in ("default", "plain", "")
            if alias or kind != "atomic"
        ]

    def test_those_of_a_savepoint_that_was_rolled_back_count_as_aborted(self) -> None:
        for kind, alias in self.kinds():
            for used in (False, True):
                with self.subTest(kind, alias=alias, used=used):
                    self.ran.clear()
                    with commit_on_success():
                        self.register("before")
                        if used:
                            Entry.objects.using(alias or "default").create(name="before")
                        self.undo(kind, alias)
                        self.register("after")
                        self.assertEqual(self.ran, [])
                    self.assertEqual(
                        self.ran, ["inner aborted", "before committed", "after committed"]
                    )

    def test_each_runs_once_when_all_is_aborted(self) -> None:
        for kind, alias in self.kinds():
            with self.subTest(kind, alias=alias):
                self.ran.clear()
                with suppress(Oops), commit_on_success():
                    self.register("before")
                    self.undo(kind, alias)
                    raise Oops
                self.assertEqual(self.ran, ["inner aborted", "before aborted"])

    def test_in_a_block_on_the_store_too(self) -> None:
        for register in (True, False):
            with self.subTest(register=register):
                self.ran.clear()
                with django_transaction.atomic():
                    if register:
                        self.register("before")
                    self.undo("atomic", "default")
                before = ["before committed"] if register else []
                self.assertEqual(self.ran, ["inner aborted", *before])

    def test_a_savepoint_that_was_kept_keeps_them(self) -> None:
        with commit_on_success():
            with suppress(Oops), commit_on_success(savepoint=True):
                with commit_on_success(savepoint=True), django_transaction.atomic():
                    self.register("kept")
                self.register("inner")
                raise Oops
            with commit_on_success(savepoint=True), django_transaction.atomic():
                self.register("kept")
        self.assertEqual(self.ran, ["kept aborted", "inner aborted", "kept committed"])

    def test_one_that_is_registered_twice_runs_once_if_one_was_undone(self) -> None:
        callback = self.ran.note("django")
        self.register = lambda name: django_transaction.on_commit(callback)  # type: ignore[method-assign]
        for kind, alias in self.kinds():
            with self.subTest(kind, alias=alias):
                self.ran.clear()
                with commit_on_success():
                    Entry.objects.create(name="a")
                    django_transaction.on_commit(callback)
                    if alias != "plain":  # it is the callback of the other database
                        self.undo(kind, alias)
                self.assertEqual(self.ran, ["django"])

    def test_what_a_database_has_committed_is_not_tidied_up_after(self) -> None:
        class Failing(Resource):
            def tpc_finish(self, txn: Any) -> None:
                raise Oops

        expect_failures(self)
        with self.assertRaises(Oops), commit_on_success():
            Entry.objects.create(name="a")
            transaction.get().join(Failing())
            self.register("work")
        self.assertEqual(Entry.objects.count(), 1)
        self.assertEqual(self.ran, [])

    def test_a_callback_of_djangos_that_raises_does_not_keep_them(self) -> None:
        def fail() -> None:
            raise Oops

        with suppress(Oops), django_transaction.atomic():
            Entry.objects.create(name="a")
            on_commit(self.ran.note("ours"))
            django_transaction.on_commit(fail)
        self.assertEqual(self.ran, ["ours"])

    def test_no_transaction_is_left_to_the_garbage_collector(self) -> None:
        gc.disable()
        self.addCleanup(gc.enable)
        with commit_on_success():
            Entry.objects.create(name="a")
            left = weakref.ref(transaction.get())
            with commit_on_success(savepoint=True):
                self.register("inner")
            with suppress(Oops), commit_on_success(savepoint=True):
                raise Oops
        self.assertIsNone(left())


class BlockOfDjangosTest(CallbackCase):
    """``atomic()`` on Django's own engine around all of it."""

    def work(self, in_scope: bool) -> None:
        if in_scope:
            with commit_on_success():
                self.work(False)
        else:
            Entry.objects.using("plain").create(name="a")
            on_commit(self.ran.note("committed"))

    def test_they_wait_for_its_end(self) -> None:
        for in_scope in (False, True):
            with self.subTest(in_scope=in_scope):
                self.ran.clear()
                with django_transaction.atomic(using="plain"):
                    self.work(in_scope)
                    self.assertEqual(self.ran, [])
                self.assertEqual(self.ran, ["committed"])

    def test_none_runs_if_it_is_rolled_back(self) -> None:
        for in_scope in (False, True):
            with self.subTest(in_scope=in_scope):
                with suppress(Oops), django_transaction.atomic(using="plain"):
                    self.work(in_scope)
                    raise Oops
                self.assertEqual(Entry.objects.using("plain").count(), 0)
                self.assertEqual(self.ran, [])

    def test_a_scope_that_sends_nothing_is_in_it_too(self) -> None:
        with suppress(Oops), django_transaction.atomic(using="plain"):
            with commit_on_success():
                on_commit(self.ran.note("committed"))
            raise Oops
        self.assertEqual(self.ran, [])

    def test_what_was_undone_in_a_scope_is_tidied_up_after_at_its_end(self) -> None:
        with suppress(Oops), django_transaction.atomic(using="plain"):
            with commit_on_success():
                self.work(False)
                with suppress(Oops), commit_on_success(savepoint=True):
                    on_abort(self.ran.note("undone"))
                    raise Oops
            self.assertEqual(self.ran, ["undone"])
            raise Oops
        self.assertEqual(self.ran, ["undone"])


class InTestCaseTest(TestCase):
    databases = {"default", "plain"}

    def test_they_are_captured_as_djangos_are(self) -> None:
        for alias in ("default", "plain"):
            for in_scope in (False, True):
                with self.subTest(alias, in_scope=in_scope):
                    ran = Ran()
                    with self.captureOnCommitCallbacks(execute=True) as callbacks:
                        with commit_on_success() if in_scope else nullcontext():
                            Entry.objects.using(alias).create(name="a")
                            if alias == "default":
                                get_store().add(StormEntry("b"))
                            on_commit(ran.note("a"))
                        self.assertEqual(ran, [])
                    self.assertEqual((len(callbacks), ran), (1, ["a"]))

    def test_they_are_those_of_the_block_that_they_are_in(self) -> None:
        ran = Ran()
        for in_scope in (False, True):
            with (
                self.captureOnCommitCallbacks(execute=True) as callbacks,
                suppress(Oops),
                django_transaction.atomic(using="plain"),
                commit_on_success() if in_scope else nullcontext(),
            ):
                Entry.objects.using("plain").create(name="a")
                on_commit(ran.note("committed"))
                raise Oops
            self.assertEqual((callbacks, ran), ([], []))

    def test_a_scope_that_failed_is_tidied_up_after_at_its_end(self) -> None:
        ran = Ran()
        with commit_on_success():
            Entry.objects.create(name="a")
            on_abort(ran.note("kept"))
        with suppress(Oops), commit_on_success():
            Entry.objects.create(name="b")
            on_abort(ran.note("undone"))
            raise Oops
        self.assertEqual(ran, ["undone"])

    def test_those_of_a_scope_that_failed_are_not(self) -> None:
        with (
            self.captureOnCommitCallbacks() as callbacks,
            suppress(Oops),
            commit_on_success(),
        ):
            Entry.objects.create(name="a")
            on_commit(print)
            raise Oops
        self.assertEqual(callbacks, [])
        self.assertTrue(connection.in_atomic_block)
