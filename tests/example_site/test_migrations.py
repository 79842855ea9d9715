"""The migrations of the scheduler, over the tables that the version before has made."""

from collections.abc import Iterable

from django.core.management import call_command
from django.db import IntegrityError, connection
from django.db.transaction import atomic
from django.test import SimpleTestCase, TransactionTestCase

from example_site.sprints.models import Attendance, Comment
from example_site.sprints.programme import Session
from storm_django import get_store
from tests.example_site.summit import BUILDS, get_session, load_summit, remove_programme


class ReferencesTests(TransactionTestCase):
    """0002: from numbers to references."""

    def migrate(self, name: str) -> None:
        call_command("migrate", "sprints", name, verbosity=0)

    def rows(self) -> list[list[tuple[object, ...]]]:
        """What the tables have, whether their numbers are references or not."""
        return [
            self.execute("SELECT id, user_id, session_id, slot_id FROM sprints_attendance"),
            self.execute("SELECT id, user_id, session_id, text FROM sprints_comment"),
        ]

    def execute(self, sql: str) -> list[tuple[object, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return sorted(cursor.fetchall()) if cursor.description else []

    def keys(self, table: str) -> Iterable[tuple[str, ...]]:
        """What the foreign keys of a table refer to."""
        with connection.cursor() as cursor:
            found = connection.introspection.get_constraints(cursor, table).values()
        return {each["foreign_key"] for each in found if each["foreign_key"]}

    def test_they_keep_the_rows_and_bring_the_constraints(self) -> None:
        load_summit()
        self.addCleanup(remove_programme)
        self.addCleanup(self.migrate, "0003")
        before = self.rows()
        self.migrate("0001")
        self.assertEqual(self.rows(), before)
        self.assertEqual(self.keys("sprints_comment"), {("auth_user", "id")})
        self.migrate("0003")
        self.assertEqual(self.rows(), before)
        self.assertEqual(
            self.keys("sprints_attendance"),
            {("auth_user", "id"), ("sprint_session", "id"), ("sprint_slot", "id")},
        )
        self.assertEqual(
            self.keys("sprints_comment"), {("auth_user", "id"), ("sprint_session", "id")}
        )

    def test_the_numbers_of_an_empty_database_become_references_too(self) -> None:
        """There `migrate` comes before Storm's tables, as in `manage.py demo`."""
        self.addCleanup(self.migrate, "0003")
        self.migrate("0001")
        self.execute("ALTER TABLE sprint_session RENAME TO sprint_away")
        try:
            self.migrate("0002")
        finally:
            self.execute("ALTER TABLE sprint_away RENAME TO sprint_session")
        self.migrate("0003")
        for table in ("sprints_attendance", "sprints_comment"):
            self.assertIn(("sprint_session", "id"), self.keys(table))

    def test_a_session_takes_along_what_refers_to_it(self) -> None:
        load_summit()
        self.addCleanup(remove_programme)
        with atomic():
            number = get_session(BUILDS).id
            get_store().find(Session, id=number).remove()
            for model in (Attendance, Comment):
                self.assertFalse(model.objects.filter(session_id=number).exists())
        with self.assertRaises(IntegrityError), atomic():
            Comment.objects.create(user_id=1, session_id=number, text="Where is it?")


class StateTests(SimpleTestCase):
    databases = {"default"}

    def test_none_is_missing(self) -> None:
        call_command("makemigrations", "sprints", check=True, dry_run=True, verbosity=0)
