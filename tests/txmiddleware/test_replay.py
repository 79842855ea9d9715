"""What a request has in its second attempt: the body, however the first has read it."""

from __future__ import annotations

from collections.abc import Callable
from tempfile import SpooledTemporaryFile
from typing import Any
from unittest import mock, skipIf

import django
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse
from django.test import SimpleTestCase, override_settings
from transaction.interfaces import TransientError

from tests.txmiddleware.asgi import Exchange
from tests.txmiddleware.test_middleware import TRANSACTIONS, RequestMixin
from tests.txmiddleware.urls import views

FORM = b"application/x-www-form-urlencoded"
MULTIPART = b"multipart/form-data; boundary=X"
PARTS = b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--X--\r\n'

READINGS: dict[str, tuple[bytes, bytes, Callable[[Any], Any]]] = {
    "body": (b"application/json", b"{}", lambda request: request.body),
    "form": (FORM, b"a=1&b=2", lambda request: dict(request.POST)),
    "multipart": (MULTIPART, PARTS, lambda request: dict(request.POST)),
    "a part": (b"text/plain", b"one\ntwo\n", lambda request: request.readline()),
    "nothing": (b"text/plain", b"", lambda request: request.body),
}


class OldSpool(SpooledTemporaryFile):  # type: ignore[type-arg]
    """As it was before Python 3.11."""

    @property
    def seekable(self) -> Any:  # type: ignore[override]
        raise AttributeError("seekable")


class ReadsOn:
    """A middleware that wants the body when all is over."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        assert request.FILES
        return response


@override_settings(ROOT_URLCONF="tests.txmiddleware.urls", MIDDLEWARE=[TRANSACTIONS])
class BodyTest(RequestMixin, SimpleTestCase):
    def setUp(self) -> None:
        self.found: list[Any] = []

    def view(self, request: Any, read: Callable[[Any], Any]) -> None:
        self.found.append(read(request))
        if request.tx_attempt == 1:
            raise TransientError

    async def by_asgi(self, kind: str, name: str, *, with_length: bool = True) -> None:
        content_type, body, read = READINGS[name]
        headers = [(b"content-type", content_type)]
        if with_length:
            headers.append((b"content-length", str(len(body)).encode()))

        def view(request: Any) -> None:
            self.view(request, read)

        async def async_view(request: Any) -> None:
            self.view(request, read)

        self.found.clear()
        with mock.patch.dict(views, view=view if kind == "sync" else async_view):
            exchange = Exchange(f"/{kind}/view/", "POST", body, tuple(headers))
            await exchange.run(ASGIHandler())
        self.assertEqual(exchange.status, 200)
        self.assertEqual(len(self.found), 2)
        self.assertEqual(self.found[0], self.found[1])
        self.assertEqual(bool(self.found[0]), bool(body))

    async def test_under_asgi_it_is_there_again(self) -> None:
        for kind in ("sync", "async"):
            for name in READINGS:
                with self.subTest(name, kind=kind):
                    await self.by_asgi(kind, name)

    async def test_and_where_nobody_has_said_how_long_it_is(self) -> None:
        for name in READINGS.keys() - {"multipart"}:  # which Django does not parse then
            with self.subTest(name):
                await self.by_asgi("sync", name, with_length=False)

    @skipIf(django.VERSION >= (6, 0), "Django 6 needs Python 3.12.")
    async def test_and_with_the_file_of_python_3_10(self) -> None:
        with mock.patch("django.core.handlers.asgi.tempfile.SpooledTemporaryFile", OldSpool):
            for name in READINGS:
                with self.subTest(name):
                    await self.by_asgi("sync", name)

    async def test_the_file_is_closed_in_the_end(self) -> None:
        made: list[Any] = []

        class Noted(SpooledTemporaryFile):  # type: ignore[type-arg]
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                made.append(self)

        with mock.patch("django.core.handlers.asgi.tempfile.SpooledTemporaryFile", Noted):
            await self.by_asgi("sync", "body")
        self.assertEqual([file.closed for file in made], [True])

    def test_under_wsgi_a_get_without_a_body_is_tried_again(self) -> None:
        response = self.request(lambda request: self.view(request, lambda r: r.body), "get")
        self.assertEqual((response.status_code, self.found), (200, [b"", b""]))

    @override_settings(
        MIDDLEWARE=[TRANSACTIONS, f"{__name__}.ReadsOn"], DATA_UPLOAD_MAX_MEMORY_SIZE=1000
    )
    def test_what_could_be_tried_again_when_it_failed_and_now_cannot_is_reported(self) -> None:
        reports: list[Any] = []

        def note(**kwargs: Any) -> None:
            reports.append(kwargs)

        got_request_exception.connect(note)
        self.addCleanup(got_request_exception.disconnect, note)

        def view(request: Any) -> None:
            self.view(request, lambda r: r.tx_attempt)

        self.client.raise_request_exception = False
        upload = SimpleUploadedFile("file", b"x" * 5000)
        with mock.patch.dict(views, view=view):
            response = self.client.post("/sync/view/", {"file": upload})
        self.assertEqual((response.status_code, self.found, len(reports)), (500, [1], 1))
