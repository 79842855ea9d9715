"""``TX_STREAMING = "hold"``: the body's end decides. Under WSGI, as a server handles it."""

from __future__ import annotations

import gc
import logging
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import transaction
from django.contrib.auth.models import Permission
from django.core.handlers.wsgi import WSGIHandler
from django.db import DatabaseError, IntegrityError, connection
from django.db import transaction as django_transaction
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import (
    RequestFactory,
    TestCase,
    TransactionTestCase,
    override_settings,
    skipUnlessDBFeature,
)

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from tests.txmiddleware.conflict import conflict
from tests.txmiddleware.test_streaming_failures import IDLE, BodyCase, Oops, both, state, write
from tests.txmiddleware.urls import views
from txmiddleware import commit_on_success, is_managed, on_abort, on_commit
from txmiddleware.exceptions import TransactionManagementError
from txmiddleware.testing import held_responses

View = Callable[[HttpRequest], Any]


def streams(body: Callable[[], Iterator[Any]], **options: Any) -> View:
    """A view that writes, and streams what ``body`` yields."""

    def view(request: HttpRequest) -> StreamingHttpResponse:
        write("view")
        return StreamingHttpResponse(body(), **options)

    return view


def writes() -> Iterator[bytes]:
    yield b"first"
    write("body")
    yield b"second"


def fails() -> Iterator[bytes]:
    yield from writes()
    raise Oops


@override_settings(TX_STREAMING="hold")
class HoldCase(BodyCase):
    def handle(self, view: View, method: str = "post") -> Any:
        with mock.patch.dict(views, view=view):
            environ = getattr(RequestFactory(), method)("/sync/view/").environ
            self.status = ""

            def start_response(status: str, headers: Any) -> None:
                self.status = status

            return WSGIHandler()(environ, start_response)

    def send(self, view: View, method: str = "post") -> bytes:
        """Do what a server does with the whole of a response."""
        response = self.handle(view, method)
        try:
            return b"".join(response)
        finally:
            response.close()


class HoldTest(HoldCase):
    def test_the_transaction_is_open_while_the_body_is_sent(self) -> None:
        def body() -> Iterator[bytes]:
            self.committed.append(self.names())
            self.assertTrue(is_managed())
            self.assertEqual(Entry.objects.count(), 2)
            yield b"body"

        self.assertEqual(self.send(streams(body)), b"body")
        self.assertEqual(self.committed, [[]])
        self.assertEqual(self.names(), both("view"))
        self.assertEqual(self.states, [IDLE])

    def test_what_the_body_writes_is_committed_with_the_rest(self) -> None:
        self.assertEqual(self.send(streams(writes)), b"firstsecond")
        self.assertEqual(self.names(), [*both("body"), *both("view")])

    def test_the_commit_comes_before_the_end_of_the_body(self) -> None:
        # So that a client which gets the end of the body knows that it has been committed.
        response = self.handle(streams(writes))
        self.assertEqual(list(response), [b"first", b"second"])
        self.assertEqual(self.names(), [*both("body"), *both("view")])
        response.close()

    def test_a_body_that_fails_halfway_aborts(self) -> None:
        with self.assertRaises(Oops):
            self.send(streams(fails))
        self.assertEqual(self.names(), [])
        self.assertEqual(self.states, [IDLE])

    def test_a_chunk_that_cant_be_encoded_aborts(self) -> None:
        def body() -> Iterator[str]:
            yield "\N{SNOWMAN}"

        with self.assertRaises(UnicodeEncodeError):
            self.send(streams(body, charset="ascii"))
        self.assertEqual((self.names(), self.states), ([], [IDLE]))

    def test_a_client_that_goes_away_aborts(self) -> None:
        response = self.handle(streams(writes))
        self.assertEqual(next(iter(response)), b"first")
        response.close()
        self.assertEqual((self.names(), self.states), ([], [IDLE]))

    def test_a_body_that_was_never_asked_for_aborts(self) -> None:
        self.handle(streams(writes)).close()
        self.assertEqual((self.names(), self.states), ([], [IDLE]))

    def test_what_a_body_does_when_it_is_closed_is_aborted_with_the_rest(self) -> None:
        def body() -> Iterator[bytes]:
            try:
                yield b"first"
            finally:
                write("cleanup")

        response = self.handle(streams(body))
        next(iter(response))
        response.close()
        self.assertEqual((self.names(), self.states), ([], [IDLE]))

    def test_what_closing_the_body_does_is_committed_with_the_rest(self) -> None:
        class Rows:
            def __iter__(self) -> Iterator[bytes]:
                yield b"rows"

            def close(self) -> None:
                write("close")

        self.send(lambda request: StreamingHttpResponse(Rows()))
        self.assertEqual(self.names(), both("close"))

    def test_a_body_that_cant_be_closed_well_aborts(self) -> None:
        class Rows:
            def __iter__(self) -> Iterator[bytes]:
                write("body")
                yield b"rows"

            def close(self) -> None:
                raise Oops

        with self.assertRaises(Oops):
            self.send(lambda request: StreamingHttpResponse(Rows()))
        self.assertEqual((self.names(), self.states), ([], [IDLE]))

    def test_doom_and_set_rollback_in_the_body_abort_and_the_body_is_sent(self) -> None:
        for abandon in (transaction.doom, lambda: django_transaction.set_rollback(True)):

            def body(abandon: Callable[[], Any] = abandon) -> Iterator[bytes]:
                abandon()
                yield b"a preview"

            self.assertEqual(self.send(streams(body)), b"a preview")
            self.assertEqual(self.names(), [])
        self.assertEqual(self.states, [IDLE, IDLE])

    def test_a_body_sees_the_work_of_a_view_that_is_doomed(self) -> None:
        def view(request: HttpRequest) -> StreamingHttpResponse:
            write("view")
            transaction.doom()
            return StreamingHttpResponse(str(Entry.objects.count()) for _ in range(1))

        self.assertEqual(self.send(view), b"2")
        self.assertEqual(self.names(), [])

    def test_the_other_reasons_to_abort_count_at_the_end(self) -> None:
        self.assertEqual(self.send(streams(writes, status=503)), b"firstsecond")
        with self.settings(TX_COMMIT_VETO=lambda request, response: True):
            self.assertEqual(self.send(streams(writes)), b"firstsecond")
        with self.settings(TX_COMMIT_SAFE_METHODS=False):
            self.assertEqual(self.send(streams(writes), "get"), b"firstsecond")
        self.assertEqual((self.names(), self.states), ([], [IDLE] * 3))

    def test_an_inner_scope_that_failed_in_the_body_breaks_it_off(self) -> None:
        def body() -> Iterator[bytes]:
            yield b"first"
            with self.assertRaises(Oops), commit_on_success():
                raise Oops

        with self.assertRaises(TransactionManagementError):
            self.send(streams(body))
        self.assertEqual((self.names(), self.states), ([], [IDLE]))

    def test_an_inner_scope_that_failed_in_the_view_is_an_error_response(self) -> None:
        def view(request: HttpRequest) -> StreamingHttpResponse:
            with self.assertRaises(Oops), commit_on_success():
                raise Oops
            return StreamingHttpResponse(writes())

        self.send(view)
        self.assertEqual(self.status, "500 Internal Server Error")

    def test_an_exception_that_was_answered_with_a_stream_aborts_before_it(self) -> None:
        middleware = [
            "txmiddleware.middleware.TransactionMiddleware",
            f"{__name__}.AnswersWithAStream",
        ]

        def view(request: HttpRequest) -> None:
            write("view")
            raise Oops

        with self.settings(MIDDLEWARE=middleware):
            self.assertEqual(self.send(view), b"idle")
        self.assertEqual(self.names(), [])

    def test_callbacks_run_at_the_end_of_the_body(self) -> None:
        ran: list[Any] = []

        def body() -> Iterator[bytes]:
            on_commit(lambda: ran.append(self.names()))
            django_transaction.on_commit(lambda: ran.append(is_managed()))
            on_abort(lambda: ran.append("aborted"))
            yield b"first"
            self.assertEqual(ran, [])

        self.send(streams(body))
        self.assertCountEqual(ran, [both("view"), False])

    def test_a_file_is_sent_in_the_transaction(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "report.txt")
            path.write_bytes(b"report")

            def view(request: HttpRequest) -> FileResponse:
                write("view")
                return FileResponse(path.open("rb"))

            self.assertEqual(self.send(view), b"report")
            self.assertEqual(self.names(), both("view"))
            self.handle(view).close()
        self.assertEqual(self.names(), both("view"))

    def test_a_response_without_a_body_is_decided_before(self) -> None:
        self.handle(streams(writes), "head").close()
        self.assertEqual(self.names(), both("view"))
        self.handle(streams(writes, status=304)).close()
        self.assertEqual(self.names(), sorted(both("view") * 2))

    def test_other_responses_are_decided_before(self) -> None:
        def view(request: HttpRequest) -> HttpResponse:
            write("view")
            return HttpResponse("done")

        response = self.handle(view)
        self.assertEqual(self.names(), both("view"))
        response.close()

    def test_a_response_that_was_lost_is_aborted_before_the_next_request(self) -> None:
        lost = self.handle(streams(writes))
        with self.assertLogs("txmiddleware", "WARNING") as logs:
            logging.disable(logging.NOTSET)
            self.send(lambda request: write("next"))
        self.assertIn("neither read nor closed", logs.output[0])
        self.assertEqual(self.names(), both("next"))
        # It must not go on in autocommit, or in the transaction of another request.
        with self.assertRaisesMessage(TransactionManagementError, "was ended before the body"):
            list(lost)
        lost.close()
        self.assertEqual(self.names(), both("next"))
        self.assertEqual(self.states, [IDLE, IDLE])

    def test_a_body_that_another_thread_reads_is_refused(self) -> None:
        response = self.handle(streams(writes))
        failures = []

        def read() -> None:
            try:
                list(response)
            except TransactionManagementError as error:
                failures.append(str(error))
            response.close()

        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
        self.assertIn("commit-before", failures[0])
        self.send(lambda request: write("next"))
        self.assertEqual(self.names(), both("next"))

    def test_a_response_made_inside_of_a_scope_is_left_to_that_scope(self) -> None:
        with commit_on_success():
            response = self.handle(streams(writes))
            next(iter(response))
            write("outer")
        self.assertEqual(self.names(), [*both("outer"), *both("view")])
        response.close()

    def test_nothing_is_kept_alive(self) -> None:
        gc.collect()
        self.addCleanup(gc.enable)
        gc.disable()
        before = sum(type(each).__name__ == "Transaction" for each in gc.get_objects())
        for _ in range(5):
            self.send(streams(writes))
        after = sum(type(each).__name__ == "Transaction" for each in gc.get_objects())
        self.assertLessEqual(after, before + 1)


class AnswersWithAStream:
    """A middleware that answers for an exception, by a stream that looks around."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> Any:
        return StreamingHttpResponse("idle" if state() == IDLE else "open" for _ in range(1))


class CommitTest(HoldCase):
    """The commit itself fails, when the client has most of the response."""

    @skipUnlessDBFeature("can_defer_constraint_checks")
    def test_a_commit_that_fails_breaks_the_body_off(self) -> None:
        def body() -> Iterator[bytes]:
            yield b"first"
            Permission.objects.create(content_type_id=987654, codename="none", name="none")

        with self.assertLogs("txmiddleware", "ERROR") as logs, self.assertRaises(IntegrityError):
            logging.disable(logging.NOTSET)
            self.send(streams(body))
        self.assertIn("failed at the end of the body", logs.output[0])
        self.assertEqual((self.names(), self.states), ([], [IDLE]))

    def test_a_flush_that_fails_breaks_the_body_off(self) -> None:
        Entry.objects.create(id=1, name="here")

        def body() -> Iterator[bytes]:
            yield b"first"
            clash = StormEntry("clash")
            clash.id = 1
            get_store().add(clash)

        with self.assertRaises(Exception):  # noqa: B017  (that of the driver)
            self.send(streams(body))
        self.assertEqual((self.names(), self.states), (["here"], [IDLE]))


class RetryTest(HoldCase):
    def setUp(self) -> None:
        super().setUp()
        Entry.objects.create(name="before")
        context = conflict()
        self.conflict = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        self.seen: list[int] = []

    def test_a_view_that_met_a_conflict_is_tried_again(self) -> None:
        def view(request: Any) -> StreamingHttpResponse:
            self.seen.append(request.tx_attempt)
            if request.tx_attempt == 1:
                self.conflict()
            return StreamingHttpResponse(writes())

        self.assertEqual(self.send(view), b"firstsecond")
        self.assertEqual(self.seen, [1, 2])
        self.assertIn("body (storm)", self.names())

    def test_a_body_that_met_a_conflict_is_not_tried_again(self) -> None:
        def body() -> Iterator[bytes]:
            yield b"first"
            self.seen.append(1)
            self.conflict()

        with self.assertRaises(DatabaseError):
            self.send(lambda request: StreamingHttpResponse(body()))
        self.assertEqual((self.seen, self.states), ([1], [IDLE]))


holding = override_settings(
    ROOT_URLCONF="tests.txmiddleware.urls",
    MIDDLEWARE=["txmiddleware.middleware.TransactionMiddleware"],
    TX_STREAMING="hold",
)


class ClientMixin:
    client: Any

    def post(self, body: Callable[[], Iterator[Any]]) -> Any:
        with mock.patch.dict(views, view=streams(body)):
            return self.client.post("/sync/view/")

    def names(self) -> list[str]:
        return sorted(Entry.objects.values_list("name", flat=True))


@holding
class InTestCaseTest(ClientMixin, TestCase):
    def test_a_body_that_fails_undoes_the_request_alone(self) -> None:
        write("test")
        with held_responses():
            response = self.post(fails)
            with self.assertRaises(Oops):
                list(response.streaming_content)
            self.assertEqual(self.names(), both("test"))

    def test_a_body_that_is_read_keeps_the_request(self) -> None:
        with held_responses():
            self.assertEqual(self.post(writes).getvalue(), b"firstsecond")
        self.assertEqual(self.names(), [*both("body"), *both("view")])

    def test_what_is_not_read_is_undone_and_told(self) -> None:
        write("test")
        with self.assertLogs("txmiddleware", "WARNING"), held_responses():
            self.post(writes)
        self.assertEqual(self.names(), both("test"))
        self.assertFalse(is_managed())

    def test_without_it_an_unread_body_leaves_nothing_open(self) -> None:
        self.assertEqual(self.post(writes).status_code, 200)
        self.assertFalse(is_managed())
        self.assertEqual(self.names(), both("view"))


@holding
class InTransactionTestCaseTest(ClientMixin, TransactionTestCase):
    def test_a_body_that_fails_undoes_the_request(self) -> None:
        with held_responses():
            response = self.post(fails)
            with self.assertRaises(Oops):
                list(response.streaming_content)
        self.assertEqual(self.names(), [])
        self.assertTrue(connection.get_autocommit())

    def test_without_it_an_unread_body_leaves_nothing_open(self) -> None:
        self.post(writes)
        self.assertFalse(is_managed())
        self.assertEqual(self.names(), both("view"))
