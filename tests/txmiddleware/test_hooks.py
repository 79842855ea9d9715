"""Callbacks: on_commit, on_abort, and Django's own on_commit in a scope."""

from __future__ import annotations

import transaction
from django.db import transaction as django_transaction
from django.test import TransactionTestCase

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from txmiddleware import commit_on_success, is_managed, on_abort, on_commit


class HookTest(TransactionTestCase):
    def setUp(self) -> None:
        self.ran: list[str] = []

    def note(self, name: str) -> object:
        return lambda: self.ran.append(name)

    def test_on_commit_runs_once_after_the_commit(self) -> None:
        with commit_on_success():
            on_commit(self.note("a"))
            Entry.objects.create(name="a")
            self.assertEqual(self.ran, [])
        self.assertEqual(self.ran, ["a"])

    def test_on_commit_does_not_run_after_an_abort(self) -> None:
        with self.assertRaises(ZeroDivisionError), commit_on_success():
            on_commit(self.note("a"))
            _ = 1 / 0
        self.assertEqual(self.ran, [])

    def test_on_abort_runs_after_an_abort_only(self) -> None:
        with commit_on_success():
            on_abort(self.note("committed"))
        with self.assertRaises(ZeroDivisionError), commit_on_success():
            on_abort(self.note("aborted"))
            _ = 1 / 0
        self.assertEqual(self.ran, ["aborted"])

    def test_without_a_transaction_on_commit_runs_at_once(self) -> None:
        on_commit(self.note("a"))
        on_abort(self.note("b"))
        self.assertEqual(self.ran, ["a"])

    def test_callbacks_can_use_both_orms_in_transactions_of_their_own(self) -> None:
        def callback() -> None:
            self.assertFalse(is_managed())
            with commit_on_success():
                Entry.objects.create(name="callback")
                get_store().add(StormEntry("callback"))

        for register in (on_commit, django_transaction.on_commit):
            Entry.objects.all().delete()
            with commit_on_success():
                Entry.objects.create(name="work")
                register(callback)
            self.assertEqual(Entry.objects.filter(name="callback").count(), 2)

    def test_djangos_on_commit_waits_for_the_whole_transaction(self) -> None:
        with commit_on_success():
            with django_transaction.atomic():
                django_transaction.on_commit(self.note("a"))
            self.assertEqual(self.ran, [])
        self.assertEqual(self.ran, ["a"])

    def test_djangos_on_commit_runs_after_a_commit_by_hand(self) -> None:
        get_store().add(StormEntry("a"))
        django_transaction.on_commit(self.note("a"))
        on_commit(self.note("b"))
        transaction.commit()
        self.assertEqual(sorted(self.ran), ["a", "b"])

    def test_none_runs_for_a_savepoint_that_was_rolled_back(self) -> None:
        with commit_on_success():
            with self.assertRaises(ZeroDivisionError), django_transaction.atomic():
                django_transaction.on_commit(self.note("atomic"))
                _ = 1 / 0
            with self.assertRaises(ZeroDivisionError), commit_on_success(savepoint=True):
                django_transaction.on_commit(self.note("savepoint"))
                _ = 1 / 0
            django_transaction.on_commit(self.note("kept"))
        self.assertEqual(self.ran, ["kept"])

    def test_a_failing_callback_is_logged_and_stops_nobody(self) -> None:
        def fail() -> None:
            raise ValueError("of the callback")

        with self.assertLogs("txmiddleware", "ERROR") as logs, commit_on_success():
            on_commit(fail)
            django_transaction.on_commit(fail)
            on_commit(self.note("a"))
        self.assertEqual(self.ran, ["a"])
        self.assertEqual(len(logs.output), 2)

    def test_a_callback_can_ask_for_its_failure_to_be_raised(self) -> None:
        def fail() -> None:
            raise ValueError("of the callback")

        with self.assertRaises(ValueError), commit_on_success():
            Entry.objects.create(name="a")
            on_commit(fail, robust=False)
        self.assertEqual(Entry.objects.count(), 1)

    def test_an_atomic_block_on_the_store_runs_both_kinds(self) -> None:
        with django_transaction.atomic():
            Entry.objects.create(name="a")
            django_transaction.on_commit(self.note("django"))
            on_commit(self.note("ours"))
            self.assertEqual(self.ran, [])
        self.assertEqual(sorted(self.ran), ["django", "ours"])
