"""A statement that failed and whose error was caught: what PostgreSQL then makes of COMMIT."""

from __future__ import annotations

from unittest import mock

from django.db import connection
from django.http import HttpRequest
from django.test import TransactionTestCase, override_settings

from storm_django import get_store
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
