"""What the database itself refuses, whichever object mapper asks."""

from datetime import date

from django.db import IntegrityError as DjangoIntegrityError
from django.db import connection
from django.db.transaction import atomic
from django.test import SimpleTestCase, TestCase
from storm.exceptions import IntegrityError as StormIntegrityError

from example_site.sprints.halfway import count_rows
from example_site.sprints.models import Attendance
from example_site.sprints.programme import Room, Slot
from example_site.sprints.sample import load_sample, next_tuesday
from storm_django import get_store
from tests.example_site.summit import BUILDS, PHONES, RISCV, SummitTestCase, get_session


class ConstraintTests(SummitTestCase):
    def test_two_sessions_in_one_place(self) -> None:
        builds, phones = get_session(BUILDS), get_session(PHONES)
        with self.assertRaises(StormIntegrityError), atomic():
            phones.room_id, phones.slot_id = builds.room_id, builds.slot_id
            get_store().flush()

    def test_a_room_without_a_slot(self) -> None:
        # MariaDB calls a failed check an operational error.
        with self.assertRaises(Exception) as caught, atomic():
            get_session(BUILDS).slot_id = None
            get_store().flush()
        self.assertIn("CONSTRAINT", str(caught.exception).upper())

    def test_a_person_in_two_places_at_once(self) -> None:
        attendance = Attendance.objects.filter(session_id=get_session(BUILDS).id).first()
        with self.assertRaises(DjangoIntegrityError), atomic():
            Attendance.objects.create(
                user=attendance.user,
                session_id=get_session(RISCV).id,
                slot_id=attendance.slot_id,
            )

    def test_the_tables_are_in_the_database_that_django_uses(self) -> None:
        tables = connection.introspection.table_names()
        self.assertLessEqual({"sprint_room", "sprint_slot", "sprint_session"}, set(tables))


class SampleTests(TestCase):
    def test_it_is_loaded_once(self) -> None:
        self.assertTrue(load_sample(date(2030, 6, 4)))
        rows = count_rows()
        self.assertFalse(load_sample(date(2030, 6, 4)))
        self.assertEqual(count_rows(), rows)

    def test_it_has_two_days_from_the_first(self) -> None:
        load_sample(date(2030, 6, 4))
        days = {slot.starts.date() for slot in get_store().find(Slot)}
        self.assertEqual(days, {date(2030, 6, 4), date(2030, 6, 5)})

    def test_a_programme_that_has_rooms_is_left_alone(self) -> None:
        store = get_store()
        store.add(Room("Attic", 3))
        self.assertFalse(load_sample(date(2030, 6, 4)))
        self.assertEqual([room.name for room in store.find(Room)], ["Attic"])


class NextTuesdayTests(SimpleTestCase):
    def test_it_is_a_tuesday_one_to_seven_days_ahead(self) -> None:
        for day in range(1, 15):
            today = date(2030, 6, day)
            tuesday = next_tuesday(today)
            self.assertEqual(tuesday.weekday(), 1)
            self.assertIn((tuesday - today).days, range(1, 8))
