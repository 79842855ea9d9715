"""TransactionMiddleware: what commits, what aborts, wherever it stands."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any
from unittest import mock

import transaction
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import connection
from django.db import transaction as django_transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.test import TestCase, TransactionTestCase, override_settings
from django.test.utils import CaptureQueriesContext

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from tests.txmiddleware.urls import views
from txmiddleware import commit_on_success
from txmiddleware.exceptions import TransactionManagementError

TRANSACTIONS = "txmiddleware.middleware.TransactionMiddleware"
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]


class Oops(Exception):
    """An error of the application."""


class CatchesEverything:
    """A middleware that answers for whatever the view raises."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse:
        return HttpResponse("all is well")


class RaisesAfterTheView(CatchesEverything):
    """A middleware that fails once the view has answered."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.get_response(request)
        raise BadRequest


CATCHES = f"{__name__}.CatchesEverything"


def names() -> list[str]:
    """What has been committed."""
    return sorted(Entry.objects.values_list("name", flat=True))


def write(name: str = "a") -> None:
    """One row through each ORM."""
    Entry.objects.create(name=f"{name} (django)")
    get_store().add(StormEntry(f"{name} (storm)"))


BOTH = ["a (django)", "a (storm)"]


class RequestMixin:
    """Making a request to a function."""

    client: Any

    def request(
        self, view: Callable[[HttpRequest], Any], method: str = "post", kind: str = "sync"
    ) -> Any:
        self.client.raise_request_exception = False
        with mock.patch.dict(views, view=view):
            return getattr(self.client, method)(f"/{kind}/view/")


def orders() -> list[list[str]]:
    """MIDDLEWARE with the transaction in each place, before and behind one that catches all."""
    found = []
    for others in ([*MIDDLEWARE, CATCHES], [CATCHES, *MIDDLEWARE]):
        for place in range(len(others) + 1):
            found.append([*others[:place], TRANSACTIONS, *others[place:]])
    return found


@override_settings(ROOT_URLCONF="tests.txmiddleware.urls")
class OutcomeTest(RequestMixin, TransactionTestCase):
    def outcomes(self, view: Callable[[HttpRequest], Any]) -> dict[str, list[str]]:
        """What is committed for each order of the middleware."""
        found = {}
        for middleware in orders():
            with self.settings(MIDDLEWARE=middleware):
                self.request(view)
            found[" ".join(name.rsplit(".")[-1] for name in middleware)] = names()
            Entry.objects.all().delete()
        return found

    def test_an_exception_aborts_in_each_order(self) -> None:
        for error in (Oops, Http404, PermissionDenied):

            def view(request: HttpRequest, error: type[Exception] = error) -> None:
                write()
                raise error

            for order, committed in self.outcomes(view).items():
                with self.subTest(order, error=error):
                    self.assertEqual(committed, [])

    def test_a_returned_4xx_commits_in_each_order(self) -> None:
        def view(request: HttpRequest) -> HttpResponse:
            write()
            return HttpResponse(status=409)

        for order, committed in self.outcomes(view).items():
            with self.subTest(order):
                self.assertEqual(committed, BOTH)

    def test_a_returned_5xx_aborts_in_each_order(self) -> None:
        def view(request: HttpRequest) -> HttpResponse:
            write()
            return HttpResponse(status=503)

        for order, committed in self.outcomes(view).items():
            with self.subTest(order):
                self.assertEqual(committed, [])

    def test_a_template_that_fails_late_aborts_in_each_order(self) -> None:
        def view(request: HttpRequest) -> TemplateResponse:
            write()
            template = engines["django"].from_string("{% for x in fails %}{% endfor %}")

            def fails() -> None:
                raise Oops

            return TemplateResponse(request, template, {"fails": fails})

        for order, committed in self.outcomes(view).items():
            with self.subTest(order):
                self.assertEqual(committed, [])


@override_settings(ROOT_URLCONF="tests.txmiddleware.urls", MIDDLEWARE=[TRANSACTIONS])
class MiddlewareTest(RequestMixin, TransactionTestCase):
    def test_a_failing_middleware_inside_aborts(self) -> None:
        with self.settings(MIDDLEWARE=[TRANSACTIONS, f"{__name__}.RaisesAfterTheView"]):
            response = self.request(lambda request: write())
        self.assertEqual(response.status_code, 400)
        self.assertEqual(names(), [])

    def test_commits_what_both_orms_did(self) -> None:
        self.assertEqual(self.request(lambda request: write()).status_code, 200)
        self.assertEqual(names(), BOTH)

    def test_an_async_view_commits_and_aborts(self) -> None:
        async def view(request: HttpRequest) -> HttpResponse:
            await Entry.objects.acreate(name="a")
            return HttpResponse(status=500 if "fail" in request.GET else 200)

        self.request(view, kind="async")
        self.assertEqual(names(), ["a"])

    def test_doom_aborts_and_sends_the_response(self) -> None:
        def view(request: HttpRequest) -> HttpResponse:
            write()
            transaction.doom()
            return HttpResponse("a preview")

        response = self.request(view)
        self.assertEqual((response.status_code, names()), (200, []))

    def test_set_rollback_aborts_and_sends_the_response(self) -> None:
        def view(request: HttpRequest) -> HttpResponse:
            write()
            django_transaction.set_rollback(True)
            return HttpResponse("a preview")

        response = self.request(view)
        self.assertEqual((response.status_code, names()), (200, []))

    def test_a_block_without_savepoint_that_failed_aborts(self) -> None:
        def view(request: HttpRequest) -> None:
            write()
            with self.assertRaises(Oops), django_transaction.atomic(savepoint=False):
                raise Oops

        self.request(view)
        self.assertEqual(names(), [])

    def test_a_failing_commit_is_an_error_response(self) -> None:
        Entry.objects.create(id=1, name="here")

        def view(request: HttpRequest) -> None:
            clash = StormEntry("clash")
            clash.id = 1
            get_store().add(clash)

        self.assertEqual(self.request(view).status_code, 500)
        self.assertEqual(names(), ["here"])

    def test_the_veto_aborts(self) -> None:
        def veto(request: HttpRequest, response: HttpResponse) -> bool:
            return bool(response.content == b"bad")

        for content, committed in ((b"bad", []), (b"good", BOTH)):

            def view(request: HttpRequest, content: bytes = content) -> HttpResponse:
                write()
                return HttpResponse(content)

            with self.settings(TX_COMMIT_VETO=veto):
                self.request(view)
            self.assertEqual(names(), committed)

    def test_safe_methods_commit_unless_told_otherwise(self) -> None:
        for setting in ("TX_COMMIT_SAFE_METHODS", "STORM_COMMIT_SAFE_METHODS"):
            for method in ("get", "head", "options"):
                with self.subTest(setting, method=method), self.settings(**{setting: False}):
                    self.request(lambda request: write(), method)
                    self.assertEqual(names(), [])
        self.request(lambda request: write(), "get")
        self.assertEqual(names(), BOTH)

    def test_the_reason_is_logged_and_told_in_debug(self) -> None:
        def view(request: HttpRequest) -> HttpResponse:
            return HttpResponse(status=503)

        with self.assertLogs("txmiddleware", "INFO") as logs, self.settings(DEBUG=True):
            response = self.request(view)
        self.assertEqual(response["X-Transaction"], "aborted: status 503")
        self.assertIn("POST /sync/view/: aborted: status 503", logs.output[0])

    def test_a_request_without_database_costs_no_statement_and_no_connection(self) -> None:
        connection.close()
        with CaptureQueriesContext(connection) as queries:
            # Looking at the log has connected; what counts is whether the request does.
            connection.close()
            self.request(lambda request: None)
            self.assertIsNone(connection.connection)
        self.assertEqual(len(queries), 0)

    def test_a_request_that_reads_once_makes_one_statement_in_one_transaction(self) -> None:
        connection.ensure_connection()
        with CaptureQueriesContext(connection) as queries:
            self.request(lambda request: Entry.objects.count() and None)
        words = [query["sql"].split()[0] for query in queries]
        self.assertEqual(words, ["BEGIN", "SELECT", "COMMIT"])

    def test_work_that_nobody_ended_does_not_get_into_the_request(self) -> None:
        get_store().add(StormEntry("left over"))
        with self.assertLogs("txmiddleware", "WARNING") as logs:
            self.request(lambda request: write())
        self.assertIn("nobody had ended", logs.output[0])
        self.assertEqual(names(), BOTH)


@override_settings(ROOT_URLCONF="tests.txmiddleware.urls", MIDDLEWARE=[TRANSACTIONS])
class InTestCaseTest(RequestMixin, TestCase):
    """A TestCase is an outer owner: a request in it rolls back its own work alone."""

    def setUp(self) -> None:
        write("setup")

    def test_an_abort_by_the_test_itself_is_refused(self) -> None:
        for block in (nullcontext(), django_transaction.atomic()):
            with (
                self.assertRaisesMessage(TransactionManagementError, "use a TransactionTestCase"),
                block,
            ):
                transaction.abort()
        self.assertEqual(names(), ["setup (django)", "setup (storm)"])

    def test_a_request_that_fails_undoes_its_own_work(self) -> None:
        def view(request: HttpRequest) -> None:
            write()
            raise Oops

        self.request(view)
        self.assertEqual(names(), ["setup (django)", "setup (storm)"])

    def test_a_request_that_succeeds_is_seen_by_the_test(self) -> None:
        self.request(lambda request: write())
        self.assertEqual(names(), [*BOTH, "setup (django)", "setup (storm)"])

    def test_several_requests_in_one_test(self) -> None:
        for fails in (True, False, True):

            def view(request: HttpRequest, fails: bool = fails) -> None:
                write()
                if fails:
                    raise Http404

            self.request(view)
        self.assertEqual(names(), [*BOTH, "setup (django)", "setup (storm)"])

    def test_callbacks_can_be_captured(self) -> None:
        ran = []

        def view(request: HttpRequest) -> None:
            django_transaction.on_commit(lambda: ran.append("callback"))

        with self.captureOnCommitCallbacks(execute=True):
            self.request(view)
        self.assertEqual(ran, ["callback"])

    def test_a_failing_scope_undoes_its_own_work(self) -> None:
        with self.assertRaises(Oops), commit_on_success():
            write()
            raise Oops
        self.assertEqual(names(), ["setup (django)", "setup (storm)"])

    def test_an_abort_inside_undoes_the_scopes_own_work(self) -> None:
        def view(request: HttpRequest) -> None:
            write()
            transaction.abort()

        for _ in range(2):
            self.assertEqual(self.request(view).status_code, 500)
            with (
                self.assertRaisesMessage(TransactionManagementError, "abort() was called inside"),
                commit_on_success(),
            ):
                write()
                transaction.abort()
            self.assertEqual(names(), ["setup (django)", "setup (storm)"])
        self.request(lambda request: write())
        self.assertEqual(names(), [*BOTH, "setup (django)", "setup (storm)"])

    def test_the_test_before_left_nothing(self) -> None:
        self.assertEqual(names(), ["setup (django)", "setup (storm)"])
        self.assertEqual(get_store().find(StormEntry).count(), 2)
