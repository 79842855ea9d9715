"""A small server with the provider and nothing else, in threads of this process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpResponse


class ProviderHandler(WSGIHandler):
    """Serves ``root_urls`` without the site's middleware, sessions and database."""

    def load_middleware(self, is_async: bool = False) -> None:
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        self._middleware_chain = convert_exception_to_response(self._get_response)

    def make_view_atomic(self, view: Callable[..., Any]) -> Callable[..., Any]:
        return view

    def get_response(self, request: WSGIRequest) -> HttpResponse:
        request.urlconf = "example_site.provider.root_urls"
        return super().get_response(request)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    # One page makes a few requests at once.
    request_queue_size = 32

    def server_bind(self) -> None:
        # HTTPServer asks the resolver for the name of the host, which can take seconds.
        TCPServer.server_bind(self)
        host, port = self.server_address[:2]
        self.server_name = str(host)
        self.server_port = port
        self.setup_environ()


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


class ProviderServer:
    """The provider on ``http://host:port/openid/``; port 0 takes a free one.

    ``start()`` serves from a thread, ``stop()`` ends it; it is a context manager too. Raises
    OSError in the constructor if the port is taken.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._server = _Server((host, port), _QuietHandler)
        self._server.set_app(ProviderHandler())
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="provider",
            daemon=True,
        )

    @property
    def url(self) -> str:
        """The OP identifier, for ``OPENID_SSO_SERVER_URL``."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/openid/"

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving, and free the port."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> ProviderServer:
        self.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.stop()
