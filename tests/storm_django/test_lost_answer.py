"""A COMMIT whose answer is lost on its way: nobody can tell whether it was carried out."""

from __future__ import annotations

import selectors
import socket
import threading
from contextlib import suppress

from django.db import Error, connection, connections
from django.test import TransactionTestCase, skipUnlessDBFeature
from storm.uri import URI

from storm_django import get_store, get_store_uri
from tests.storm_django.aliases import extra_alias
from tests.storm_django.models import Entry, StormEntry
from txmiddleware.retry import attempts

PORTS = {"postgresql": 5432, "mysql": 3306}


class Proxy:
    """Stands between one client at a time and the server."""

    def __init__(self, host: str, port: int) -> None:
        self.server = (host, port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.loses = b""  # the statement whose answer is lost, once
        self.refuses = 0  # how many connections it will not take after that
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                with client:
                    if self.refuses and not self.loses:
                        self.refuses -= 1
                        continue
                    with socket.create_connection(self.server) as server:
                        self.forward(client, server)

    def forward(self, client: socket.socket, server: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ)
            selector.register(server, selectors.EVENT_READ)
            losing = False
            while True:
                for key, _ in selector.select():
                    data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    if not data or (losing and key.fileobj is server):
                        return
                    if key.fileobj is server:
                        client.sendall(data)
                    else:
                        if self.loses and self.loses in data:
                            losing, self.loses = True, b""
                        server.sendall(data)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@skipUnlessDBFeature("has_select_for_update")  # not SQLite: nothing is between
class LostAnswerTest(TransactionTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        if not connection.features.has_select_for_update:
            return
        uri = URI(get_store_uri())
        uri.host = uri.host or "127.0.0.1"
        if "/" in uri.host:
            return
        cls.proxy = Proxy(uri.host, uri.port or PORTS[connection.vendor])
        cls.addClassCleanup(cls.proxy.close)
        uri.host, uri.port = "127.0.0.1", cls.proxy.port
        cls.enterClassContext(extra_alias("proxied", str(uri)))
        cls.databases = frozenset({"default", "proxied"})
        super().setUpClass()

    def setUp(self) -> None:
        if not hasattr(self, "proxy"):
            self.skipTest("the server has no port that something could stand before")

    def write(self) -> None:
        self.calls += 1
        Entry.objects.using("proxied").create(name="django")
        get_store("proxied").add(StormEntry("storm"))

    def check(self, statement: bytes, calls: int, rows: int) -> None:
        self.calls = 0
        self.proxy.loses = statement
        with suppress(Error):
            attempts(3)(self.write)()
        connections["proxied"].close()
        self.assertEqual(self.proxy.loses, b"")
        self.assertEqual(self.calls, calls)
        self.assertEqual(Entry.objects.count(), rows)

    def test_it_is_not_tried_again_for_it_may_have_been_carried_out(self) -> None:
        self.check(b"COMMIT", calls=1, rows=2)

    def test_a_server_that_is_away_afterwards_hides_nothing(self) -> None:
        self.proxy.refuses = 1
        with self.assertLogs("txmiddleware", "WARNING"):
            self.check(b"COMMIT", calls=1, rows=2)
        self.assertEqual(self.proxy.refuses, 0)

    def test_a_statement_before_is_tried_again(self) -> None:
        self.check(b"INSERT", calls=2, rows=2)
