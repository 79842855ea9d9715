"""The schedule, and the visitor's own."""

from django.contrib.auth import get_user_model
from django.db import connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from example_site.sprints import scheduling
from example_site.sprints.programme import Session
from example_site.sprints.timetable import load_sessions, make_columns, make_days
from storm_django import get_store
from tests.example_site.summit import BUILDS, PHONES, RISCV, SummitTestCase, get_room, get_session


class ScheduleTests(SummitTestCase):
    def test_anybody_sees_every_session(self) -> None:
        page = self.client.get(reverse("schedule"))
        for session in get_store().find(Session):
            self.assertContains(page, session.title)

    def test_a_session_is_in_the_cell_of_its_room_and_slot(self) -> None:
        days = make_days(make_columns(), load_sessions())
        placed = {
            cell.session.title: (cell.column.room.name, row.slot.starts.isoformat())
            for day in days
            for row in day.rows
            for cell in row.cells
            if cell.session
        }
        self.assertEqual(placed[BUILDS], ("Estuary", "2030-06-04T10:30:00"))
        self.assertNotIn(PHONES, placed)

    def test_a_session_without_a_place_is_listed_below_the_grid(self) -> None:
        page = self.client.get(reverse("schedule")).content.decode()
        self.assertIn(PHONES, page.split('id="unplaced"')[1])
        self.assertNotIn(BUILDS, page.split('id="unplaced"')[1])

    def test_a_break_is_in_it_without_cells(self) -> None:
        self.assertContains(self.client.get(reverse("schedule")), "Lunch in the boathouse", 2)

    def test_what_the_visitor_attends_is_marked(self) -> None:
        self.assertNotContains(self.client.get(reverse("schedule")), "You are going")
        self.sign_in("aino")
        self.assertContains(self.client.get(reverse("schedule")), "You are going")

    def test_its_statements_do_not_grow_with_the_sessions(self) -> None:
        get_store().invalidate()
        with CaptureQueriesContext(connection) as few:
            self.client.get(reverse("schedule"))
        for person in get_user_model().objects.all():
            scheduling.propose(person, f"Another of {person}", "", "")
        get_store().invalidate()
        with CaptureQueriesContext(connection) as many:
            self.client.get(reverse("schedule"))
        self.assertEqual(len(many), len(few))


class EmptyProgrammeTests(TestCase):
    def test_the_schedule_says_that_there_is_nothing_yet(self) -> None:
        self.assertContains(self.client.get(reverse("schedule")), "no rooms and times yet")


class MyScheduleTests(SummitTestCase):
    def test_it_has_what_the_visitor_attends_and_nothing_else(self) -> None:
        self.sign_in("chidi")
        page = self.client.get(reverse("my-schedule"))
        self.assertContains(page, BUILDS)
        self.assertContains(page, PHONES)
        self.assertNotContains(page, RISCV)

    def test_it_says_when_and_where(self) -> None:
        self.sign_in("aino")
        page = self.client.get(reverse("my-schedule"))
        self.assertContains(page, get_session(BUILDS).slot.times)
        self.assertContains(page, get_room("Estuary").name)
        self.assertContains(page, "Tuesday")

    def test_a_day_without_sessions_is_left_out(self) -> None:
        self.sign_in("chidi")
        self.assertNotContains(self.client.get(reverse("my-schedule")), "Wednesday")

    def test_without_sessions_it_leads_to_the_schedule(self) -> None:
        self.sign_in("dora")
        self.assertContains(self.client.get(reverse("my-schedule")), "Choose from the schedule")

    def test_one_signs_in_first(self) -> None:
        address = reverse("my-schedule")
        response = self.client.get(address)
        self.assertRedirects(response, f"{reverse('openid-login')}?next={address}")
