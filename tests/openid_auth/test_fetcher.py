"""The fetcher against servers on loopback that behave badly."""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from unittest import mock

from django.test import SimpleTestCase

from openid_auth.addresses import is_permitted, resolve
from openid_auth.fetcher import Fetcher, FetchError


class BadServer:
    """Answers each connection with ``behave(connection)``, after reading the request's head."""

    def __init__(self, behave: Callable[[socket.socket], None]) -> None:
        self.behave = behave
        self.requests: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                connection, _address = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.handle, args=[connection], daemon=True).start()

    def handle(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as incoming, suppress(OSError):
            head = b"".join(iter(incoming.readline, b"\r\n"))
            length = re.search(rb"(?i)content-length: (\d+)", head)
            incoming.read(int(length[1]) if length else 0)
            self.requests.append(head)
            self.behave(connection)

    def close(self) -> None:
        self.listener.close()


def answer(head: str, body: bytes = b"") -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(
        f"HTTP/1.1 {head}\r\nConnection: close\r\n\r\n".encode() + body
    )


class ServerTestCase(SimpleTestCase):
    def server(self, behave: Callable[[socket.socket], None]) -> BadServer:
        server = BadServer(behave)
        self.addCleanup(server.close)
        return server

    def fetcher(self, **options: float) -> Fetcher:
        return Fetcher(private_networks=True, **options)  # type: ignore[arg-type]


class FetchTests(ServerTestCase):
    def test_a_get(self) -> None:
        server = self.server(answer("200 OK\r\nX-A: b", b"hello"))
        response = self.fetcher().fetch(server.url + "p?q=1", headers={"Accept": "text/plain"})
        self.assertEqual((response.status, response.body), (200, b"hello"))
        self.assertEqual(response.headers["x-a"], "b")
        self.assertEqual(response.final_url, server.url + "p?q=1")
        self.assertIn(b"GET /p?q=1 HTTP/1.1", server.requests[0])
        self.assertIn(f"Host: 127.0.0.1:{server.port}".encode(), server.requests[0])

    def test_a_post(self) -> None:
        server = self.server(answer("200 OK", b"a:b\n"))
        self.assertEqual(self.fetcher().fetch(server.url, body="a=b").status, 200)
        self.assertIn(b"POST / HTTP/1.1", server.requests[0])
        self.assertIn(b"application/x-www-form-urlencoded", server.requests[0])

    def test_a_redirect_is_followed_and_gives_the_final_address(self) -> None:
        target = self.server(answer("200 OK", b"there"))
        server = self.server(answer(f"302 Found\r\nLocation: {target.url}x"))
        response = self.fetcher().fetch(server.url)
        self.assertEqual((response.final_url, response.body), (target.url + "x", b"there"))

    def test_a_redirect_of_a_post_is_refused(self) -> None:
        server = self.server(answer("307 Temporary Redirect\r\nLocation: /x"))
        with self.assertRaisesRegex(FetchError, "direct request"):
            self.fetcher().fetch(server.url, body="a=b")
        self.assertEqual(len(server.requests), 1)

    def test_too_many_redirects_are_refused(self) -> None:
        server = self.server(answer("302 Found\r\nLocation: /again"))
        with self.assertRaisesRegex(FetchError, "more than 3 redirects"):
            self.fetcher().fetch(server.url)
        self.assertEqual(len(server.requests), 4)

    def test_a_large_body_is_refused_before_it_is_read(self) -> None:
        sent = []

        def pour(connection: socket.socket) -> None:
            answer("200 OK")(connection)
            for _ in range(10_000):
                connection.sendall(b"x" * 10_000)
                sent.append(10_000)

        with self.assertRaisesRegex(FetchError, "larger than 1000 bytes"):
            self.fetcher(max_bytes=1000).fetch(self.server(pour).url)
        self.assertLess(sum(sent), 50_000_000)

    def test_no_server(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with self.assertRaisesRegex(FetchError, "cannot be reached"):
            self.fetcher().fetch(f"http://127.0.0.1:{port}/")

    def test_what_is_not_http(self) -> None:
        server = self.server(lambda connection: connection.sendall(b"SSH-2.0-x\r\n\r\n"))
        with self.assertRaises(FetchError):
            self.fetcher().fetch(server.url)

    def test_a_connection_that_breaks(self) -> None:
        server = self.server(answer("200 OK\r\nContent-Length: 100", b"short"))
        with self.assertRaises(FetchError):
            self.fetcher().fetch(server.url)

    def test_other_schemes_and_strange_addresses(self) -> None:
        for url in (
            "ftp://127.0.0.1/",
            "file:///etc/passwd",
            "gopher://127.0.0.1/",
            "http:///x",
            "http://user:secret@127.0.0.1/",
            "http://127.0.0.1:0/",
            "http://127.0.0.1:99999/",
            "http://127.0.0.1\\@x/",
            "http://127.0.0.1/a b",
            "http://127.0.0.1/\r\nX: y",
            "",
            "x",
        ):
            with self.subTest(url), self.assertRaises(FetchError):
                self.fetcher().fetch(url)


class DeadlineTests(ServerTestCase):
    """The deadline is for all of it; a time-out of the socket would begin again with each byte."""

    def assert_in_time(self, behave: Callable[[socket.socket], None]) -> None:
        server = self.server(behave)
        started = time.monotonic()
        with self.assertRaisesRegex(FetchError, "no answer within 0.5 seconds"):
            self.fetcher(timeout=0.5).fetch(server.url)
        self.assertLess(time.monotonic() - started, 5)

    def test_silence(self) -> None:
        self.assert_in_time(lambda connection: void(connection.recv(1)))

    def test_a_head_that_drips(self) -> None:
        self.assert_in_time(drip(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000))

    def test_a_body_that_drips(self) -> None:
        self.assert_in_time(drip(b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * 10_000, at_once=19))

    def test_redirects_share_it(self) -> None:
        wait = threading.Event()

        def slowly(connection: socket.socket) -> None:
            wait.wait(0.2)
            answer("302 Found\r\nLocation: /again")(connection)

        self.assert_in_time(slowly)

    def test_a_name_that_takes_long_to_look_up(self) -> None:
        stop = threading.Event()
        self.addCleanup(stop.set)
        with mock.patch("socket.getaddrinfo", lambda *a, **k: [stop.wait(20)][1:]):
            started = time.monotonic()
            with self.assertRaisesRegex(FetchError, "took too long"):
                self.fetcher(timeout=0.3).fetch("http://slow.example/")
            self.assertLess(time.monotonic() - started, 5)


def void(_value: object) -> None: ...


def drip(data: bytes, at_once: int = 0) -> Callable[[socket.socket], None]:
    def behave(connection: socket.socket) -> None:
        connection.sendall(data[:at_once])
        connection.settimeout(0.1)
        for byte in data[at_once:]:
            connection.sendall(bytes([byte]))
            try:
                if connection.recv(1) == b"":
                    return
            except TimeoutError:
                continue

    return behave


class PrivateNetworkTests(ServerTestCase):
    def test_loopback_is_refused_by_default(self) -> None:
        server = self.server(answer("200 OK"))
        for host in ("127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "0.0.0.0"):
            with self.subTest(host), self.assertRaisesRegex(FetchError, "PRIVATE_NETWORKS"):
                Fetcher().fetch(f"http://{host}:{server.port}/")
        self.assertEqual(server.requests, [])

    def test_a_redirect_to_a_private_address_is_refused(self) -> None:
        inside = self.server(answer("200 OK", b"secret"))
        port = inside.port
        server = self.server(answer(f"302 Found\r\nLocation: http://127.0.0.2:{port}/"))
        fetcher = Fetcher(private_networks=[ipaddress.ip_network("127.0.0.1/32")])
        with self.assertRaisesRegex(FetchError, "127.0.0.2 is not on the public internet"):
            fetcher.fetch(server.url)
        self.assertEqual(len(server.requests), 1)
        self.assertEqual(inside.requests, [])

    def test_the_address_that_was_checked_is_the_one_connected_to(self) -> None:
        """A name server that answers otherwise the second time gains nothing."""
        asked = []

        def look_up(host: str, port: int, *args: object, **kwargs: object) -> list[object]:
            if host == "rebinding.example":
                asked.append(host)
                address = "127.0.0.1" if len(asked) == 1 else "127.0.0.9"
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]
            return real(host, port, *args, **kwargs)  # type: ignore[arg-type,return-value]

        real = socket.getaddrinfo
        server = self.server(answer("200 OK", b"first"))
        with mock.patch("socket.getaddrinfo", look_up):
            response = self.fetcher().fetch(f"http://rebinding.example:{server.port}/")
        self.assertEqual(response.body, b"first")
        self.assertEqual(asked, ["rebinding.example"])
        self.assertIn(b"Host: rebinding.example", server.requests[0])

    def test_which_addresses_are_permitted(self) -> None:
        for address in (
            "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0",
            "100.64.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1",
            "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
            "2002:7f00:1::", "64:ff9b::7f00:1", "2001:db8::1",
        ):  # fmt: skip
            with self.subTest(address):
                self.assertFalse(is_permitted(address))
                self.assertTrue(is_permitted(address, True))
        for address in ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"):
            with self.subTest(address):
                self.assertTrue(is_permitted(address))

    def test_a_network_can_be_named(self) -> None:
        networks = [ipaddress.ip_network("10.2.0.0/16")]
        self.assertTrue(is_permitted("10.2.3.4", networks))
        self.assertFalse(is_permitted("10.3.3.4", networks))
        self.assertFalse(is_permitted("::1", networks))

    def test_a_name_that_does_not_exist(self) -> None:
        with (
            mock.patch("socket.getaddrinfo", side_effect=socket.gaierror("no such name")),
            self.assertRaisesRegex(OSError, "nowhere.invalid cannot be looked up"),
        ):
            resolve("nowhere.invalid", 80, 5)
