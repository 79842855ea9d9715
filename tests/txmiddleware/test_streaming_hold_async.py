"""``TX_STREAMING = "hold"`` under ASGI: body and view have one thread and one transaction."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from io import BytesIO
from typing import Any
from unittest import mock

from asgiref.sync import async_to_sync, sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.db import connections
from django.http import HttpRequest, StreamingHttpResponse
from django.test import override_settings

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from tests.txmiddleware.asgi import Exchange
from tests.txmiddleware.test_streaming_failures import (
    IDLE,
    BodyCase,
    Oops,
    both,
    state,
    write,
)
from tests.txmiddleware.urls import views
from txmiddleware import is_managed
from txmiddleware.exceptions import TransactionManagementError
from txmiddleware.testing import held_responses

AsyncBody = Callable[[], AsyncIterator[bytes]]


async def writes() -> AsyncIterator[bytes]:
    yield b"first"
    await sync_to_async(write)("body")
    yield b"second"


async def fails() -> AsyncIterator[bytes]:
    async for chunk in writes():
        yield chunk
    raise Oops


@override_settings(TX_STREAMING="hold")
class HoldCase(BodyCase):
    middleware = ("txmiddleware.middleware.TransactionMiddleware",)

    def setUp(self) -> None:
        super().setUp()
        self.ran_in: set[int] = set()

    def write(self, name: str) -> None:
        self.ran_in.add(threading.get_ident())
        write(name)

    def streams(self, body: Callable[[], Any]) -> Callable[[HttpRequest], Any]:
        async def view(request: HttpRequest) -> StreamingHttpResponse:
            await sync_to_async(self.write)("view")
            return StreamingHttpResponse(body())

        return view

    def handle(self, view: Callable[[Any], Any], kind: str = "async") -> Exchange:
        self.exchange = Exchange(f"/{kind}/view/")
        with mock.patch.dict(views, view=view):
            application = ASGIHandler()
            with mock.patch.object(application, "read_body", self.no_body):
                asyncio.run(self.exchange.run(application))
        return self.exchange

    async def no_body(self, receive: Callable[[], Any]) -> BytesIO:
        # Django leaves its temporary file open where a body fails, with a warning.
        await receive()
        return BytesIO()


class HoldTest(HoldCase):
    def test_the_transaction_is_open_while_the_body_is_sent(self) -> None:
        def look() -> None:
            self.committed.append(self.names())
            self.assertTrue(is_managed())
            self.assertEqual(Entry.objects.count(), 2)
            self.write("body")

        async def body() -> AsyncIterator[bytes]:
            yield b"first"
            await sync_to_async(look)()
            self.assertEqual(await Entry.objects.acount(), 4)
            yield b"second"

        self.assertEqual(self.handle(self.streams(body)).body, b"firstsecond")
        self.assertEqual(self.committed, [[]])
        self.assertEqual(self.names(), [*both("body"), *both("view")])
        self.assertEqual(self.states, [IDLE])
        self.assertEqual(len(self.ran_in), 1)

    def test_a_sync_body_is_a_part_of_it_too(self) -> None:
        def body() -> Iterator[bytes]:
            yield b"first"
            self.write("body")

        def view(request: HttpRequest) -> StreamingHttpResponse:
            self.write("view")
            return StreamingHttpResponse(body())

        for kind, of_this_kind in (("sync", view), ("async", self.streams(body))):
            with self.assertWarns(Warning):  # Django's: it takes all of the iterator at once
                self.assertEqual(self.handle(of_this_kind, kind).body, b"first")
            self.assertEqual(self.names(), [*both("body"), *both("view")])
            Entry.objects.all().delete()
        self.assertEqual(self.states, [IDLE, IDLE])

    def test_a_body_that_fails_halfway_aborts_and_is_not_ended_well(self) -> None:
        with self.assertRaises(Oops):
            self.handle(self.streams(fails))
        self.assertEqual(self.exchange.body, b"firstsecond")
        self.assertTrue(self.exchange.sent[-1]["more_body"])
        self.assertEqual(self.names(), [])

    def test_a_commit_that_fails_is_not_ended_well(self) -> None:
        Entry.objects.create(id=1, name="here")

        async def body() -> AsyncIterator[bytes]:
            yield b"first"
            await sync_to_async(self.clash)()

        with self.assertRaises(Exception):  # noqa: B017  (that of the driver)
            self.handle(self.streams(body))
        self.assertTrue(self.exchange.sent[-1]["more_body"])
        self.assertEqual(self.names(), ["here"])

    def clash(self) -> None:
        clash = StormEntry("clash")
        clash.id = 1
        get_store().add(clash)

    def test_a_client_that_goes_away_while_the_body_waits_aborts(self) -> None:
        async def body() -> AsyncIterator[bytes]:
            yield b"first"
            await sync_to_async(self.write)("body")
            self.exchange.hang_up()
            await asyncio.Event().wait()

        self.handle(self.streams(body))
        self.assertEqual((self.names(), self.states), ([], [IDLE]))

    def test_a_client_that_goes_away_while_a_chunk_is_sent_aborts(self) -> None:
        async def body() -> AsyncIterator[bytes]:
            try:
                await sync_to_async(self.write)("body")
                yield b"first"
            finally:
                await sync_to_async(self.write)("cleanup")

        async def run() -> None:
            self.exchange = Exchange("/async/view/")

            async def send(message: Any) -> None:
                if message.get("body"):
                    self.exchange.hang_up()
                    await asyncio.Event().wait()  # the client takes no more

            with mock.patch.object(self.exchange, "_send", send):
                await self.exchange.run(ASGIHandler())

        with mock.patch.dict(views, view=self.streams(body)):
            asyncio.run(run())
        self.assertEqual((self.names(), self.states), ([], [IDLE]))
        self.assertEqual(len(self.ran_in), 1)

    def test_a_function_of_the_body_that_goes_on_is_aborted_too(self) -> None:
        def work() -> None:
            async_to_sync(sync_to_async(write))("before")
            try:
                async_to_sync(leave)()
            finally:
                write("after the client has gone")

        async def leave() -> None:
            self.exchange.hang_up()
            for _ in range(50):
                await asyncio.sleep(0)

        async def body() -> AsyncIterator[bytes]:
            yield b"first"
            await sync_to_async(work)()

        self.handle(self.streams(body))
        self.assertEqual((self.names(), self.states), ([], [IDLE]))

    def test_middleware_that_django_bridges_makes_no_difference(self) -> None:
        transactions = "txmiddleware.middleware.TransactionMiddleware"
        sync_only = "tests.txmiddleware.test_disconnect.SyncOnly"
        gzip = "django.middleware.gzip.GZipMiddleware"
        for middleware in (
            [transactions, sync_only],
            [sync_only, transactions],
            [transactions, gzip],
            [gzip, transactions],
        ):
            with self.subTest(middleware=middleware), self.settings(MIDDLEWARE=middleware):
                Entry.objects.all().delete()
                self.states.clear()
                self.ran_in.clear()
                self.handle(self.streams(writes))
                self.assertEqual(self.names(), [*both("body"), *both("view")])
                self.assertEqual(self.states, [IDLE])
                with self.assertRaises(Oops):
                    self.handle(self.streams(fails))
                self.assertEqual(self.names(), [*both("body"), *both("view")])

    def test_requests_at_the_same_time_have_transactions_of_their_own(self) -> None:
        async def body() -> AsyncIterator[bytes]:
            yield b"first"
            for _ in range(3):
                await asyncio.sleep(0)
                self.assertEqual(await Entry.objects.acount(), 0)
            yield b"second"

        async def view(request: Any) -> StreamingHttpResponse:
            self.assertEqual(await Entry.objects.acount(), 0)
            return StreamingHttpResponse(body())

        async def main() -> list[Exchange]:
            application = ASGIHandler()
            return await asyncio.gather(
                *(Exchange("/async/view/").run(application) for _ in range(8))
            )

        with mock.patch.dict(views, view=view):
            exchanges = asyncio.run(main())
        self.assertEqual([each.body for each in exchanges], [b"firstsecond"] * 8)
        self.assertEqual(self.states, [IDLE] * 8)


class CancellationTest(HoldCase):
    """A task that is cancelled after any number of rounds of the loop."""

    def test_the_thread_is_left_idle_whenever_the_client_leaves(self) -> None:
        async def main(rounds: int) -> bool:
            exchange = Exchange("/async/view/")
            task = asyncio.ensure_future(exchange.run(ASGIHandler()))
            for _ in range(rounds):
                await asyncio.sleep(0)
            exchange.hang_up()
            await task
            return bool(exchange.sent) and "more_body" not in exchange.sent[-1]

        everything = [*both("body"), *both("view")]
        complete = False
        rounds = 0
        with mock.patch.dict(views, view=self.streams(writes)):
            while not complete:
                with self.subTest(rounds=rounds):
                    self.states.clear()
                    Entry.objects.all().delete()
                    complete = asyncio.run(main(rounds))
                    self.assertIn(self.names(), [everything] if complete else [[], everything])
                    self.assertEqual(self.states, [IDLE])
                rounds += 1 + rounds // 8


class AsyncClientTest(HoldCase):
    """One thread for all requests and for the test."""

    async def post(self, body: AsyncBody) -> Any:
        with mock.patch.dict(views, view=self.streams(body)):
            return await self.async_client.post("/async/view/")

    def run_async(self, test: Callable[[], Any]) -> None:
        async def main() -> None:
            try:
                await test()
                self.assertEqual(await sync_to_async(state)(), IDLE)
            finally:
                await sync_to_async(connections.close_all)()

        asyncio.run(main())

    def test_the_end_of_the_body_decides(self) -> None:
        async def test() -> None:
            with held_responses():
                response = await self.post(fails)
                with self.assertRaises(Oops):
                    [chunk async for chunk in response.streaming_content]
                self.assertEqual(await sync_to_async(self.names)(), [])
                response = await self.post(writes)
                chunks = [chunk async for chunk in response.streaming_content]
                self.assertEqual(chunks, [b"first", b"second"])

        self.run_async(test)
        self.assertEqual(self.names(), [*both("body"), *both("view")])

    def test_a_response_that_is_closed_early_aborts(self) -> None:
        async def test() -> None:
            with held_responses():
                response = await self.post(writes)
                await sync_to_async(response.close)()

        self.run_async(test)
        self.assertEqual(self.names(), [])

    def test_a_response_that_was_lost_is_aborted_before_the_next_request(self) -> None:
        async def test() -> None:
            with held_responses():
                lost = await self.post(writes)
                response = await self.post(writes)
                [chunk async for chunk in response.streaming_content]
                with self.assertRaises(TransactionManagementError):
                    [chunk async for chunk in lost.streaming_content]

        self.run_async(test)
        self.assertEqual(self.names(), [*both("body"), *both("view")])
