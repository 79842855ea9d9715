"""Bodies that fail halfway and clients that go away: what was committed, and that nothing stays open.

A streaming response's body is sent after the commit, in an idle thread.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from unittest import mock

import transaction
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished
from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory, TransactionTestCase, override_settings

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from tests.txmiddleware.asgi import Exchange
from tests.txmiddleware.urls import views
from txmiddleware import is_managed
from txmiddleware.scope import current_scope


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
    return {
        "managed": is_managed(),
        "scope": current_scope(),
        "explicit": transaction.manager.explicit,
        "resources": transaction.get()._resources,
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
            try:
                asyncio.run(exchange.run(ASGIHandler()))
            except Oops:
                pass
        return exchange

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


class DisconnectTest(BodyCase):
    """A client that goes away while the view is at work."""

    def run_and_hang_up(self, kind: str, view: Callable[[Any], Any]) -> Exchange:
        exchange = Exchange(f"/{kind}/view/")
        self.exchange = exchange
        with mock.patch.dict(views, view=view):
            asyncio.run(exchange.run(ASGIHandler()))
        return exchange

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
        done = threading.Event()

        def view(request: Any) -> HttpResponse:
            write("view")
            loop.call_soon_threadsafe(self.exchange.hang_up)
            cancelled.wait(10)
            write("after the client has gone")
            done.set()
            return HttpResponse()

        cancelled = threading.Event()
        loop: Any = None

        async def main() -> None:
            nonlocal loop
            loop = asyncio.get_running_loop()
            self.exchange = Exchange("/sync/view/")
            request = asyncio.ensure_future(self.exchange.run(ASGIHandler()))
            while not self.exchange._received.empty() or not done.is_set():
                await asyncio.sleep(0)
                cancelled.set()
            await request

        with mock.patch.dict(views, view=view):
            asyncio.run(main())
        self.assertIsNone(self.exchange.status)
        self.assertEqual(self.names(), [])
        self.assertEqual(self.states, [IDLE])

    def test_a_cancellation_at_any_point_leaves_the_thread_idle(self) -> None:
        """As the async test client does it: one thread for all requests."""

        async def view(request: Any) -> HttpResponse:
            await sync_to_async(write)("view")
            return HttpResponse()

        async def main(steps: int) -> bool:
            task = asyncio.ensure_future(self.async_client.post("/async/view/"))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                return False
            finally:
                found.append(await sync_to_async(state)())
            return True

        found: list[Any] = []
        with mock.patch.dict(views, view=view):
            for steps in (*range(40), *range(50, 2000, 100)):
                with self.subTest(steps=steps):
                    found.clear()
                    asyncio.run(main(steps))
                    self.assertEqual(found, [IDLE])
                    self.assertIn(self.names(), [[], both("view")])
                    Entry.objects.all().delete()
