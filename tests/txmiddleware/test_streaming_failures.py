"""Bodies that fail halfway, clients that go away: what was committed, and that nothing stays open.

A streaming response's body is sent after the commit, in an idle thread.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from io import BytesIO
from typing import Any
from unittest import mock

import transaction
from asgiref.sync import markcoroutinefunction, sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished
from django.db import connection, connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory, TransactionTestCase, override_settings

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from tests.txmiddleware.asgi import Exchange
from tests.txmiddleware.urls import views
from txmiddleware import attempts, commit_on_success
from txmiddleware.thread import current_scope, has_scope, this_thread


class Oops(Exception):
    """An error of the application."""


def write(name: str) -> None:
    """One row through each ORM."""
    Entry.objects.create(name=f"{name} (django)")
    get_store().add(StormEntry(f"{name} (storm)"))


def both(name: str) -> list[str]:
    return [f"{name} (django)", f"{name} (storm)"]


def state() -> dict[str, Any]:
    """What this thread has open: nothing, if all is well."""
    txn = this_thread.manager.current
    return {
        "managed": has_scope(),
        "scope": current_scope(),
        "explicit": transaction.manager.explicit,
        "resources": [] if txn is None else txn._resources,
        "in a block": connection.in_atomic_block,
    }


IDLE = {"managed": False, "scope": None, "explicit": False, "resources": [], "in a block": False}


@override_settings(
    ROOT_URLCONF="tests.txmiddleware.urls",
    MIDDLEWARE=["txmiddleware.middleware.TransactionMiddleware"],
)
class BodyCase(TransactionTestCase):
    def setUp(self) -> None:
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        self.committed: list[list[str]] = []  # when a body began
        self.states: list[Any] = []  # what the thread had open when a request had ended
        request_finished.connect(self.note)
        self.addCleanup(request_finished.disconnect, self.note)

    def note(self, **kwargs: Any) -> None:
        self.states.append(state())

    def names(self) -> list[str]:
        """What a stranger finds in the database."""
        outside = connection.copy()
        try:
            with outside.cursor() as cursor:
                cursor.execute(f"SELECT name FROM {Entry._meta.db_table} ORDER BY name")
                return [name for (name,) in cursor.fetchall()]
        finally:
            outside.close()


class StreamingTest(BodyCase):
    """Under WSGI, as a server handles it."""

    def body(self, fails: bool) -> Iterator[bytes]:
        self.committed.append(self.names())
        self.states.append(state())
        yield b"first"
        Entry.objects.create(name="body")  # the thread is idle: in autocommit
        if fails:
            raise Oops
        yield b"second"

    def handle(self, view: Callable[[HttpRequest], Any]) -> Any:
        with mock.patch.dict(views, view=view):
            environ = RequestFactory().post("/sync/view/").environ
            return WSGIHandler()(environ, lambda status, headers: None)

    def streams(self, fails: bool) -> Callable[[HttpRequest], StreamingHttpResponse]:
        def view(request: HttpRequest) -> StreamingHttpResponse:
            write("view")
            return StreamingHttpResponse(self.body(fails))

        return view

    def test_the_transaction_has_been_committed_before_the_body_begins(self) -> None:
        response = self.handle(self.streams(fails=False))
        self.assertEqual(b"".join(response), b"firstsecond")
        response.close()
        self.assertEqual(self.committed, [both("view")])
        self.assertEqual(self.states, [IDLE, IDLE])

    def test_a_body_that_fails_halfway_leaves_the_commit_and_nothing_open(self) -> None:
        response = self.handle(self.streams(fails=True))
        with self.assertRaises(Oops):
            list(response)
        response.close()
        self.assertEqual(self.committed, [both("view")])
        self.assertEqual(self.names(), ["body", *both("view")])
        self.assertEqual(self.states, [IDLE, IDLE])

    def test_a_client_that_goes_away_leaves_the_commit_and_nothing_open(self) -> None:
        response = self.handle(self.streams(fails=False))
        self.assertEqual(next(iter(response)), b"first")
        response.close()
        self.assertEqual(self.names(), both("view"))
        self.assertEqual(self.states, [IDLE, IDLE])

    def test_a_body_that_was_never_asked_for_leaves_nothing_open(self) -> None:
        self.handle(self.streams(fails=False)).close()
        self.assertEqual(self.names(), both("view"))
        self.assertEqual(self.states, [IDLE])

    def test_what_storm_begins_in_a_body_does_not_get_into_the_next_request(self) -> None:
        def body() -> Iterator[bytes]:
            yield b"first"
            get_store().add(StormEntry("body"))
            get_store().flush()
            raise Oops

        def view(request: HttpRequest) -> StreamingHttpResponse:
            return StreamingHttpResponse(body())

        response = self.handle(view)
        with self.assertRaises(Oops):
            list(response)
        response.close()
        self.handle(lambda request: write("next")).close()
        self.assertEqual(self.names(), both("next"))


class AsyncStreamingTest(BodyCase):
    """Under ASGI, where each request has a thread of its own for what is not async."""

    async def body(self, fails: bool) -> AsyncIterator[bytes]:
        self.committed.append(await sync_to_async(self.names)())
        self.states.append(await sync_to_async(state)())
        yield b"first"
        await Entry.objects.acreate(name="body")
        if fails:
            raise Oops
        yield b"second"

    def handle(self, kind: str, view: Callable[[Any], Any]) -> Exchange:
        with mock.patch.dict(views, view=view):
            exchange = Exchange(f"/{kind}/view/")
            application = ASGIHandler()
            with mock.patch.object(application, "read_body", self.no_body), suppress(Oops):
                asyncio.run(exchange.run(application))
        return exchange

    async def no_body(self, receive: Callable[[], Any]) -> BytesIO:
        # Django leaves its temporary file open where a body fails, with a warning.
        await receive()
        return BytesIO()

    def streams(self, fails: bool) -> Callable[[HttpRequest], Any]:
        async def view(request: HttpRequest) -> StreamingHttpResponse:
            await sync_to_async(write)("view")
            return StreamingHttpResponse(self.body(fails))

        return view

    def test_the_transaction_has_been_committed_before_the_body_begins(self) -> None:
        exchange = self.handle("async", self.streams(fails=False))
        self.assertEqual(exchange.body, b"firstsecond")
        self.assertEqual(self.committed, [both("view")])
        self.assertEqual(self.states, [IDLE, IDLE])

    def test_a_body_that_fails_halfway_leaves_the_commit_and_nothing_open(self) -> None:
        self.handle("async", self.streams(fails=True))
        self.assertEqual(self.committed, [both("view")])
        self.assertEqual(self.names(), ["body", *both("view")])
        self.assertEqual(self.states[:1], [IDLE])

    def test_a_client_that_goes_away_from_a_body_leaves_nothing_open(self) -> None:
        begun: list[Exchange] = []
        ended = []

        async def body() -> AsyncIterator[bytes]:
            try:
                yield b"first"
                begun[0].hang_up()
                await asyncio.Event().wait()
            finally:
                ended.append(await sync_to_async(state)())

        async def view(request: Any) -> StreamingHttpResponse:
            await sync_to_async(write)("view")
            return StreamingHttpResponse(body())

        with mock.patch.dict(views, view=view):
            begun.append(Exchange("/async/view/"))
            asyncio.run(begun[0].run(ASGIHandler()))
        self.assertEqual(self.names(), both("view"))
        self.assertEqual(ended, [IDLE])


class NotesCancellation:
    """A middleware inside that of the transaction, which notices that the client has gone."""

    async_capable = True
    sync_capable = False
    noticed = threading.Event()

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> Any:
        try:
            return await self.get_response(request)
        except asyncio.CancelledError:
            self.noticed.set()
            raise


class DisconnectTest(BodyCase):
    """A client that goes away while the view is at work."""

    def run_and_hang_up(self, kind: str, view: Callable[[Any], Any]) -> Exchange:
        async def main() -> None:
            self.loop = asyncio.get_running_loop()
            await self.exchange.run(ASGIHandler())

        self.exchange = Exchange(f"/{kind}/view/")
        with mock.patch.dict(views, view=view):
            asyncio.run(main())
        return self.exchange

    def test_an_async_view_is_aborted(self) -> None:
        async def view(request: Any) -> HttpResponse:
            await sync_to_async(write)("view")
            self.exchange.hang_up()
            await asyncio.Event().wait()
            return HttpResponse()

        self.assertIsNone(self.run_and_hang_up("async", view).status)
        self.assertEqual(self.names(), [])
        self.assertEqual(self.states, [IDLE])

    def test_a_sync_view_is_aborted_once_it_is_done(self) -> None:
        def view(request: Any) -> HttpResponse:
            write("view")
            self.loop.call_soon_threadsafe(self.exchange.hang_up)
            self.assertTrue(NotesCancellation.noticed.wait(20))
            write("after the client has gone")
            return HttpResponse()

        NotesCancellation.noticed.clear()
        middleware = [*settings.MIDDLEWARE, f"{__name__}.NotesCancellation"]
        with self.settings(MIDDLEWARE=middleware):
            self.assertIsNone(self.run_and_hang_up("sync", view).status)
        self.assertEqual(self.names(), [])
        self.assertEqual(self.states, [IDLE])


class Canceller:
    """Cancels a task when a transaction of this thread begins or is about to end."""

    def __init__(self, point: str) -> None:
        self.point = point
        self.task: asyncio.Task[Any] | None = None
        self.loop = asyncio.get_running_loop()
        self.begun = False  # before that, the end is that of an empty transaction

    def cancel(self, point: str) -> None:
        if self.begun and point == self.point and self.task is not None:
            done = threading.Event()
            task, self.task = self.task, None
            self.loop.call_soon_threadsafe(task.cancel)
            # The loop has a few rounds to go until everybody who waits for the task's thread knows.
            self.loop.call_soon_threadsafe(self.after, 20, done)
            done.wait(20)

    def after(self, rounds: int, done: threading.Event) -> None:
        if rounds:
            self.loop.call_soon(self.after, rounds - 1, done)
        else:
            done.set()

    def newTransaction(self, txn: object) -> None:
        self.begun = self.task is not None
        self.cancel("begin")

    def beforeCompletion(self, txn: object) -> None:
        self.cancel("end")

    def afterCompletion(self, txn: object) -> None:
        self.cancel("ended")


class CancellationTest(BodyCase):
    """As with the async test client: one thread for all requests and tasks."""

    async def post(self) -> None:
        async def view(request: Any) -> HttpResponse:
            await sync_to_async(write)("view")
            return HttpResponse()

        with mock.patch.dict(views, view=view):
            await self.async_client.post("/async/view/")

    async def scope(self) -> None:
        async with commit_on_success():
            await sync_to_async(write)("view")

    async def retried(self) -> None:
        await attempts(2)(self.work)()

    async def work(self) -> None:
        await sync_to_async(write)("view")

    def run_cancelled(
        self, work: Callable[[], Any], *, point: str = "", rounds: int | None = None
    ) -> None:
        """Cancel ``work`` at a point of its transaction, or after some rounds of the loop."""

        async def main() -> None:
            canceller = Canceller(point)
            await sync_to_async(transaction.manager.registerSynch)(canceller)
            task = canceller.task = asyncio.ensure_future(work())
            for _ in range(rounds or 0):
                await asyncio.sleep(0)
            if rounds is not None:
                task.cancel()
            await asyncio.wait([task])
            try:
                self.assertEqual(await sync_to_async(state)(), IDLE)
            finally:
                await sync_to_async(transaction.manager.unregisterSynch)(canceller)
                await sync_to_async(connections.close_all)()

        asyncio.run(main())
        committed = self.names()
        Entry.objects.all().delete()
        if point:
            self.assertEqual(committed, [] if point == "begin" else both("view"))
        else:
            self.assertIn(committed, [[], both("view")])

    def test_whatever_is_beginning_or_ending_is_brought_to_its_end(self) -> None:
        for work in (self.post, self.scope, self.retried):
            for point in ("begin", "end", "ended"):
                with self.subTest(work.__name__, point=point):
                    self.run_cancelled(work, point=point)

    def test_a_cancellation_at_any_time_leaves_the_thread_idle(self) -> None:
        for work in (self.post, self.scope, self.retried):
            for rounds in range(25):
                with self.subTest(work.__name__, rounds=rounds):
                    self.run_cancelled(work, rounds=rounds)
