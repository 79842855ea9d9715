"""A flush that fails where a scope begins: what is pending belongs to the code outside."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.test import TestCase, TransactionTestCase, override_settings
from storm.exceptions import IntegrityError

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from tests.txmiddleware.test_middleware import TRANSACTIONS, RequestMixin, names
from txmiddleware import commit_on_success


def add_clash(entry: Entry) -> None:
    """Have an object pending whose key is taken."""
    clash = StormEntry("clash")
    clash.id = entry.pk
    get_store().add(clash)


@override_settings(ROOT_URLCONF="tests.txmiddleware.urls", MIDDLEWARE=[TRANSACTIONS])
class FailingFlushInTestCaseTest(RequestMixin, TestCase):
    """The first leaves no harm for the second, whichever is the first."""

    def clash(self) -> None:
        self.assertEqual(Entry.objects.count(), 0)
        add_clash(Entry.objects.create(name="there"))
        response: Any = self.request(lambda request: None)
        self.assertEqual(response.status_code, 500)

    def test_a_request_that_can_not_send_is_undone_alone(self) -> None:
        there = Entry.objects.create(name="there")
        response: Any = self.request(lambda request: add_clash(there))
        self.assertEqual(response.status_code, 500)
        self.assertEqual(names(), ["there"])

    def test_one(self) -> None:
        self.clash()

    def test_another(self) -> None:
        self.clash()


class FailingFlushTest(TransactionTestCase):
    def test_the_error_is_that_of_the_flush_and_the_outer_scope_may_drop_it(self) -> None:
        entry = Entry.objects.create(name="there")
        with self.assertRaises(IntegrityError), commit_on_success():
            add_clash(entry)
            with commit_on_success(savepoint=True):
                self.fail("begun, although what is outside can't be sent")
        self.assertEqual(names(), ["there"])
        self.assertFalse(connection.in_atomic_block)
        with commit_on_success():
            get_store().add(StormEntry("later"))
        self.assertEqual(names(), ["later", "there"])

    def test_what_an_inner_block_can_not_send_is_undone_with_it(self) -> None:
        entry = Entry.objects.create(name="there")
        with commit_on_success():
            get_store().add(StormEntry("outer"))
            with self.assertRaises(IntegrityError), commit_on_success(savepoint=True):
                get_store().add(StormEntry("inner"))
                add_clash(entry)
        self.assertEqual(names(), ["outer", "there"])
