"""Each order of five common middlewares, with the transaction at each place among them in turn."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from unittest import mock

from django.core.exceptions import SuspiciousOperation
from django.core.handlers.wsgi import WSGIHandler
from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.test import RequestFactory, TransactionTestCase, override_settings

from tests.storm_django.models import Entry
from tests.txmiddleware.test_middleware import CATCHES, MIDDLEWARE, TRANSACTIONS, Oops, write
from tests.txmiddleware.test_streaming_failures import IDLE, state
from tests.txmiddleware.urls import views


def orders() -> Iterator[list[str]]:
    """All 120 orders, and in each the transaction at one of the six places."""
    for number, order in enumerate(itertools.permutations([*MIDDLEWARE, CATCHES])):
        place = number % (len(order) + 1)
        yield [*order[:place], TRANSACTIONS, *order[place:]]


def raises(request: HttpRequest) -> None:
    write()
    raise Oops


def not_found(request: HttpRequest) -> None:
    write()
    raise Http404


def suspicious(request: HttpRequest) -> None:
    write()
    raise SuspiciousOperation


def fails_late(request: HttpRequest) -> TemplateResponse:
    write()
    template = engines["django"].from_string("{% for x in fails %}{% endfor %}")

    def fails() -> None:
        raise Oops

    return TemplateResponse(request, template, {"fails": fails})


def fails_halfway(request: HttpRequest) -> StreamingHttpResponse:
    def body() -> Iterator[bytes]:
        yield b"first"
        write("body")
        raise Oops

    write()
    return StreamingHttpResponse(body())


@override_settings(ROOT_URLCONF="tests.txmiddleware.urls", TX_STREAMING="hold")
class OrdersTest(TransactionTestCase):
    def setUp(self) -> None:
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)

    def handle(self, application: WSGIHandler, view: Callable[[HttpRequest], Any]) -> None:
        environ = RequestFactory().post("/sync/view/").environ
        with mock.patch.dict(views, view=view):
            response = application(environ, lambda status, headers: None)
            with suppress(Oops):
                b"".join(response)
            response.close()

    def test_nothing_is_committed_after_a_failure_in_any_order(self) -> None:
        for middleware in orders():
            with self.settings(MIDDLEWARE=middleware):
                application = WSGIHandler()
                for view in (raises, not_found, suspicious, fails_late, fails_halfway):
                    self.handle(application, view)
                    with self.subTest(view.__name__, middleware=middleware):
                        self.assertFalse(Entry.objects.exists())
                        self.assertEqual(state(), IDLE)
