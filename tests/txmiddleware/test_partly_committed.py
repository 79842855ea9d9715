"""No other attempt once a part of the work is committed: it would be done twice."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import skipIf

import transaction
from django.db import connection
from django.test import TransactionTestCase, override_settings
from transaction.interfaces import TransientError

from tests.storm_django.models import Entry, Item
from tests.txmiddleware.resource import Resource, expect_failures
from tests.txmiddleware.test_middleware import TRANSACTIONS, RequestMixin

NO_SESSION = any(importlib.util.find_spec(name) is None for name in ("sqlalchemy", "zope"))


class Part(Resource):
    """One that has its turn where ``key`` puts it, and fails in one of the phases, or in none."""

    def __init__(
        self,
        key: str,
        fails_in: str = "",
        failure: Exception = TransientError(),  # noqa: B008
    ) -> None:
        self.key = key
        if fails_in:
            setattr(self, fails_in, self.fail)
        self.failure = failure

    def sortKey(self) -> str:
        return self.key

    def fail(self, txn: Any) -> None:
        raise self.failure


UNANSWERED = Exception("server closed the connection unexpectedly")  # as a driver says it


@override_settings(ROOT_URLCONF="tests.txmiddleware.urls", MIDDLEWARE=[TRANSACTIONS])
class PartlyCommittedTest(RequestMixin, TransactionTestCase):
    def setUp(self) -> None:
        expect_failures(self)

    def attempts(self, work: Callable[[], object], *parts: Part) -> int:
        """How often a request is handled that does this, if it fails the first time."""
        seen = []

        def view(request: Any) -> None:
            seen.append(request.tx_attempt)
            work()
            if request.tx_attempt == 1:
                for part in parts:
                    transaction.get().join(part)

        self.request(view)
        return len(seen)

    def write(self) -> None:
        Entry.objects.create(name="django")

    def test_a_database_has_committed(self) -> None:
        self.assertEqual(self.attempts(self.write, Part("~zzz", "tpc_vote")), 1)
        self.assertEqual(Entry.objects.count(), 1)

    @override_settings(MIDDLEWARE=[TRANSACTIONS, TRANSACTIONS])
    def test_a_database_has_committed_that_joined_in_an_inner_scope(self) -> None:
        self.test_a_database_has_committed()

    def test_none_has_committed_yet(self) -> None:
        self.assertEqual(self.attempts(self.write, Part("~a", "tpc_vote"), Part("~b")), 2)
        self.assertEqual(Entry.objects.count(), 1)

    def test_another_that_commits_in_its_vote_has_committed(self) -> None:
        self.assertEqual(self.attempts(self.write, Part("~a"), Part("~b", "tpc_vote")), 1)
        self.assertEqual(Entry.objects.count(), 0)

    def test_one_that_can_take_its_vote_back_has_voted(self) -> None:
        self.assertEqual(self.attempts(self.write, Part("a"), Part("b", "tpc_vote")), 2)

    def test_another_has_finished(self) -> None:
        parts = Part("a"), Part("b", "tpc_finish")
        self.assertEqual(self.attempts(lambda: None, *parts), 1)

    def test_the_only_one_could_not_finish(self) -> None:
        self.assertEqual(self.attempts(lambda: None, Part("a", "tpc_finish")), 2)

    def test_another_had_no_answer_to_its_commit(self) -> None:
        for key, attempts in (("~a", 1), ("a", 2)):
            with self.subTest(key):
                part = Part(key, "tpc_vote", UNANSWERED)
                self.assertEqual(self.attempts(self.write, part), attempts)

    @skipIf(NO_SESSION, "zope.sqlalchemy is not installed")
    def test_a_session_has_committed_and_a_database_can_not(self) -> None:
        if connection.vendor != "postgresql":
            self.skipTest("only PostgreSQL has a failure at COMMIT that is tried again")
        self.begin_sessions()
        wrote = self.attempts(lambda: (self.in_session("INSERT"), self.refuse_commit()))
        self.assertEqual((wrote, self.rows()), (1, 1))
        read = self.attempts(lambda: (self.in_session("SELECT"), self.refuse_commit()))
        self.assertEqual((read, self.rows()), (3, 1))

    def refuse_commit(self) -> None:
        """Have the database find at COMMIT that a row is not there, which it might be next time."""
        Item.objects.create(box_id=-1, name="in no box")

    def begin_sessions(self) -> None:
        import sqlalchemy

        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.engine = sqlalchemy.create_engine(f"sqlite:///{Path(folder.name, 'a.sqlite3')}")
        self.addCleanup(self.engine.dispose)
        with self.engine.begin() as plain:
            plain.execute(sqlalchemy.text("CREATE TABLE row (name varchar(40))"))

    def in_session(self, verb: str) -> None:
        import sqlalchemy.orm
        import zope.sqlalchemy

        session = sqlalchemy.orm.Session(self.engine)
        zope.sqlalchemy.register(session)
        if verb == "SELECT":
            session.execute(sqlalchemy.text("SELECT name FROM row"))
        else:
            session.execute(sqlalchemy.text("INSERT INTO row (name) VALUES ('a')"))
            zope.sqlalchemy.mark_changed(session)

    def rows(self) -> int:
        import sqlalchemy

        with self.engine.begin() as plain:
            return len(plain.execute(sqlalchemy.text("SELECT name FROM row")).all())
