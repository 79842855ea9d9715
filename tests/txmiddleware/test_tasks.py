"""Tasks that take turns in one thread: what they do is right, or a clear error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from unittest import mock

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import connections
from django.http import HttpRequest, HttpResponse

from tests.storm_django.models import Entry
from tests.txmiddleware.test_streaming_failures import IDLE, BodyCase, Oops, both, state, write
from tests.txmiddleware.urls import views
from txmiddleware import attempts, commit_on_success
from txmiddleware.exceptions import TransactionManagementError


class TaskCase(BodyCase):
    def run_async(self, work: Callable[[], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            try:
                return await asyncio.wait_for(work(), 20)
            finally:
                found = await sync_to_async(state)()
                await sync_to_async(connections.close_all)()
                self.assertEqual(found, IDLE)

        return asyncio.run(main())


class Turns:
    """Two tasks: the first waits inside of its block until the second has done what it does."""

    def __init__(self) -> None:
        self.first_is_inside = asyncio.Event()
        self.second_is_done = asyncio.Event()

    async def first(self, block: Any, failure: Exception | None = None) -> None:
        async with block:
            await sync_to_async(write)("first")
            self.first_is_inside.set()
            await self.second_is_done.wait()
            if failure is not None:
                raise failure

    async def second(self, block: Any) -> None:
        await self.first_is_inside.wait()
        try:
            async with block:
                await sync_to_async(write)("second")
        finally:
            self.second_is_done.set()


class GatherTest(TaskCase):
    def gather(self, one: Any, other: Any, failure: Exception | None = None) -> list[Any]:
        async def work() -> list[Any]:
            turns = Turns()
            return await asyncio.gather(
                turns.first(one, failure), turns.second(other), return_exceptions=True
            )

        async def in_a_scope() -> list[Any]:
            async with commit_on_success():
                return await work()

        found: list[Any] = self.run_async(in_a_scope if self.inside else work)
        return found

    inside = False

    def test_two_outermost_scopes_at_a_time_are_refused(self) -> None:
        first, second = self.gather(commit_on_success(), commit_on_success())
        self.assertIsNone(first)
        self.assertIsInstance(second, TransactionManagementError)
        self.assertIn("another task", str(second))
        self.assertEqual(self.names(), both("first"))

    def test_blocks_without_savepoint_belong_to_the_scope_around_them(self) -> None:
        self.inside = True
        self.assertEqual(self.gather(commit_on_success(), commit_on_success()), [None, None])
        self.assertEqual(self.names(), [*both("first"), *both("second")])

    def test_a_savepoint_that_would_undo_the_work_of_another_task_is_refused(self) -> None:
        self.inside = True
        points = [commit_on_success(savepoint=True) for _ in range(2)]
        plain = [commit_on_success() for _ in range(2)]
        for one, other in ((points[0], points[1]), (points[0], plain[0]), (plain[1], points[1])):
            with self.subTest(one=one, other=other):
                Entry.objects.all().delete()
                first, second = self.gather(one, other)
                self.assertIsNone(first)
                self.assertIsInstance(second, TransactionManagementError)
                self.assertEqual(self.names(), both("first"))

    def test_a_decorated_function_may_run_several_times_at_once(self) -> None:
        @commit_on_success
        async def add(name: str) -> None:
            await sync_to_async(write)(name)
            await asyncio.sleep(0)

        async def work() -> None:
            async with commit_on_success():
                await asyncio.gather(add("a"), add("b"), add("c"))

        self.run_async(work)
        self.assertEqual(self.names(), [*both("a"), *both("b"), *both("c")])

    def test_one_object_may_be_entered_by_tasks_with_threads_of_their_own(self) -> None:
        block = commit_on_success()

        async def work() -> list[Any]:
            entered = [asyncio.Event(), asyncio.Event()]
            left = asyncio.Event()

            async def first() -> None:
                async with ThreadSensitiveContext():
                    async with block:
                        await sync_to_async(write)("first")
                        entered[0].set()
                        await entered[1].wait()
                    left.set()
                    await sync_to_async(connections.close_all)()

            async def second() -> None:
                async with ThreadSensitiveContext():
                    await entered[0].wait()
                    try:
                        async with block:
                            entered[1].set()
                            await left.wait()
                            await sync_to_async(write)("second")
                            raise Oops
                    finally:
                        await sync_to_async(connections.close_all)()

            return await asyncio.gather(first(), second(), return_exceptions=True)

        outcomes = self.run_async(work)
        self.assertIsNone(outcomes[0])
        self.assertIsInstance(outcomes[1], Oops)
        self.assertEqual(self.names(), both("first"))

    def test_a_block_may_be_left_by_another_task_than_entered_it(self) -> None:
        block = commit_on_success()

        async def work() -> None:
            await asyncio.create_task(block.__aenter__())
            await sync_to_async(write)("a")
            await asyncio.create_task(block.__aexit__(None, None, None))

        self.run_async(work)
        self.assertEqual(self.names(), both("a"))

    def test_attempts_at_a_time_are_refused(self) -> None:
        @attempts(2)
        async def add(name: str) -> None:
            await sync_to_async(write)(name)
            await asyncio.sleep(0)

        async def work() -> list[Any]:
            return await asyncio.gather(add("a"), add("b"), return_exceptions=True)

        outcomes = self.run_async(work)
        self.assertEqual([type(each) for each in outcomes].count(TransactionManagementError), 1)
        self.assertEqual(len(self.names()), 2)

    def test_nested_blocks_of_one_task_nest(self) -> None:
        async def work() -> None:
            async with commit_on_success():
                async with commit_on_success(savepoint=True):
                    await self.in_a_block("a")
                with self.assertRaises(Oops):
                    async with commit_on_success(savepoint=True):
                        await asyncio.gather(*(sync_to_async(write)(name) for name in "bc"))
                        await asyncio.create_task(self.in_a_block("d"))
                        raise Oops

        self.run_async(work)
        self.assertEqual(self.names(), both("a"))

    async def in_a_block(self, name: str) -> None:
        async with commit_on_success(savepoint=True):
            await sync_to_async(write)(name)

    def test_one_after_the_other_is_as_ever(self) -> None:
        async def work() -> None:
            for name in "abc":
                await asyncio.create_task(self.in_a_block(name))

        self.run_async(work)
        self.assertEqual(self.names(), [*both("a"), *both("b"), *both("c")])

    def test_a_block_that_outlives_its_scope_is_told_so(self) -> None:
        async def work() -> None:
            turns = Turns()
            async with commit_on_success():
                task = asyncio.create_task(turns.first(commit_on_success()))
                await turns.first_is_inside.wait()
            turns.second_is_done.set()
            with self.assertRaisesMessage(TransactionManagementError, "ended before"):
                await task

        self.run_async(work)


class RequestsTest(TaskCase):
    """The async test client has one thread for all requests, which a server has not."""

    def test_two_requests_at_a_time_are_refused_and_not_mixed(self) -> None:
        turns: list[Turns] = []

        async def view(request: HttpRequest) -> HttpResponse:
            await sync_to_async(write)("first" if not turns[0].first_is_inside.is_set() else "no")
            turns[0].first_is_inside.set()
            await turns[0].second_is_done.wait()
            return HttpResponse("done")

        async def second() -> Any:
            await turns[0].first_is_inside.wait()
            try:
                return await self.async_client.post("/async/view/")
            finally:
                turns[0].second_is_done.set()

        async def work() -> list[Any]:
            turns.append(Turns())
            self.async_client.raise_request_exception = False
            with mock.patch.dict(views, view=view):
                return await asyncio.gather(self.async_client.post("/async/view/"), second())

        first, other = self.run_async(work)
        self.assertEqual((first.status_code, other.status_code), (200, 500))
        self.assertEqual(self.names(), both("first"))

    def test_a_request_made_by_an_async_view_is_a_part_of_its_own(self) -> None:
        async def inner(request: HttpRequest) -> HttpResponse:
            await sync_to_async(write)("inner")
            return HttpResponse("done")

        async def outer(request: HttpRequest) -> HttpResponse:
            await self.async_client.post("/async/inner/")
            async with commit_on_success():
                await sync_to_async(write)("outer")
            return HttpResponse("done")

        async def work() -> Any:
            with mock.patch.dict(views, inner=inner, outer=outer):
                return await self.async_client.post("/async/outer/")

        self.assertEqual(self.run_async(work).status_code, 200)
        self.assertEqual(self.names(), [*both("inner"), *both("outer")])
