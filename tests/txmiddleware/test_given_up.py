"""An attempt that is given up: who is told, what is closed, and when there is no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import transaction
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.signals import got_request_exception, request_finished
from django.db import connection
from django.dispatch import Signal
from django.http import FileResponse, HttpRequest, HttpResponse
from django.test import (
    RequestFactory,
    SimpleTestCase,
    TransactionTestCase,
    override_settings,
    skipUnlessDBFeature,
)
from transaction.interfaces import TransientError

from tests.storm_django.models import Entry
from tests.storm_django.test_connection import KILL, OWN_ID
from tests.txmiddleware import urls
from tests.txmiddleware.resource import Resource
from tests.txmiddleware.test_middleware import TRANSACTIONS, RequestMixin
from tests.txmiddleware.urls import views
from txmiddleware.exceptions import TransactionTimeout
from txmiddleware.middleware import TransactionMiddleware
from txmiddleware.views import non_transactional

BEFORE_AND_AFTER = f"{__name__}.BeforeAndAfter"


class BeforeAndAfter:
    """A middleware that works on each side of the view."""

    before: Callable[[Any], object]
    after: Callable[[], object]

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        type(self).before(request)
        response = self.get_response(request)
        type(self).after()
        return response


def nothing(*args: Any) -> None: ...


def around(*, before: Any = nothing, after: Any = nothing) -> Any:
    return mock.patch.multiple(
        BeforeAndAfter, create=True, before=staticmethod(before), after=staticmethod(after)
    )


@contextmanager
def sent(signal: Signal) -> Iterator[list[Any]]:
    """What is sent meanwhile."""
    found: list[Any] = []

    def note(**kwargs: Any) -> None:
        found.append(kwargs)

    signal.connect(note)
    try:
        yield found
    finally:
        signal.disconnect(note)


class Refuses(Resource):
    """One that refuses to commit."""

    def __init__(self, failure: BaseException) -> None:
        self.failure = failure

    def tpc_vote(self, txn: Any) -> None:
        raise self.failure


@override_settings(ROOT_URLCONF="tests.txmiddleware.urls", MIDDLEWARE=[TRANSACTIONS])
class GivenUpTest(RequestMixin, SimpleTestCase):
    """What belongs to an attempt that nobody gets to see."""

    def respond(self, failure: BaseException) -> tuple[Any, list[Any]]:
        """The last response, and the files of all, if the first can't be committed."""
        files: list[Any] = []

        def view(request: Any) -> FileResponse:
            if request.tx_attempt == 1:
                transaction.get().join(Refuses(failure))
            files.append(open(__file__, "rb"))  # noqa: SIM115
            self.addCleanup(files[-1].close)
            return FileResponse(files[-1])

        return self.request(view), files

    def test_its_response_is_closed_when_the_next_begins_and_the_request_is_not(self) -> None:
        with sent(request_finished) as ends:
            response, files = self.respond(TransientError())
            self.assertEqual(response.status_code, 200)
            self.assertEqual([file.closed for file in files], [True, False])
            self.assertEqual(ends, [])
            response.close()

    def test_its_response_is_closed_if_an_error_takes_its_place(self) -> None:
        response, files = self.respond(ValueError())
        self.assertEqual(response.status_code, 500)
        self.assertEqual([file.closed for file in files], [True])

    def test_the_uploads_of_each_attempt_are_closed(self) -> None:
        uploads: list[Any] = []

        def view(request: Any) -> None:
            uploads.append(request.FILES["file"])
            if request.tx_attempt < 3:
                raise TransientError

        with (
            mock.patch.dict(views, view=view),
            self.settings(
                FILE_UPLOAD_HANDLERS=["django.core.files.uploadhandler.TemporaryFileUploadHandler"]
            ),
        ):
            self.client.post("/sync/view/", {"file": SimpleUploadedFile("file", b"x")})
        self.assertEqual([each.closed for each in uploads], [True] * 3)


@override_settings(ROOT_URLCONF="tests.txmiddleware.urls", MIDDLEWARE=[TRANSACTIONS])
class LogTest(RequestMixin, SimpleTestCase):
    """One line of level INFO says why a request is not committed."""

    def lines(self, view: Callable[[Any], Any]) -> list[str]:
        with self.assertLogs("txmiddleware", "INFO") as logged:
            self.request(view)
        return logged.output

    def test_a_commit_that_is_refused_or_fails(self) -> None:
        self.assertEqual(
            self.lines(lambda request: transaction.get().join(Refuses(ValueError("no")))),
            ["INFO:txmiddleware:POST /sync/view/: failed: ValueError('no')"],
        )

    def test_one_that_is_tried_again_has_the_line_of_that(self) -> None:
        def view(request: Any) -> None:
            if request.tx_attempt == 1:
                transaction.get().join(Refuses(TransientError("no")))

        (line,) = self.lines(view)
        self.assertIn("attempt 1: transient", line)

    def test_a_handling_that_broke_off(self) -> None:
        def handle(request: HttpRequest) -> HttpResponse:
            raise KeyboardInterrupt

        with (
            self.assertLogs("txmiddleware", "INFO") as logged,
            self.assertRaises(KeyboardInterrupt),
        ):
            TransactionMiddleware(handle)(RequestFactory().get("/"))
        self.assertEqual(logged.output, ["INFO:txmiddleware:GET /: aborted: KeyboardInterrupt()"])


@override_settings(
    ROOT_URLCONF="tests.txmiddleware.urls", MIDDLEWARE=[TRANSACTIONS, BEFORE_AND_AFTER]
)
class PromiseTest(RequestMixin, TransactionTestCase):
    """A failure that is kept from the error reports is tried again, or is reported after all."""

    @override_settings(TX_TIMEOUT=10)
    def test_the_time_runs_out_after_the_failure(self) -> None:
        now, seen = [0.0], []

        def view(request: Any) -> None:
            seen.append(request.tx_attempt)
            Entry.objects.create(name="a")
            raise TransientError

        with (
            mock.patch("txmiddleware.timeout.time", SimpleNamespace(monotonic=lambda: now[0])),
            sent(got_request_exception) as reports,
            around(after=lambda: now.__setitem__(0, 11.0)),
        ):
            response = self.request(view)
        self.assertEqual((response.status_code, seen, len(reports)), (503, [1, 2], 1))
        self.assertTrue(response.content)
        self.assertIsInstance(response.exc_info[1], TransactionTimeout)
        self.assertEqual(Entry.objects.count(), 0)

    def test_other_code_aborts_after_the_failure(self) -> None:
        seen: list[int] = []

        def view(request: Any) -> None:
            seen.append(request.tx_attempt)
            Entry.objects.create(name="a")
            if request.tx_attempt == 1:
                raise TransientError

        def after() -> None:
            if seen == [1]:
                transaction.abort()

        with sent(got_request_exception) as reports, around(after=after):
            response = self.request(view)
        self.assertEqual((response.status_code, seen, reports), (200, [1, 2], []))


@override_settings(
    ROOT_URLCONF="tests.txmiddleware.urls", MIDDLEWARE=[TRANSACTIONS, BEFORE_AND_AFTER]
)
class NonTransactionalTest(RequestMixin, TransactionTestCase):
    """The commit before a view that runs outside of the transaction fails."""

    def assert_reported_and_not_tried_again(self, before: Callable[[], object]) -> None:
        seen: list[int] = []

        def in_middleware(request: Any) -> None:
            seen.append(request.tx_attempt)
            Entry.objects.create(name="middleware")
            before()

        @non_transactional
        def view(request: HttpRequest, name: str) -> HttpResponse:
            Entry.objects.create(name="view")
            return HttpResponse()

        with (
            mock.patch.object(urls.urlpatterns[0], "callback", view),
            sent(got_request_exception) as reports,
            around(before=in_middleware),
            self.assertLogs("txmiddleware", "INFO") as logged,
        ):
            response = self.request(nothing)
        self.assertEqual((response.status_code, seen, len(reports)), (500, [1], 1))
        self.assertIn("POST /sync/view/: failed: ", logged.output[-1])

    def test_a_transient_failure(self) -> None:
        self.assert_reported_and_not_tried_again(
            lambda: transaction.get().join(Refuses(TransientError()))
        )
        self.assertEqual(Entry.objects.count(), 0)

    @skipUnlessDBFeature("has_select_for_update")  # not SQLite: nobody can kill it
    def test_a_lost_connection(self) -> None:
        killer = connection.copy()
        self.addCleanup(killer.close)

        def before() -> None:
            with connection.cursor() as cursor, killer.cursor() as other:
                cursor.execute(OWN_ID[connection.vendor])
                other.execute(KILL[connection.vendor], cursor.fetchone())

        self.assert_reported_and_not_tried_again(before)
        self.assertEqual(Entry.objects.count(), 0)

    def test_a_commit_that_was_carried_out_and_had_no_answer(self) -> None:
        def before() -> None:
            def commit() -> None:
                del connection._commit
                connection._commit()
                lost = ("server closed the connection unexpectedly",)
                raise connection.Database.OperationalError(*lost)

            connection._commit = commit

        self.assert_reported_and_not_tried_again(before)
        self.assertEqual([entry.name for entry in Entry.objects.all()], ["middleware"])
