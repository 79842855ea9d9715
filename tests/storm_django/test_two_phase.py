"""Stores that commit in two phases."""

from __future__ import annotations

from typing import Any
from unittest import mock

from django.contrib.auth.models import Permission
from django.db import IntegrityError, connection, connections
from storm.zope.zstorm import global_zstorm

from storm_django import get_store
from storm_django.checks import check_prepared_transactions
from storm_django.conf import StoreSettings
from tests.storm_django.models import Entry, StormEntry
from tests.storm_django.two_phase import ALIASES, PLAIN, TABLE, TwoPhaseCase, prepared
from tests.txmiddleware.resource import Resource
from txmiddleware import commit_on_success
from txmiddleware.exceptions import TransactionManagementError


class Voter(Resource):
    """A resource that looks at what is prepared, and may refuse."""

    def __init__(self, server: Any, refuses: bool) -> None:
        self.server = server
        self.refuses = refuses
        self.found: list[str] = []

    def tpc_vote(self, txn: Any) -> None:
        self.found = prepared(self.server)
        if self.refuses:
            raise ZeroDivisionError

    def sortKey(self) -> str:
        return "voter"


class TwoPhaseTest(TwoPhaseCase):
    def test_all_are_prepared_before_anybody_votes_and_then_committed(self) -> None:
        voter = Voter(self.server, refuses=False)
        self.work(voter)
        self.assertEqual(voter.found, ["first", "second"])
        self.assertEqual(self.names(), self.written("a"))
        self.assert_at_rest()

    def test_zstorm_may_ask_for_it(self) -> None:
        for alias in ALIASES:
            global_zstorm.set_default_tpc(alias, True)
            self.addCleanup(global_zstorm._default_tpcs.pop, alias)
            with (
                self.subTest(alias),
                mock.patch.object(connections[alias], "store_settings", StoreSettings(alias, "")),
            ):
                voter = Voter(self.server, refuses=False)
                self.work(voter, alias)
                self.assertEqual(voter.found, ["first", "second"])
                self.assert_at_rest()
        self.assertEqual(self.names(), self.written(*ALIASES))

    def test_a_refusal_takes_all_back(self) -> None:
        voter = Voter(self.server, refuses=True)
        with self.assertRaises(ZeroDivisionError):
            self.work(voter)
        self.assertEqual(voter.found, ["first", "second"])
        self.assertEqual(self.names(), self.written())
        self.assert_at_rest()
        self.work(Voter(self.server, refuses=False), "b")
        self.assertEqual(self.names(), self.written("b"))

    def test_what_cant_be_prepared_takes_all_back(self) -> None:
        for clashing in ALIASES:
            with (
                self.subTest(clashing),
                self.assertRaisesRegex(Exception, "duplicate key"),
                commit_on_success(),
            ):
                self.work(Voter(self.server, refuses=False))
                Entry.objects.using(clashing).create(name="b")
                with connections[clashing].cursor() as cursor:
                    cursor.execute(f"UPDATE {TABLE} SET late = 1")
            self.assertEqual(self.names(), self.written())
            self.assert_at_rest()

    def test_a_database_that_commits_in_one_phase_decides(self) -> None:
        with self.settings(STORM_STRICT_COMMIT=True), commit_on_success():
            self.work(Voter(self.server, refuses=False))
            Entry.objects.create(name="one phase")
        self.assertEqual(self.names(), self.written("a"))
        self.assertEqual(Entry.objects.count(), 1)
        self.forget()

        voter = Voter(self.server, refuses=False)
        with self.assertRaises(IntegrityError), commit_on_success():
            self.work(voter)
            Entry.objects.create(name="one phase")
            Permission.objects.create(content_type_id=987654, codename="none", name="none")
        if connection.features.can_defer_constraint_checks:
            self.assertEqual(voter.found, ["first", "second"])
        self.assertEqual(self.names(), self.written())
        self.assertEqual(Entry.objects.count(), 0)
        self.assert_at_rest()

    def test_a_store_without_an_alias_can_take_no_part(self) -> None:
        for two_phase in (True, False):
            with (
                self.subTest(two_phase=two_phase),
                mock.patch.object(get_store(PLAIN), "_tpc", two_phase),
                self.assertRaisesMessage(TransactionManagementError, "without an alias"),
                commit_on_success(),
            ):
                get_store(PLAIN).execute("SELECT 1")
                self.work(Resource())
            self.assertEqual(self.names(), self.written())
            self.assert_at_rest()

    def test_the_stores_own_methods_are_refused_before_they_do_anything(self) -> None:
        for method in ("commit", "rollback"):
            with (
                self.subTest(method),
                self.assertRaisesMessage(TransactionManagementError, f"Store.{method}() was"),
                commit_on_success(),
            ):
                self.work(Resource())
                getattr(get_store("first"), method)()
            self.assertEqual(self.names(), self.written())
            self.assert_at_rest()
        self.work(Resource())
        self.assertEqual(self.names(), self.written("a"))

    def test_the_stores_own_methods_end_it_outside_of_scopes(self) -> None:
        get_store("first").add(StormEntry("a"))
        get_store("first").flush()
        get_store("first").rollback()
        get_store("first").add(StormEntry("b"))
        get_store("first").commit()
        self.assertEqual(self.names(), {"first": ["b"], "second": []})
        self.assert_at_rest()

    def test_a_server_that_cant_prepare_is_named_by_a_check(self) -> None:
        self.assertEqual(check_prepared_transactions(ALIASES), [])
        with (
            mock.patch.object(
                connection, "store_settings", StoreSettings("main", "postgres:", two_phase=True)
            ),
            connection.cursor() as cursor,
        ):
            if connection.vendor != "postgresql":
                self.skipTest("the other server can't even be asked")
            cursor.execute("SHOW max_prepared_transactions")
            if cursor.fetchone() != ("0",):
                self.skipTest("this server can")
            messages = check_prepared_transactions(["default"])
        self.assertEqual([message.id for message in messages], ["storm_django.E023"])
