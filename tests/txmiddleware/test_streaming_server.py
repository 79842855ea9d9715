"""Streaming bodies under real servers, seen from a client's socket."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import re
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any
from unittest import mock, skipUnless

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_finished
from django.db import connection
from django.http import HttpRequest, StreamingHttpResponse
from django.test import LiveServerTestCase, TransactionTestCase, override_settings

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from tests.txmiddleware.test_streaming_failures import Oops
from tests.txmiddleware.urls import views

hold = override_settings(
    ROOT_URLCONF="tests.txmiddleware.urls",
    MIDDLEWARE=["txmiddleware.middleware.TransactionMiddleware"],
    ALLOWED_HOSTS=["127.0.0.1"],
    TX_STREAMING="hold",
)


def write(name: str) -> None:
    Entry.objects.create(name=f"{name} (django)")
    get_store().add(StormEntry(f"{name} (storm)"))


def both(*names: str) -> list[str]:
    return sorted(f"{name} ({mapper})" for name in names for mapper in ("django", "storm"))


def number_of(request: HttpRequest) -> str:
    return request.GET["number"]


class ServerMixin:
    """A client that looks at what comes through the socket, and at the database."""

    def setUp(self) -> None:
        super().setUp()  # type: ignore[misc]
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)  # type: ignore[attr-defined]

    def connect(self, port: int, kind: str, number: int = 0) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", port), 20)
        client.sendall(
            f"POST /{kind}/view/?number={number} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        return client

    def get(self, port: int, kind: str, number: int = 0) -> bytes:
        """All that the server sends."""
        with self.connect(port, kind, number) as client, contextlib.suppress(ConnectionError):
            return b"".join(iter(lambda: client.recv(65536), b""))
        return b""

    def names(self) -> list[str]:
        return sorted(Entry.objects.values_list("name", flat=True))


@skipUnless(importlib.util.find_spec("uvicorn"), "uvicorn is not installed")
@hold
class UvicornTest(ServerMixin, TransactionTestCase):
    @contextlib.contextmanager
    def serving(self, view: Callable[[Any], Any]) -> Iterator[int]:
        import uvicorn

        listener = socket.create_server(("127.0.0.1", 0))
        application = ASGIHandler()
        application.read_body = self.no_body
        config = uvicorn.Config(application, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        with listener, mock.patch.dict(views, view=view):
            thread.start()
            try:
                yield listener.getsockname()[1]
            finally:
                server.should_exit = True
                thread.join()

    async def no_body(self, receive: Callable[[], Any]) -> BytesIO:
        # Django leaves its temporary file open where a body fails, with a warning.
        await receive()
        return BytesIO()

    def test_the_end_of_the_body_decides_for_requests_at_the_same_time(self) -> None:
        async def body(number: str) -> AsyncIterator[bytes]:
            yield b"first"
            await sync_to_async(write)(f"body {number}")
            if int(number) % 3 == 0:
                raise Oops
            yield b"second"

        async def view(request: HttpRequest) -> StreamingHttpResponse:
            await sync_to_async(write)(f"view {number_of(request)}")
            return StreamingHttpResponse(body(number_of(request)))

        numbers = range(4 if connection.vendor == "sqlite" else 30)
        with (
            self.settings(TX_ATTEMPTS=1),
            self.serving(view) as port,
            ThreadPoolExecutor(1 if connection.vendor == "sqlite" else 10) as pool,
        ):
            answers = list(pool.map(lambda number: self.get(port, "async", number), numbers))
        good = [number for number in numbers if answers[number].endswith(b"0\r\n\r\n")]
        self.assertEqual(good, [number for number in numbers if number % 3])
        expected = both(*(f"{part} {number}" for part in ("view", "body") for number in good))
        self.assertEqual(self.names(), expected)

    def test_a_client_that_goes_away_aborts(self) -> None:
        finished = threading.Event()
        request_finished.connect(lambda **kwargs: finished.set(), weak=False, dispatch_uid="seen")
        self.addCleanup(request_finished.disconnect, dispatch_uid="seen")

        async def body() -> AsyncIterator[bytes]:
            await sync_to_async(write)("body")
            yield b"first"
            await asyncio.Event().wait()

        async def view(request: HttpRequest) -> StreamingHttpResponse:
            return StreamingHttpResponse(body())

        with self.serving(view) as port:
            with self.connect(port, "async") as client:
                received = b""
                while b"first" not in received:
                    received += client.recv(65536)
            self.assertTrue(finished.wait(20))
        self.assertEqual(self.names(), [])


@hold
class ThreadedServerTest(ServerMixin, LiveServerTestCase):
    """Django's WSGI server, which has a thread for each connection."""

    @property
    def port_of_server(self) -> int:
        found = re.search(r":(\d+)$", self.live_server_url)
        assert found is not None
        return int(found[1])

    def test_the_end_of_the_body_decides(self) -> None:
        def body(number: str) -> Iterator[bytes]:
            yield b"first"
            write(f"body {number}")
            if int(number) % 3 == 0:
                raise Oops
            yield b"second"

        def view(request: HttpRequest) -> StreamingHttpResponse:
            write(f"view {number_of(request)}")
            return StreamingHttpResponse(body(number_of(request)))

        with mock.patch.dict(views, view=view), mock.patch("sys.stderr"):
            answers = [self.get(self.port_of_server, "sync", number) for number in range(6)]
        good = [number for number in range(6) if answers[number].endswith(b"second")]
        self.assertEqual(good, [1, 2, 4, 5])
        expected = both(*(f"{part} {number}" for part in ("view", "body") for number in good))
        self.assertEqual(self.names(), expected)

    def test_a_client_that_goes_away_aborts(self) -> None:
        gone, finished = threading.Event(), threading.Event()
        request_finished.connect(lambda **kwargs: finished.set(), weak=False, dispatch_uid="seen")
        self.addCleanup(request_finished.disconnect, dispatch_uid="seen")

        def body() -> Iterator[bytes]:
            write("body")
            yield b"first"
            gone.wait(20)
            while True:  # until the server notices
                yield b"x" * 65536

        def view(request: HttpRequest) -> StreamingHttpResponse:
            return StreamingHttpResponse(body())

        with mock.patch.dict(views, view=view), mock.patch("sys.stderr"):
            with self.connect(self.port_of_server, "sync") as client:
                received = b""
                while b"first" not in received:
                    received += client.recv(65536)
            gone.set()
            self.assertTrue(finished.wait(20))
        self.assertEqual(self.names(), [])
