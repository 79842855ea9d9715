"""Trying again: requests, views and tasks that met a conflict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.signals import got_request_exception
from django.db import IntegrityError, OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.test import TransactionTestCase, override_settings, skipUnlessDBFeature

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry, Unique
from tests.storm_django.test_connection import KILL, OWN_ID
from tests.txmiddleware import urls
from tests.txmiddleware.conflict import conflict, insert_elsewhere
from txmiddleware import attempts, commit_on_success, is_managed
from txmiddleware.views import non_transactional


@override_settings(
    ROOT_URLCONF="tests.txmiddleware.urls",
    MIDDLEWARE=["txmiddleware.middleware.TransactionMiddleware"],
)
class RetryTest(TransactionTestCase):
    def setUp(self) -> None:
        Entry.objects.create(name="before")
        self.seen: list[int] = []
        self.reports: list[object] = []
        context = conflict()
        self.conflict = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        got_request_exception.connect(self.report)
        self.addCleanup(got_request_exception.disconnect, self.report)

    def report(self, **kwargs: Any) -> None:
        self.reports.append(kwargs)

    def post(self, view: Callable[[Any], Any], kind: str = "sync", **data: Any) -> Any:
        self.client.raise_request_exception = False
        with mock.patch.dict(urls.views, view=view):
            return self.client.post(f"/{kind}/view/", data)

    def fails(self, times: int) -> Callable[[Any], None]:
        """A view that meets a conflict in its first ``times`` attempts."""

        def view(request: Any) -> None:
            self.seen.append(request.tx_attempt)
            if connection.vendor != "sqlite":  # which locks all of the database at once
                Unique.objects.create(value=1)
            if request.tx_attempt <= times:
                self.conflict()
            get_store().add(StormEntry("storm", request.tx_attempt))

        return view

    def test_a_request_that_met_a_conflict_is_handled_again(self) -> None:
        response = self.post(self.fails(1))
        self.assertEqual((response.status_code, self.seen), (200, [1, 2]))
        self.assertEqual(self.reports, [])
        self.assertEqual(Entry.objects.get(name="storm").position, 2)

    def test_the_last_failure_is_reported_once(self) -> None:
        response = self.post(self.fails(9))
        self.assertEqual((response.status_code, self.seen), (500, [1, 2, 3]))
        self.assertEqual(len(self.reports), 1)
        self.assertFalse(Entry.objects.filter(name="storm").exists())
        with commit_on_success():
            Entry.objects.create(name="after")

    @override_settings(TX_ATTEMPTS=1)
    def test_one_attempt_is_one_attempt(self) -> None:
        self.assertEqual(self.post(self.fails(9)).status_code, 500)
        self.assertEqual(self.seen, [1])

    def test_other_failures_are_not_tried_again(self) -> None:
        def view(request: Any) -> None:
            self.seen.append(request.tx_attempt)
            raise ValueError

        self.post(view)
        self.assertEqual(self.seen, [1])

    def test_the_body_is_there_each_time(self) -> None:
        found = []

        def view(request: Any) -> None:
            found.append((request.POST["a"], request.FILES["file"].read(), request))
            if request.tx_attempt == 1:
                self.conflict()

        upload = SimpleUploadedFile("file", b"x" * 5000)
        self.assertEqual(self.post(view, a="1", file=upload).status_code, 200)
        self.assertEqual([(a, data) for a, data, _ in found], [("1", b"x" * 5000)] * 2)
        self.assertIsNot(found[0][2], found[1][2])

    def test_the_body_can_be_read_in_part(self) -> None:
        found = []

        def view(request: Any) -> None:
            found.append(request.read(5) if request.tx_attempt == 1 else request.body)
            if request.tx_attempt == 1:
                self.conflict()

        self.post(view, a="1234567890")
        self.assertTrue(found[1].startswith(found[0]))
        self.assertIn(b"1234567890", found[1])

    @override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=1000)
    def test_a_body_too_large_to_keep_is_read_once(self) -> None:
        def view(request: Any) -> None:
            self.seen.append(request.tx_attempt)
            request.FILES["file"].read()
            self.conflict()

        upload = SimpleUploadedFile("file", b"x" * 5000)
        self.assertEqual(self.post(view, file=upload).status_code, 500)
        self.assertEqual(self.seen, [1])

    def test_a_view_sets_its_own_number(self) -> None:
        for number in (1, 2, 5):
            self.seen.clear()
            urls.view._txmiddleware_attempts = number  # type: ignore[attr-defined]
            self.addCleanup(urls.view.__dict__.pop, "_txmiddleware_attempts", None)
            self.post(self.fails(9))
            self.assertEqual(self.seen, list(range(1, number + 1)))

    def test_an_async_view_is_tried_again(self) -> None:
        async def view(request: Any) -> HttpResponse:
            self.seen.append(request.tx_attempt)
            if request.tx_attempt == 1:
                from asgiref.sync import sync_to_async

                await sync_to_async(self.conflict)()
            await Entry.objects.acreate(name="async")
            return HttpResponse("done")

        self.assertEqual(self.post(view, "async").status_code, 200)
        self.assertEqual(self.seen, [1, 2])
        self.assertEqual(Entry.objects.filter(name="async").count(), 1)

    def test_a_failing_commit_is_tried_again(self) -> None:
        def view(request: Any) -> None:
            self.seen.append(request.tx_attempt)
            if request.tx_attempt == 1:
                entry = get_store().find(StormEntry).one()
                self.before_flush(entry)

        self.assertEqual(self.post(view).status_code, 200)
        self.assertEqual(self.seen, [1, 2] if connection.vendor == "postgresql" else [1])

    def before_flush(self, entry: StormEntry) -> None:
        """Leave Storm a change that meets a conflict only when it is flushed, on PostgreSQL."""
        if connection.vendor == "postgresql":
            other = connection.copy()
            with other.cursor() as cursor:
                cursor.execute(f"UPDATE {Entry._meta.db_table} SET position = 5")
            other.close()
        entry.name = "flushed late"

    def test_an_integrity_error_in_a_snapshot_is_tried_again(self) -> None:
        def view(request: Any) -> None:
            self.seen.append(request.tx_attempt)
            if request.tx_attempt == 1:
                insert_elsewhere(1)
                Unique.objects.create(value=1)
            self.assertTrue(Unique.objects.filter(value=1).exists())

        if connection.vendor == "sqlite":
            self.skipTest("SQLite lets one write at a time: there is no such race.")
        self.assertEqual(self.post(view).status_code, 200)
        self.assertEqual(self.seen, [1, 2])

    @skipUnlessDBFeature("has_select_for_update")  # not SQLite: nobody can kill it
    def test_a_lost_connection_is_tried_again_from_either_orm(self) -> None:
        killer = connection.copy()
        self.addCleanup(killer.close)
        for write in (
            lambda: Entry.objects.create(name="written"),
            lambda: (get_store().add(StormEntry("written")), get_store().flush()),
        ):

            def view(request: Any, write: Callable[[], object] = write) -> None:
                self.seen.append(request.tx_attempt)
                write()
                if request.tx_attempt == 1:
                    with connection.cursor() as cursor:
                        cursor.execute(OWN_ID[connection.vendor])
                        (session,) = cursor.fetchone()
                    with killer.cursor() as cursor:
                        cursor.execute(KILL[connection.vendor], [session])
                    write()

            self.seen.clear()
            self.assertEqual(self.post(view).status_code, 200)
            self.assertEqual(self.seen, [1, 2])
        self.assertEqual(Entry.objects.filter(name="written").count(), 2)


class AttemptsTest(TransactionTestCase):
    def setUp(self) -> None:
        Entry.objects.create(name="before")
        context = conflict()
        self.conflict = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        self.calls = 0

    def test_a_function_runs_again_and_returns_its_result(self) -> None:
        @attempts(3)
        def task(argument: int) -> int:
            self.calls += 1
            if self.calls == 1:
                self.conflict()
            Entry.objects.create(name="task")
            return argument * 2

        self.assertEqual(task(4), 8)
        self.assertEqual(self.calls, 2)
        self.assertEqual(Entry.objects.filter(name="task").count(), 1)

    def test_the_last_failure_is_raised(self) -> None:
        @attempts(2)
        def task() -> None:
            self.calls += 1
            self.conflict()

        with self.assertRaises(OperationalError):
            task()
        self.assertEqual(self.calls, 2)
        self.assertFalse(is_managed())

    async def test_a_coroutine_function_runs_again(self) -> None:
        from asgiref.sync import sync_to_async

        @attempts(2)
        async def task() -> str:
            self.calls += 1
            if self.calls == 1:
                await sync_to_async(self.conflict)()
            return "done"

        self.assertEqual(await task(), "done")

    def test_inside_a_scope_the_scope_is_the_one_to_try_again(self) -> None:
        @attempts(3)
        def task() -> None:
            self.calls += 1
            raise IntegrityError

        with self.assertRaises(IntegrityError), commit_on_success():
            task()
        self.assertEqual(self.calls, 1)

    def test_a_number_below_one_is_refused(self) -> None:
        with self.assertRaisesMessage(ValueError, "attempts(0)"):
            attempts(0)


@override_settings(
    ROOT_URLCONF="tests.txmiddleware.urls",
    MIDDLEWARE=["txmiddleware.middleware.TransactionMiddleware"],
)
class NonTransactionalTest(TransactionTestCase):
    def test_the_view_runs_in_autocommit(self) -> None:
        @non_transactional
        def decorated(request: HttpRequest, name: str) -> HttpResponse:
            self.assertFalse(is_managed())
            Entry.objects.create(name="kept")
            raise ValueError

        self.client.raise_request_exception = False
        with mock.patch.object(urls.urlpatterns[0], "callback", decorated):
            self.assertEqual(self.client.post("/sync/view/").status_code, 500)
        self.assertEqual(Entry.objects.count(), 1)
