"""commit_on_success, require_managed and is_managed."""

from __future__ import annotations

from typing import Any

import transaction
from django.db import connection
from django.db import transaction as django_transaction
from django.db.transaction import TransactionManagementError
from django.test import TransactionTestCase
from transaction.interfaces import AlreadyInTransaction, DoomedTransaction

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from tests.txmiddleware.resource import Resource, expect_failures
from txmiddleware import attempts, commit_on_success, is_managed, require_managed
from txmiddleware.exceptions import TransactionDoomed, TransactionRequired


class Oops(Exception):
    """An error of the application."""


def names() -> list[str]:
    """What has been committed."""
    return sorted(Entry.objects.values_list("name", flat=True))


def write(name: str) -> None:
    """One row through each ORM."""
    Entry.objects.create(name=f"{name} (django)")
    get_store().add(StormEntry(f"{name} (storm)"))


def both(name: str) -> list[str]:
    return [f"{name} (django)", f"{name} (storm)"]


class CommitOnSuccessTest(TransactionTestCase):
    def test_commits_both_orms_at_the_end(self) -> None:
        with commit_on_success():
            write("a")
        self.assertEqual(names(), both("a"))

    def test_aborts_both_orms_and_raises_again(self) -> None:
        with self.assertRaises(Oops), commit_on_success():
            write("a")
            raise Oops
        self.assertEqual(names(), [])

    def test_decorates_a_function_and_passes_arguments_and_result(self) -> None:
        @commit_on_success
        def add(name: str, *, twice: bool) -> str:
            """Doc."""
            write(name)
            return name * (1 + twice)

        self.assertEqual(add("a", twice=True), "aa")
        self.assertEqual(add.__name__, "add")
        self.assertEqual(names(), both("a"))

    def test_one_object_can_be_entered_while_it_is_open(self) -> None:
        scope = commit_on_success()
        with scope:
            write("a")
            with scope:
                write("b")
        self.assertEqual(names(), both("a") + both("b"))

    def test_an_inner_failure_that_is_caught_dooms_the_outer_scope(self) -> None:
        with self.assertRaises(TransactionDoomed) as caught, commit_on_success():
            write("a")
            with self.assertRaises(Oops), commit_on_success():
                raise Oops("the cause")
        self.assertIsInstance(caught.exception, DoomedTransaction)
        self.assertIsInstance(caught.exception, TransactionManagementError)
        self.assertIn("the cause", str(caught.exception))
        self.assertIsInstance(caught.exception.__cause__, Oops)
        self.assertEqual(names(), [])

    def test_an_inner_failure_does_not_abort_what_the_outer_scope_still_reads(self) -> None:
        with self.assertRaises(TransactionDoomed), commit_on_success():
            write("a")
            with self.assertRaises(Oops), commit_on_success():
                raise Oops
            self.assertEqual(names(), both("a"))

    def test_a_savepoint_undoes_exactly_the_inner_work(self) -> None:
        with commit_on_success():
            write("a")
            with self.assertRaises(Oops), commit_on_success(savepoint=True):
                write("b")
                raise Oops
            write("c")
        self.assertEqual(names(), both("a") + both("c"))

    def test_a_savepoint_before_the_first_use_undoes_the_inner_work_too(self) -> None:
        with commit_on_success():
            with self.assertRaises(Oops), commit_on_success(savepoint=True):
                write("b")
                raise Oops
            write("c")
        self.assertEqual(names(), both("c"))

    def test_set_rollback_aborts_without_an_error(self) -> None:
        with commit_on_success():
            write("a")
            django_transaction.set_rollback(True)
        self.assertEqual(names(), [])

    def test_doom_is_reported_since_nothing_was_committed(self) -> None:
        with self.assertRaises(TransactionDoomed), commit_on_success():
            write("a")
            transaction.doom()
        self.assertEqual(names(), [])

    def test_inside_an_atomic_block_failure_dooms_the_block(self) -> None:
        with self.assertRaises(TransactionDoomed), django_transaction.atomic():
            write("a")
            with self.assertRaises(Oops), commit_on_success():
                raise Oops
        self.assertEqual(names(), [])

    def test_inside_an_atomic_block_success_leaves_the_commit_to_the_block(self) -> None:
        with self.assertRaises(Oops), django_transaction.atomic():
            with commit_on_success():
                write("a")
            raise Oops
        self.assertEqual(names(), [])

    def test_after_storm_has_begun_success_leaves_the_commit_to_the_caller(self) -> None:
        get_store().add(StormEntry("before"))
        with commit_on_success():
            write("a")
        transaction.abort()
        self.assertEqual(names(), [])

    def test_leaves_the_thread_idle(self) -> None:
        for end in (lambda: None, lambda: 1 / 0):
            try:
                with commit_on_success():
                    write("a")
                    end()
            except ZeroDivisionError:
                pass
            self.assertFalse(is_managed())
            self.assertFalse(connection.in_atomic_block)
            self.assertTrue(connection.get_autocommit())
            self.assertFalse(transaction.manager.explicit)

    async def test_async_with_commits(self) -> None:
        async with commit_on_success():
            await Entry.objects.acreate(name="a")
        self.assertEqual(await Entry.objects.acount(), 1)

    async def test_decorates_a_coroutine_function(self) -> None:
        @commit_on_success
        async def work() -> None:
            await Entry.objects.acreate(name="a")
            raise Oops

        with self.assertRaises(Oops):
            await work()
        self.assertEqual(await Entry.objects.acount(), 0)

    def test_a_generator_is_refused(self) -> None:
        def rows() -> Any:
            yield 1

        async def async_rows() -> Any:
            yield 1

        for function in (rows, async_rows):
            for decorator in (commit_on_success, attempts(2)):
                with self.assertRaisesMessage(TypeError, "a generator"):
                    decorator(function)


class OwnershipTest(TransactionTestCase):
    """The code that began a transaction ends it, and nobody else."""

    def scopes(self) -> list[object]:
        return [commit_on_success(), django_transaction.atomic()]

    def test_transaction_commit_is_refused_and_does_no_harm(self) -> None:
        for scope in self.scopes():
            Entry.objects.all().delete()
            with self.subTest(scope), scope:
                write("a")
                with self.assertRaisesMessage(TransactionManagementError, "remove the call"):
                    transaction.commit()
                write("b")
            self.assertEqual(names(), both("a") + both("b"))

    def test_a_second_begin_is_refused_and_does_no_harm(self) -> None:
        for scope in self.scopes():
            Entry.objects.all().delete()
            with self.subTest(scope), scope:
                write("a")
                with self.assertRaises(AlreadyInTransaction):
                    transaction.begin()
            self.assertEqual(names(), both("a"))

    def test_an_abort_is_noticed_when_the_scope_ends(self) -> None:
        for scope in self.scopes():
            with (
                self.subTest(scope),
                self.assertRaisesMessage(TransactionManagementError, "transaction.abort()"),
                scope,
            ):
                write("a")
                transaction.abort()
            self.assertEqual(names(), [])
            self.assertFalse(transaction.manager.explicit)

    def test_nothing_can_be_written_after_an_abort_in_the_scope(self) -> None:
        with self.assertRaises(TransactionManagementError), commit_on_success():
            write("a")
            transaction.abort()
            write("b")
        self.assertEqual(names(), [])

    def test_an_abort_under_an_open_atomic_block_is_noticed(self) -> None:
        with (
            self.assertRaises(TransactionManagementError),
            commit_on_success(),
            self.assertRaises(Exception),  # noqa: B017
            django_transaction.atomic(),
        ):
            write("a")
            transaction.abort()
        self.assertEqual(names(), [])
        self.assertTrue(connection.get_autocommit())

    def test_commit_of_the_store_is_refused(self) -> None:
        for scope in self.scopes():
            Entry.objects.all().delete()
            with self.subTest(scope), scope:
                write("a")
                with self.assertRaisesMessage(TransactionManagementError, "Store.commit()"):
                    get_store().commit()
            self.assertEqual(names(), both("a"))

    def test_rollback_of_the_store_is_refused_and_dooms(self) -> None:
        with self.assertRaises(TransactionDoomed), commit_on_success():
            write("a")
            with self.assertRaisesMessage(TransactionManagementError, "Store.rollback()"):
                get_store().rollback()
        self.assertEqual(names(), [])

    def test_a_durable_block_is_refused(self) -> None:
        with commit_on_success():
            with (
                self.assertRaisesMessage(TransactionManagementError, "durable"),
                django_transaction.atomic(durable=True),
            ):
                pass
            write("a")
        self.assertEqual(names(), both("a"))

    def test_django_may_not_end_it_even_before_its_first_statement(self) -> None:
        for call in (
            django_transaction.commit,
            django_transaction.rollback,
            lambda: django_transaction.set_autocommit(True),
            lambda: django_transaction.set_autocommit(False),
        ):
            with (
                self.subTest(call),
                commit_on_success(),
                self.assertRaises(TransactionManagementError),
            ):
                call()


class ManagedTest(TransactionTestCase):
    def test_is_managed_in_each_kind_of_scope(self) -> None:
        self.assertFalse(is_managed())
        with commit_on_success():
            self.assertTrue(is_managed())
        with transaction.manager:
            self.assertTrue(is_managed())
        self.assertFalse(is_managed())
        transaction.begin()
        self.assertTrue(is_managed())
        transaction.abort()
        self.assertFalse(is_managed())

    def test_an_atomic_block_alone_is_not_managed(self) -> None:
        with django_transaction.atomic():
            self.assertFalse(is_managed())

    def test_django_joins_a_transaction_that_was_begun_by_hand(self) -> None:
        transaction.begin()
        write("a")
        transaction.abort()
        self.assertEqual(names(), [])
        with transaction.manager:
            write("b")
        self.assertEqual(names(), both("b"))

    def test_require_managed_names_the_function_and_the_remedy(self) -> None:
        @require_managed
        def reusable() -> str:
            return "done"

        with self.assertRaisesMessage(TransactionRequired, "reusable()"):
            reusable()
        with commit_on_success():
            self.assertEqual(reusable(), "done")

    async def test_require_managed_works_for_coroutine_functions(self) -> None:
        @require_managed
        async def reusable() -> str:
            return "done"

        async def managed() -> str:
            async with commit_on_success():
                return await reusable()

        with self.assertRaises(TransactionRequired):
            await reusable()
        self.assertEqual(await managed(), "done")


class FailureTest(TransactionTestCase):
    def test_a_failing_flush_at_commit_commits_nothing(self) -> None:
        Entry.objects.create(id=1, name="here")
        clash = StormEntry("clash")
        clash.id = 1
        with self.assertRaises(Exception), commit_on_success():  # noqa: B017
            Entry.objects.create(name="a")
            get_store().add(clash)
        self.assertEqual(names(), ["here"])
        with commit_on_success():
            write("b")
        self.assertEqual(len(names()), 3)

    def test_a_resource_that_fails_to_vote_aborts_the_databases(self) -> None:
        class Refuses(Resource):
            def tpc_vote(self, txn: object) -> None:
                raise Oops

            def sortKey(self) -> str:
                return "a"

        expect_failures(self)
        with self.assertRaises(Oops), commit_on_success():
            write("a")
            transaction.get().join(Refuses())
        self.assertEqual(names(), [])
        with self.assertRaises(Oops), django_transaction.atomic():
            write("a")
            transaction.get().join(Refuses())
        self.assertEqual(names(), [])
        write_again = commit_on_success(write)
        write_again("b")
        self.assertEqual(names(), both("b"))
