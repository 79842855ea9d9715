"""A statement that failed and whose error was caught: what PostgreSQL then makes of COMMIT."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from unittest import mock

import transaction
from django.db import connection
from django.db.transaction import atomic
from django.db.transaction import on_commit as django_on_commit
from django.http import HttpRequest
from django.test import TransactionTestCase, override_settings

from storm_django import get_store, get_store_uri
from tests.storm_django.aliases import extra_alias
from tests.storm_django.models import Entry
from tests.txmiddleware.urls import views
from txmiddleware import commit_on_success
from txmiddleware.exceptions import TransactionManagementError


def fail_in_django() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nothing FROM nowhere")


def fail_in_storm() -> None:
    get_store().execute("SELECT nothing FROM nowhere")


@override_settings(
    ROOT_URLCONF="tests.txmiddleware.urls",
    MIDDLEWARE=["txmiddleware.middleware.TransactionMiddleware"],
)
class FailedStatementTest(TransactionTestCase):
    """PostgreSQL answers such a COMMIT by a rollback, and no error; others go on."""

    def check(self, wrote: bool, failed: bool) -> None:
        """Nothing was reported as committed that was not."""
        goes_on = connection.vendor != "postgresql"
        self.assertEqual((wrote, failed), (goes_on, not goes_on))

    def test_in_a_scope(self) -> None:
        for fail in (fail_in_django, fail_in_storm):
            with self.subTest(fail.__name__):
                Entry.objects.all().delete()
                failed = False
                try:
                    with commit_on_success():
                        Entry.objects.create(name="before")
                        with self.assertRaises(Exception):  # noqa: B017
                            fail()
                except TransactionManagementError:
                    failed = True
                self.check(Entry.objects.exists(), failed)

    def test_in_a_request(self) -> None:
        for fail in (fail_in_django, fail_in_storm):

            def view(request: HttpRequest, fail=fail) -> None:  # type: ignore[no-untyped-def]
                Entry.objects.create(name="before")
                with self.assertRaises(Exception):  # noqa: B017
                    fail()

            with self.subTest(fail.__name__), mock.patch.dict(views, view=view):
                Entry.objects.all().delete()
                self.client.raise_request_exception = False
                status = self.client.post("/sync/view/").status_code
                self.check(Entry.objects.exists(), status == 500)

    def check_block(self, work: Callable[[Callable[[], None]], None]) -> None:
        """``work`` writes and fails in a block; a hook of Django's tells the same."""
        ran: list[str] = []
        failed = False
        Entry.objects.all().delete()

        def whole() -> None:
            django_on_commit(lambda: ran.append("ran"))
            Entry.objects.create(name="before")
            with self.assertRaises(Exception):  # noqa: B017
                fail_in_django()

        try:
            work(whole)
        except TransactionManagementError:
            failed = True
        self.check(Entry.objects.exists(), failed)
        self.assertFalse(ran and failed)
        self.assertTrue(connection.get_autocommit())

    def test_in_an_outermost_block_in_which_django_is_alone(self) -> None:
        def alone(work: Callable[[], None]) -> None:
            with atomic():
                work()

        self.check_block(alone)

    def test_in_an_outermost_block_with_others(self) -> None:
        def joined(work: Callable[[], None]) -> None:
            with atomic():
                transaction.get()
                work()

        self.check_block(joined)

    def test_in_the_block_of_a_second_database(self) -> None:
        def apart(work: Callable[[], None]) -> None:
            with (
                extra_alias("other", get_store_uri()),
                mock.patch.object(type(self), "databases", {"default", "other"}),
                atomic(using="other"),
            ):
                transaction.get()
                with atomic():
                    work()

        self.check_block(apart)

    def test_where_nothing_waits_for_the_end_django_alone_goes_on_as_ever(self) -> None:
        with atomic():
            Entry.objects.create(name="before")
            with suppress(Exception):
                fail_in_django()
        self.assertEqual(Entry.objects.exists(), connection.vendor != "postgresql")
