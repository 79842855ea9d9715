"""The programme in the admin: what Storm keeps, with the rules that hold on the pages."""

from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.urls import reverse

from example_site.sprints.apps import DRIVERS
from example_site.sprints.models import Attendance, Comment
from example_site.sprints.programme import Room, Session
from storm_django import get_store
from tests.example_site.summit import (
    BUILDS,
    IMAGES,
    PHONES,
    RISCV,
    SummitTestCase,
    attends,
    get_room,
    get_session,
    get_slot,
    place,
    place_of,
)


class ProgrammeTests(SummitTestCase):
    def setUp(self) -> None:
        self.user = self.sign_in("dora")
        self.user.is_staff = True
        self.user.save()

    def save(self, title: str, **values: object):
        """Send the form of a session."""
        session = get_session(title)
        before = {"title": title, "description": session.description}
        address = reverse("admin:sprints_session_change", args=[session.id])
        return self.client.post(address, before | values)

    def test_a_driver_adds_a_session_which_its_proposer_attends(self) -> None:
        fern = get_user_model().objects.get(username="fern")
        self.client.post(
            reverse("admin:sprints_session_add"),
            {"title": "Fewer forks", "description": "Or better ones.", "proposer_id": fern.pk},
        )
        self.assertEqual(get_session("Fewer forks").proposer, fern)
        self.assertTrue(attends("fern", "Fewer forks"))

    def test_whoever_attends_a_session_moves_along(self) -> None:
        response = self.save(BUILDS, **place("Tideline", 1, "16:20"))
        self.assertEqual(response.status_code, 302)
        self.assertEqual(place_of(BUILDS), ("Tideline", "Wed 16:20"))
        slots = get_session(BUILDS).attendance.values_list("slot", flat=True)
        self.assertEqual(set(slots), {get_slot(1, "16:20").id})

    def test_a_clash_is_explained_and_nothing_is_kept(self) -> None:
        taken = self.save(PHONES, **place("Mudflat", 0, "10:30"))
        self.assertContains(taken, f"Mudflat is taken on Tuesday at {get_slot(0, '10:30').times}")
        self.assertContains(taken, RISCV)
        double_booked = self.save(IMAGES, **place("Tideline", 0, "10:30"))
        self.assertContains(double_booked, f"Aino Lehtinen is at “{BUILDS}”")
        self.assertIsNone(place_of(PHONES))
        self.assertEqual(place_of(IMAGES), ("Mudflat", "Wed 10:30"))
        self.assertFalse(LogEntry.objects.exists())

    def test_a_room_without_a_time_is_not_a_place(self) -> None:
        response = self.save(PHONES, room=get_room("Mudflat").id, slot="")
        self.assertContains(response, "Choose both a time and a room")

    def test_a_break_takes_no_session(self) -> None:
        response = self.save(PHONES, **place("Mudflat", 0, "12:20"))
        self.assertContains(response, "Select a valid choice")

    def test_whoever_proposed_a_session_stays_its_proposer(self) -> None:
        self.save(PHONES, proposer_id=self.user.pk, room="", slot="")
        self.assertEqual(get_session(PHONES).proposer.username, "chidi")

    def test_with_a_session_go_its_attendance_and_its_comments(self) -> None:
        number = get_session(BUILDS).id
        address = reverse("admin:sprints_session_delete", args=[number])
        page = self.client.get(address)
        self.assertContains(page, "Comments: 1")
        self.assertContains(page, "Attendance: 2")
        self.client.post(address, {"post": "yes"})
        self.assertIsNone(get_session(BUILDS))
        for model in (Attendance, Comment):
            self.assertFalse(model.objects.filter(session_id=number).exists())

    def test_a_room_with_a_session_stays(self) -> None:
        address = reverse("admin:sprints_room_delete", args=[get_room("Estuary").id])
        self.assertContains(self.client.get(address), "would require deleting the following")
        self.client.post(address, {"post": "yes"})
        self.assertIsNotNone(get_room("Estuary"))

    def test_two_rooms_have_two_names(self) -> None:
        response = self.client.post(
            reverse("admin:sprints_room_add"), {"name": "Estuary", "seats": 3}
        )
        self.assertContains(response, "Room with this Name already exists")
        self.assertEqual(get_store().find(Room, name="Estuary").count(), 1)

    def test_a_slot_starts_when_the_clock_on_the_wall_says(self) -> None:
        slot = get_slot(0, "10:30")
        page = self.client.get(reverse("admin:sprints_slot_change", args=[slot.id]))
        self.assertContains(page, 'value="10:30:00"')

    def test_staff_without_the_permission_is_refused(self) -> None:
        Group.objects.get(name=DRIVERS).permissions.clear()
        number = get_session(PHONES).id
        for name, *args in [
            ["changelist"],
            ["add"],
            ["change", number],
            ["delete", number],
            ["history", number],
        ]:
            with self.subTest(name):
                address = reverse(f"admin:sprints_session_{name}", args=args)
                self.assertEqual(self.client.get(address).status_code, 403)
                self.assertEqual(self.client.post(address, {"post": "yes"}).status_code, 403)
        self.assertEqual(get_store().find(Session, title=PHONES).count(), 1)
