"""HTTP requests to addresses that a stranger may have chosen.

python3-openid's own fetchers follow redirects to anywhere, wait for as long as the other side
likes and look a name up again when they connect. This one has a total deadline, a size cap and at
most a few redirects; it looks a name up once, checks the address, and connects to that address.
urllib3 speaks HTTP and TLS: of the maintained clients it is the one that documents connecting to
an address while the certificate is checked against the name.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from http.client import HTTPException
from urllib.parse import SplitResult, urljoin, urlsplit

from openid.fetchers import HTTPFetchingError, HTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from openid_auth.addresses import IPNetwork, is_permitted, resolve

USER_AGENT = "openid_auth (OpenID 2.0 relying party)"
REDIRECTS = frozenset({301, 302, 303, 307, 308})


class FetchError(HTTPFetchingError):  # type: ignore[misc]
    """A fetch that was refused, or failed. The text names the host, never a secret."""


@cache
def tls_context() -> ssl.SSLContext:
    """Return the context that checks certificates; loading the roots is slow, so it is kept."""
    return ssl.create_default_context()


class Fetcher:
    """Fetches for one step of a login. All of them together have ``timeout`` seconds.

    ``private_networks`` is ``conf.OPENID_ALLOW_PRIVATE_NETWORKS``; ``max_bytes`` is the size that
    a body may have, ``max_redirects`` how many redirects one fetch may follow.
    """

    def __init__(
        self,
        *,
        private_networks: bool | Sequence[IPNetwork] = False,
        timeout: float = 10.0,
        max_bytes: int = 256 * 1024,
        max_redirects: int = 3,
    ) -> None:
        self.private_networks = private_networks
        self.timeout = timeout
        self.max_bytes = max_bytes
        self.max_redirects = max_redirects
        self._deadline: float | None = None

    def fetch(
        self, url: str, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> HTTPResponse:
        """GET ``url``, or POST ``body`` (form-encoded) to it.

        Returns a response with ``final_url`` (str), ``status`` (int), ``headers`` (dict, lower
        case names) and ``body`` (bytes). Raises FetchError.
        """
        for _ in range(self.max_redirects + 1):
            status, found, content = self._request(url, body, headers or {})
            location = found.get("location")
            if status not in REDIRECTS or location is None:
                return HTTPResponse(url, status, found, content)
            if body is not None:
                # Section 5.1 knows no redirects of a direct request, and it may hold a secret.
                raise FetchError(f"{url} redirects a direct request")
            target = urljoin(url, location)
            if url.startswith("https:") and not target.startswith("https:"):
                raise FetchError(f"{url} redirects from https to something else")
            url = target
        raise FetchError(f"more than {self.max_redirects} redirects, the last one to {url}")

    def _remaining(self) -> float:
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self.timeout
        if now >= self._deadline:
            raise FetchError(f"no answer within {self.timeout:g} seconds")
        return self._deadline - now

    def _request(
        self, url: str, body: str | None, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        parts = _split(url)
        connection = self._connect(parts)
        # A time-out of the socket starts anew with every byte. This one does not.
        watchdog = threading.Timer(self._remaining(), _cut, [connection.sock])
        watchdog.daemon = True
        watchdog.start()
        try:
            send = {"Host": parts.netloc, "User-Agent": USER_AGENT, **headers}
            if body is not None:
                send["Content-Type"] = "application/x-www-form-urlencoded"
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request(
                "GET" if body is None else "POST",
                target,
                body=body,
                headers=send,
                preload_content=False,
                decode_content=False,
            )
            response = connection.getresponse()
            content = self._read(response, url)
            found = {name.lower(): value for name, value in response.headers.items()}
            return response.status, found, content
        except (HTTPError, HTTPException, OSError, ValueError) as error:
            self._remaining()
            raise FetchError(f"{url}: {error}") from error
        finally:
            watchdog.cancel()
            connection.close()

    def _connect(self, parts: SplitResult) -> HTTPConnection:
        """Return a connection to the first permitted address of the host that answers."""
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            addresses = resolve(host, port, self._remaining())
        except OSError as error:
            raise FetchError(str(error)) from error
        permitted = [found for found in addresses if is_permitted(found, self.private_networks)]
        if not permitted:
            raise FetchError(
                f"{host} is not on the public internet; if it should be reachable, "
                "name its network in OPENID_ALLOW_PRIVATE_NETWORKS"
            )
        failure: Exception | None = None
        for address in permitted:
            connection = _connection(parts.scheme, host, address, port, self._remaining())
            try:
                connection.connect()
            except (HTTPError, OSError) as error:
                connection.close()
                failure = error
            else:
                return connection
        raise FetchError(f"{host} cannot be reached: {failure}") from failure

    def _read(self, response: BaseHTTPResponse, url: str) -> bytes:
        content = bytearray()
        while chunk := response.read(64 * 1024):
            content += chunk
            if len(content) > self.max_bytes:
                raise FetchError(f"{url} is larger than {self.max_bytes} bytes")
        self._remaining()  # A connection cut by the watchdog can look like the end of the body.
        return bytes(content)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username is not None or parts.password is not None:
        raise FetchError(f"{url[:200]!r} is not an http or https address")
    if not url.isascii() or any(character <= " " or character == "\\" for character in url):
        raise FetchError(f"{url[:200]!r} has characters that must be percent-encoded")
    return parts


def _connection(scheme: str, host: str, address: str, port: int, timeout: float) -> HTTPConnection:
    if scheme == "http":
        return HTTPConnection(address, port, timeout=timeout)
    return HTTPSConnection(
        address, port, timeout=timeout, server_hostname=host, ssl_context=tls_context()
    )


def _cut(connected: socket.socket) -> None:
    with suppress(OSError):
        # Not SSLSocket.shutdown(), which would take the session from under the reading thread.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
