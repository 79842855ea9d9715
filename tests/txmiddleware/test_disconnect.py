"""A client that goes away while sync code waits for async code: nothing of the request is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from asgiref.sync import async_to_sync, sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.db import connections
from django.http import HttpRequest, HttpResponse

from tests.storm_django.models import Entry
from tests.txmiddleware.asgi import Exchange
from tests.txmiddleware.test_streaming_failures import IDLE, BodyCase, state, write
from tests.txmiddleware.urls import views
from txmiddleware import attempts, commit_on_success

TRANSACTIONS = "txmiddleware.middleware.TransactionMiddleware"


class SyncOnly:
    """A middleware that knows nothing of async, so that Django bridges in and out around it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)


SYNC_ONLY = f"{__name__}.SyncOnly"


class BridgeTest(BodyCase):
    """The client leaves while ``async_to_sync()`` holds a sync function up."""

    hang_up: Callable[[], Any]

    def work(self) -> None:
        # Once a call has come back to this thread, asgiref does not know any more what the function
        # waits for, and hands a cancellation on while the function is still at work.
        async_to_sync(sync_to_async(write))("before")
        try:
            async_to_sync(self.leave)()
        finally:
            write("after the client has gone")

    async def leave(self) -> None:
        self.hang_up()
        for _ in range(50):  # rounds of the loop, until everybody who waits knows
            await asyncio.sleep(0)

    def views(self) -> Iterator[tuple[str, Callable[[Any], Any]]]:
        def sync_view(request: Any) -> None:
            self.work()

        async def async_view(request: Any) -> None:
            await sync_to_async(self.work)()

        yield "sync", sync_view
        yield "async", async_view

    def test_what_the_function_does_afterwards_is_aborted_too(self) -> None:
        for middleware in ([TRANSACTIONS], [TRANSACTIONS, SYNC_ONLY], [SYNC_ONLY, TRANSACTIONS]):
            for kind, view in self.views():
                with self.subTest(kind, middleware=middleware):
                    Entry.objects.all().delete()
                    self.states.clear()
                    exchange = Exchange(f"/{kind}/view/")
                    self.hang_up = exchange.hang_up
                    with (
                        self.settings(MIDDLEWARE=middleware),
                        mock.patch.dict(views, view=view),
                    ):
                        asyncio.run(exchange.run(ASGIHandler()))
                    self.assertEqual(self.names(), [])
                    self.assertEqual(self.states, [IDLE])

    def test_scopes_in_async_code_wait_for_the_function_too(self) -> None:
        async def scope() -> None:
            async with commit_on_success():
                await sync_to_async(self.work)()

        @commit_on_success
        async def decorated() -> None:
            async with commit_on_success():
                await sync_to_async(self.work)()

        @attempts(2)
        async def retried() -> None:
            await sync_to_async(self.work)()

        async def main(block: Callable[[], Any]) -> Any:
            task = asyncio.ensure_future(block())
            self.hang_up = task.cancel
            await asyncio.wait([task])
            self.assertTrue(task.cancelled())
            found = await sync_to_async(state)()
            await sync_to_async(connections.close_all)()
            return found

        for block in (scope, decorated, retried):
            with self.subTest(block.__name__):
                Entry.objects.all().delete()
                self.assertEqual(asyncio.run(main(block)), IDLE)
                self.assertEqual(self.names(), [])
