"""Other people's resources beside a store: a zope.sqlalchemy session and repoze.sendmail."""

from __future__ import annotations

import importlib.util
import tempfile
import unittest
from email.message import Message
from pathlib import Path
from typing import Any
from unittest import mock

import transaction
from django.contrib.auth.models import Permission
from django.db import IntegrityError, connection
from django.db.transaction import atomic
from django.http import HttpRequest
from django.test import TransactionTestCase, override_settings

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from tests.txmiddleware.resource import expect_failures
from tests.txmiddleware.urls import views
from txmiddleware import commit_on_success, on_commit
from txmiddleware.exceptions import TransactionDoomed


def missing(*modules: str) -> str:
    """What is not installed of ``modules``."""
    return ", ".join(name for name in modules if importlib.util.find_spec(name) is None)


NO_SESSION = missing("sqlalchemy") or missing("zope.sqlalchemy")
NO_MAIL = missing("repoze") or missing("repoze.sendmail")


class Oops(Exception):
    """An error of the application."""


def write(name: str) -> None:
    """One row through each ORM."""
    Entry.objects.create(name=f"{name} (django)")
    get_store().add(StormEntry(f"{name} (storm)"))


def clash_at_commit() -> None:
    """What the database refuses, at the latest when it commits."""
    # PostgreSQL and SQLite look at foreign keys then, MariaDB at once.
    Permission.objects.create(content_type_id=987654, codename="nothing", name="nothing")


@override_settings(
    ROOT_URLCONF="tests.txmiddleware.urls",
    MIDDLEWARE=["txmiddleware.middleware.TransactionMiddleware"],
)
class ResourceCase(TransactionTestCase):
    def setUp(self) -> None:
        expect_failures(self)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def post(self, view: Any) -> int:
        self.client.raise_request_exception = False
        with mock.patch.dict(views, view=view):
            return int(self.client.post("/sync/view/").status_code)

    def names(self) -> list[str]:
        """What a stranger finds in the store's database."""
        outside = connection.copy()
        try:
            with outside.cursor() as cursor:
                cursor.execute(f"SELECT name FROM {Entry._meta.db_table} ORDER BY name")
                return [name for (name,) in cursor.fetchall()]
        finally:
            outside.close()


@unittest.skipIf(NO_SESSION, f"{NO_SESSION} is not installed")
class SessionTest(ResourceCase):
    """A session of SQLAlchemy on a database of its own."""

    def setUp(self) -> None:
        super().setUp()
        import sqlalchemy
        import sqlalchemy.orm
        import zope.sqlalchemy

        class Base(sqlalchemy.orm.DeclarativeBase):
            pass

        class Row(Base):
            __tablename__ = "row"
            id = sqlalchemy.Column(sqlalchemy.Integer, primary_key=True)
            name = sqlalchemy.Column(sqlalchemy.String, nullable=False)

        self.engine = sqlalchemy.create_engine(f"sqlite:///{self.folder / 'alchemy.sqlite3'}")
        self.addCleanup(self.engine.dispose)
        Base.metadata.create_all(self.engine)
        self.session = sqlalchemy.orm.scoped_session(sqlalchemy.orm.sessionmaker(self.engine))
        self.addCleanup(self.session.remove)
        self.addCleanup(transaction.abort)
        zope.sqlalchemy.register(self.session)
        self.Row = Row
        self.select = sqlalchemy.text("SELECT name FROM row ORDER BY name")

    def write(self, name: str) -> None:
        """One row through each of three object mappers."""
        write(name)
        self.session.add(self.Row(name=f"{name} (alchemy)"))

    def all_names(self) -> list[str]:
        """What is in both databases."""
        with self.engine.connect() as plain:
            return [*(name for (name,) in plain.execute(self.select)), *self.names()]

    def three(self, name: str) -> list[str]:
        return [f"{name} ({mapper})" for mapper in ("alchemy", "django", "storm")]

    def test_a_request_commits_all_three(self) -> None:
        self.assertEqual(self.post(lambda request: self.write("a")), 200)
        self.assertEqual(self.all_names(), self.three("a"))

    def test_a_request_that_fails_aborts_all_three(self) -> None:
        def view(request: HttpRequest) -> None:
            self.write("a")
            self.session.flush()
            raise Oops

        self.assertEqual(self.post(view), 500)
        self.assertEqual(self.all_names(), [])
        self.assertEqual(self.post(lambda request: self.write("b")), 200)
        self.assertEqual(self.all_names(), self.three("b"))

    def test_a_scope_with_nothing_but_the_session_commits_it(self) -> None:
        with commit_on_success():
            self.session.add(self.Row(name="alone"))
        self.assertEqual(self.all_names(), ["alone"])

    def test_a_session_that_cant_flush_aborts_the_store(self) -> None:
        def view(request: HttpRequest) -> None:
            self.write("a")
            self.session.add(self.Row(name=None))

        self.assertEqual(self.post(view), 500)
        self.assertEqual(self.all_names(), [])

    def test_a_store_that_cant_flush_aborts_the_session(self) -> None:
        Entry.objects.create(id=1, name="here")

        def view(request: HttpRequest) -> None:
            self.session.add(self.Row(name="a"))
            clash = StormEntry("clash")
            clash.id = 1
            get_store().add(clash)

        self.assertEqual(self.post(view), 500)
        self.assertEqual(self.all_names(), ["here"])

    def test_without_savepoints_of_the_session_a_failed_inner_scope_dooms(self) -> None:
        with self.assertRaises(TransactionDoomed), commit_on_success():
            self.write("a")
            self.session.flush()  # it says that it has none once it is connected
            with (
                self.assertLogs("txmiddleware", "ERROR"),
                self.assertRaises(Oops),
                commit_on_success(savepoint=True),
            ):
                self.write("b")
                raise Oops
        self.assertEqual(self.all_names(), [])

    def test_a_session_that_joined_in_an_inner_scope_is_undone_with_it(self) -> None:
        with commit_on_success():
            write("a")
            with self.assertRaises(Oops), commit_on_success(savepoint=True):
                self.write("b")
                self.session.flush()
                raise Oops
            self.session.add(self.Row(name="c"))
        self.assertEqual(self.all_names(), ["c", "a (django)", "a (storm)"])

    def test_callbacks_run_once_the_session_has_committed_too(self) -> None:
        found: list[list[str]] = []
        with commit_on_success():
            on_commit(lambda: found.append(self.all_names()))
            self.write("a")
        self.assertEqual(found, [self.three("a")])


@unittest.skipIf(NO_MAIL, f"{NO_MAIL} is not installed")
class MailTest(ResourceCase):
    """Mail is sent once everything has been committed, or not at all."""

    def setUp(self) -> None:
        super().setUp()
        from repoze.sendmail.delivery import DirectMailDelivery, QueuedMailDelivery

        self.sent: list[list[str]] = []  # for each mail, what had been committed then
        self.delivery = DirectMailDelivery(self)
        self.queue = QueuedMailDelivery(str(self.folder / "queue"))

    def send(self, sender: str, recipients: list[str], message: Message) -> None:
        """Be the mailer."""
        self.sent.append(self.names())

    def mail(self, delivery: Any = None) -> None:
        message = Message()
        message["Subject"] = "Accepted"
        (delivery or self.delivery).send("from@example.com", ["to@example.com"], message)

    def queued(self) -> list[str]:
        """The mails in the queue, and what is left of those that were given up."""
        return [path.name for path in (self.folder / "queue").rglob("*") if path.is_file()]

    def test_mail_is_sent_after_the_databases_have_committed(self) -> None:
        def view(request: HttpRequest) -> None:
            self.mail()
            write("a")
            self.assertEqual(self.sent, [])

        self.assertEqual(self.post(view), 200)
        self.assertEqual(self.sent, [["a (django)", "a (storm)"]])

    def test_a_request_that_fails_sends_nothing(self) -> None:
        def view(request: HttpRequest) -> None:
            self.mail()
            self.mail(self.queue)
            write("a")
            raise Oops

        self.assertEqual(self.post(view), 500)
        self.assertEqual((self.sent, self.queued(), self.names()), ([], [], []))

    def test_a_database_that_cant_commit_stops_the_mail(self) -> None:
        def view(request: HttpRequest) -> None:
            self.mail()
            write("a")
            clash_at_commit()

        self.assertEqual(self.post(view), 500)
        self.assertEqual((self.sent, self.names()), ([], []))
        with self.assertRaises(IntegrityError), commit_on_success():
            view(HttpRequest())
        self.assertEqual((self.sent, self.names()), ([], []))

    def test_a_queue_gets_the_mail_of_a_commit(self) -> None:
        def view(request: HttpRequest) -> None:
            self.mail(self.queue)
            write("a")

        self.assertEqual(self.post(view), 200)
        self.assertEqual(len(self.queued()), 1)

    def test_an_atomic_block_on_the_store_sends_the_mail_too(self) -> None:
        with atomic():
            write("a")
            self.mail()
        self.assertEqual(self.sent, [["a (django)", "a (storm)"]])
        with self.assertRaises(Oops), atomic():
            self.mail()
            raise Oops
        self.assertEqual(len(self.sent), 1)
