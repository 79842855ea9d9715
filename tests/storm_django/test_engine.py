"""The states of a connection, and what the server sees."""

from __future__ import annotations

import asyncio
from unittest import mock

import transaction
from django.core.exceptions import SynchronousOnlyOperation
from django.db import IntegrityError, connection
from django.db import transaction as django_transaction
from django.http import HttpRequest
from django.test import TestCase, TransactionTestCase, override_settings, skipUnlessDBFeature

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry, Unique
from tests.txmiddleware.urls import views

SESSIONS = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()",
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE db = database()",
}
IN_TRANSACTION = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND xact_start IS NOT NULL",
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx t "
    "JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id WHERE p.db = database()",
}


@override_settings(
    ROOT_URLCONF="tests.txmiddleware.urls",
    MIDDLEWARE=["txmiddleware.middleware.TransactionMiddleware"],
)
class OneConnectionTest(TransactionTestCase):
    @skipUnlessDBFeature("has_select_for_update")  # not SQLite: it is no server
    def test_the_server_sees_one_session_and_one_transaction(self) -> None:
        found = []

        def view(request: HttpRequest) -> None:
            get_store().add(StormEntry("storm"))
            Entry.objects.create(name="django")
            with connection.cursor() as cursor:
                for query in (SESSIONS, IN_TRANSACTION):
                    cursor.execute(query[connection.vendor])
                    found.append(cursor.fetchone()[0])

        with mock.patch.dict(views, view=view):
            self.assertEqual(self.client.post("/sync/view/").status_code, 200)
        self.assertEqual(found, [1, 1])

    def test_each_orm_reads_what_the_other_has_not_committed(self) -> None:
        found = []

        def view(request: HttpRequest) -> None:
            Entry.objects.create(name="django")
            found.append(get_store().find(StormEntry, name="django").count())
            get_store().add(StormEntry("storm"))
            found.append(Entry.objects.filter(name="storm").count())

        with mock.patch.dict(views, view=view):
            self.client.post("/sync/view/")
        self.assertEqual(found, [1, 1])


class StateTest(TransactionTestCase):
    """Idle, owned by Django, managed."""

    def test_idle_is_autocommit(self) -> None:
        self.assertTrue(connection.get_autocommit())
        Entry.objects.create(name="a")
        connection.close()
        self.assertEqual(Entry.objects.count(), 1)

    def test_an_atomic_block_commits_what_storm_has_pending(self) -> None:
        with django_transaction.atomic():
            Entry.objects.create(name="a")
            get_store().add(StormEntry("b"))
        transaction.abort()
        self.assertEqual(Entry.objects.count(), 2)

    def test_an_atomic_block_that_fails_takes_storms_work_along(self) -> None:
        with self.assertRaises(ZeroDivisionError), django_transaction.atomic():
            get_store().add(StormEntry("b"))
            Entry.objects.create(name="a")
            _ = 1 / 0
        self.assertEqual(Entry.objects.count(), 0)

    def test_what_storm_began_is_managed_until_it_is_committed(self) -> None:
        get_store().add(StormEntry("a"))
        with django_transaction.atomic():
            Entry.objects.create(name="b")
        self.assertFalse(connection.get_autocommit())
        transaction.abort()
        self.assertEqual(Entry.objects.count(), 0)
        self.assertTrue(connection.get_autocommit())
        get_store().add(StormEntry("a"))
        transaction.commit()
        self.assertEqual(Entry.objects.count(), 1)

    def test_commit_of_the_store_ends_what_storm_began(self) -> None:
        store = get_store()
        store.add(StormEntry("a"))
        store.commit()
        self.assertTrue(connection.get_autocommit())
        store.add(StormEntry("b"))
        store.rollback()
        store.add(StormEntry("c"))
        transaction.commit()
        self.assertEqual(sorted(e.name for e in Entry.objects.all()), ["a", "c"])

    def test_autocommit_can_be_switched_off_by_hand(self) -> None:
        django_transaction.set_autocommit(False)
        try:
            Entry.objects.create(name="a")
            get_store().add(StormEntry("b"))
            django_transaction.commit()
            get_store().add(StormEntry("c"))
            Entry.objects.create(name="d")
            django_transaction.rollback()
            Entry.objects.create(name="e")
            django_transaction.commit()
        finally:
            django_transaction.set_autocommit(True)
        self.assertEqual(sorted(e.name for e in Entry.objects.all()), ["a", "b", "e"])

    def test_an_error_in_a_block_leaves_the_connection_usable(self) -> None:
        Unique.objects.create(value=1)
        for _ in range(2):
            with self.assertRaises(IntegrityError), django_transaction.atomic():
                Unique.objects.create(value=1)
        Unique.objects.create(value=2)
        self.assertEqual(Unique.objects.count(), 2)

    def test_storm_on_the_event_loop_is_refused(self) -> None:
        store = get_store()

        async def work() -> None:
            store.add(StormEntry("a"))

        with self.assertRaises(SynchronousOnlyOperation):
            asyncio.run(work())

    def test_a_connection_that_is_closed_with_storms_work_open_starts_afresh(self) -> None:
        get_store().add(StormEntry("a"))
        get_store().flush()
        connection.close()
        self.assertTrue(connection.get_autocommit())
        self.assertEqual(Entry.objects.count(), 0)

    def test_a_block_whose_connection_is_closed_leaves_the_thread_idle(self) -> None:
        with self.assertRaises(Exception), django_transaction.atomic():  # noqa: B017
            Entry.objects.create(name="a")
            connection.close()
            Entry.objects.create(name="b")
        self.assertFalse(transaction.manager.explicit)
        Entry.objects.create(name="c")
        get_store().add(StormEntry("d"))
        transaction.commit()
        self.assertEqual(sorted(e.name for e in Entry.objects.all()), ["c", "d"])

    def test_a_copy_of_the_wrapper_is_a_connection_of_its_own(self) -> None:
        copy = connection.copy()
        try:
            with django_transaction.atomic():
                connection.ensure_connection()
                copy.ensure_connection()
                self.assertIsNot(copy.connection, connection.connection)
                self.assertFalse(copy.in_atomic_block)
        finally:
            copy.close()


class IsolationTest(TestCase):
    """Both ORMs are back to the start after each test."""

    def check(self) -> None:
        self.assertEqual(Entry.objects.count(), 0)
        self.assertEqual(get_store().find(StormEntry).count(), 0)
        Entry.objects.create(name="a")
        get_store().add(StormEntry("b"))

    def test_one(self) -> None:
        self.check()

    def test_two(self) -> None:
        self.check()

    def test_a_commit_is_refused(self) -> None:
        get_store().add(StormEntry("b"))
        with self.assertRaisesMessage(django_transaction.TransactionManagementError, "atomic()"):
            transaction.commit()
