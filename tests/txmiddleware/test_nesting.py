"""Scopes nest in any order: what is in the database afterwards is what the laws say.

NESTING_CASES is the number of random programs, NESTING_SEED chooses others, and NESTING_DEPTH is
that of the nestings that are all tried.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from unittest import mock

import transaction
from django.db import IntegrityError, connection
from django.db import transaction as django_transaction
from django.db.transaction import TransactionManagementError
from django.http import HttpRequest
from django.test import TestCase, TransactionTestCase, override_settings
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from transaction.interfaces import AlreadyInTransaction, DoomedTransaction

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from tests.txmiddleware.nesting import (
    KINDS,
    OUTERMOST,
    Block,
    Model,
    Runner,
    Step,
    Write,
)
from tests.txmiddleware.urls import views
from txmiddleware import commit_on_success, is_managed
from txmiddleware.thread import current_scope

CASES = int(os.environ.get("NESTING_CASES", "150"))
SEED = int(os.environ.get("NESTING_SEED", "1"))
DEPTH = int(os.environ.get("NESTING_DEPTH", "2"))
TABLE = Entry._meta.db_table

writes = st.sampled_from(["django", "storm"])
leaves = st.one_of(writes, writes, writes, st.sampled_from(["raise", "raise", "doom"]))


def blocks(kinds: tuple[str, ...], steps: Any) -> Any:
    """Blocks of random kinds around lists of random steps."""
    caught = st.sampled_from([True, True, False])
    return st.builds(Block, st.sampled_from(kinds), st.lists(steps, max_size=4).map(tuple), caught)


inner = st.recursive(leaves, lambda steps: blocks(KINDS, leaves | steps), max_leaves=8)
programs = st.lists(writes | blocks(OUTERMOST, inner), min_size=1, max_size=3).map(tuple)


def numbered(steps: tuple[Any, ...], numbers: Iterator[int] | None = None) -> tuple[Step, ...]:
    """The same steps, each write with a position of its own."""
    numbers = itertools.count(1) if numbers is None else numbers
    return tuple(
        Block(step.kind, numbered(step.steps, numbers), step.caught)
        if isinstance(step, Block)
        else Write(step, next(numbers))
        if step in ("django", "storm")
        else step
        for step in steps
    )


def chain(kinds: tuple[str, ...], fails: bool, catcher: int) -> Block:
    """A block in a block, writes before and behind each; the ``catcher``-th catches failure."""
    inner: tuple[Any, ...] = ("raise",) if fails else ()
    for level, kind in reversed(list(enumerate(kinds))):
        first, second = ("django", "storm") if level % 2 else ("storm", "django")
        inner = (Block(kind, (first, *inner, second), caught=level == catcher),)
    (block,) = inner
    assert isinstance(block, Block)
    return block


def chains(depth: int) -> Iterator[Block]:
    """All chains of ``depth`` blocks, without failure and with one that each level catches."""
    for outermost in OUTERMOST:
        for others in itertools.product(KINDS, repeat=depth - 1):
            yield chain((outermost, *others), False, 0)
            for catcher in range(depth):
                yield chain((outermost, *others), True, catcher)


class NestingTest(TransactionTestCase):
    def setUp(self) -> None:
        self.outside = connection.copy()
        self.addCleanup(self.outside.close)
        for name in ("txmiddleware", "txn"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
            self.addCleanup(logging.getLogger(name).setLevel, logging.NOTSET)

    def committed(self) -> list[int]:
        """What a stranger finds in the database, and nobody finds again."""
        with self.outside.cursor() as cursor:
            cursor.execute(f"SELECT position FROM {TABLE} ORDER BY position")
            found = [position for (position,) in cursor.fetchall()]
            if found:
                cursor.execute(f"DELETE FROM {TABLE}")
        return found

    def check(self, steps: tuple[Any, ...], *, commits: bool = True) -> None:
        """Run a program for real and by the laws, and compare."""
        program = numbered(steps)
        model, runner = Model(), Runner()
        model.program(program, commits=commits)
        runner.program(program, commits=commits)
        self.assertEqual(
            (runner.log, self.committed()), (model.log, sorted(model.committed)), program
        )
        self.assert_idle()

    def assert_idle(self) -> None:
        self.assertFalse(is_managed())
        self.assertIsNone(current_scope())
        self.assertFalse(transaction.manager.explicit)
        self.assertEqual(transaction.get()._resources, [])
        self.assertFalse(connection.in_atomic_block)
        self.assertFalse(connection.needs_rollback)
        self.assertTrue(connection.get_autocommit())

    def test_random_programs_leave_what_the_laws_say(self) -> None:
        @seed(SEED)
        @settings(
            max_examples=CASES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(programs, st.booleans())
        def check(program: tuple[Any, ...], commits: bool) -> None:
            try:
                self.check(program, commits=commits)
            finally:
                transaction.abort()

        check()

    def test_all_nestings_leave_what_the_laws_say(self) -> None:
        for block in chains(DEPTH):
            with self.subTest(block):
                self.check((block,))


@override_settings(
    ROOT_URLCONF="tests.txmiddleware.urls",
    MIDDLEWARE=["txmiddleware.middleware.TransactionMiddleware"],
)
class OtherOwnersTest(TransactionTestCase):
    """Who may begin and end what Storm, or ``with transaction.manager``, has begun."""

    def setUp(self) -> None:
        self.addCleanup(transaction.abort)

    def positions(self) -> list[int]:
        return sorted(Entry.objects.values_list("position", flat=True))

    def test_a_second_begin_in_a_scope_by_hand_is_refused_and_does_no_harm(self) -> None:
        with transaction.manager:
            Entry.objects.create(position=1)
            with self.assertRaises(AlreadyInTransaction):
                transaction.begin()
        self.assertEqual(self.positions(), [1])

    def test_begin_may_give_up_what_could_not_be_committed(self) -> None:
        transaction.begin()
        transaction.doom()
        with self.assertRaises(DoomedTransaction):
            transaction.commit()
        with transaction.manager:
            Entry.objects.create(position=1)
        self.assertEqual(self.positions(), [1])

    def test_what_storm_began_is_not_ended_inside_a_scope_or_block(self) -> None:
        for scope in (commit_on_success, django_transaction.atomic):
            for end in (transaction.begin, transaction.abort, transaction.commit):
                with self.subTest(scope=scope.__name__, end=end.__name__):
                    get_store().add(StormEntry("storm", 1))
                    with scope():
                        Entry.objects.create(position=2)
                        with self.assertRaisesMessage(TransactionManagementError, "outside"):
                            end()
                    if end is transaction.commit:
                        transaction.commit()
                    else:
                        with self.assertRaises(DoomedTransaction):
                            transaction.commit()
                        transaction.abort()
                    self.assertEqual(self.positions(), [1, 2] if end is transaction.commit else [])
                    Entry.objects.all().delete()

    def test_a_failure_is_not_put_down_to_an_earlier_transaction(self) -> None:
        with suppress(IntegrityError), django_transaction.atomic():
            Entry.objects.create(position=None)
        with commit_on_success():
            Entry.objects.create(position=1)
            django_transaction.set_rollback(True)
            with self.assertRaises(TransactionManagementError) as caught:
                Entry.objects.count()
        self.assertIsNone(caught.exception.__cause__)

    def test_a_request_is_no_part_of_what_was_begun_and_left(self) -> None:
        def view(request: HttpRequest) -> None:
            Entry.objects.create(position=1)

        transaction.begin()
        with mock.patch.dict(views, view=view), self.assertLogs("txmiddleware", "WARNING"):
            self.assertEqual(self.client.post("/sync/view/").status_code, 200)
        self.assertEqual(self.positions(), [1])


@override_settings(
    ROOT_URLCONF="tests.txmiddleware.urls",
    MIDDLEWARE=["txmiddleware.middleware.TransactionMiddleware"],
)
class RollbackInTestCaseTest(TestCase):
    def test_a_request_that_asks_for_a_rollback_undoes_its_own_work_alone(self) -> None:
        def view(request: HttpRequest) -> None:
            Entry.objects.create(position=2)
            django_transaction.set_rollback(True)

        Entry.objects.create(position=1)
        with mock.patch.dict(views, view=view):
            self.assertEqual(self.client.post("/sync/view/").status_code, 200)
        self.assertEqual(Entry.objects.get().position, 1)

    def test_so_does_a_scope(self) -> None:
        Entry.objects.create(position=1)
        with commit_on_success():
            Entry.objects.create(position=2)
            django_transaction.set_rollback(True)
        self.assertEqual(Entry.objects.get().position, 1)
