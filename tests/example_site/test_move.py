"""Moving sessions: who may, what clashes, and what is kept."""

from django.urls import reverse

from example_site.sprints.models import Attendance
from tests.example_site.summit import (
    BUILDS,
    IMAGES,
    PHONES,
    RISCV,
    SummitTestCase,
    get_session,
    get_slot,
    place_of,
)


def slots_of_attendance(title: str) -> set[int | None]:
    return set(
        Attendance.objects.filter(session_id=get_session(title).id).values_list(
            "slot_id", flat=True
        )
    )


class DriverTests(SummitTestCase):
    def setUp(self) -> None:
        self.sign_in("dora")

    def test_a_driver_moves_a_session_and_its_attendance_goes_along(self) -> None:
        response = self.move(BUILDS, "Saltmarsh", 1, "16:20")
        self.assertEqual(response.status_code, 302)
        self.assertEqual(place_of(BUILDS), ("Saltmarsh", "Wed 16:20"))
        self.assertEqual(slots_of_attendance(BUILDS), {get_slot(1, "16:20").id})

    def test_the_page_afterwards_says_where_it_is(self) -> None:
        self.move(PHONES, "Tideline", 0, "09:30")
        page = self.get_page(PHONES)
        self.assertContains(page, "is now in Tideline, Tuesday 09:30")

    def test_a_session_changes_rooms_within_its_slot(self) -> None:
        self.move(BUILDS, "Saltmarsh", 0, "10:30")
        self.assertEqual(place_of(BUILDS), ("Saltmarsh", "Tue 10:30"))

    def test_a_session_is_taken_off_the_schedule(self) -> None:
        self.post("move", BUILDS, room="", slot="")
        self.assertIsNone(place_of(BUILDS))
        self.assertEqual(slots_of_attendance(BUILDS), {None})

    def test_a_taken_room_is_refused_and_nothing_is_kept(self) -> None:
        times = get_slot(0, "10:30").times
        response = self.move(BUILDS, "Mudflat", 0, "10:30")
        self.assertContains(
            response, f"Mudflat is taken on Tuesday at {times}, by “{RISCV}”", status_code=409
        )
        self.assertContains(response, "Nothing was changed", status_code=409)
        self.assertEqual(place_of(BUILDS), ("Estuary", "Tue 10:30"))
        self.assertEqual(place_of(RISCV), ("Mudflat", "Tue 10:30"))

    def test_a_double_booked_attendee_is_refused_and_nothing_is_kept(self) -> None:
        response = self.move(IMAGES, "Saltmarsh", 0, "10:30")
        self.assertContains(response, f"Aino Lehtinen is at “{BUILDS}”", status_code=409)
        self.assertEqual(place_of(IMAGES), ("Mudflat", "Wed 10:30"))
        self.assertEqual(slots_of_attendance(IMAGES), {get_slot(1, "10:30").id})

    def test_after_a_refusal_the_form_keeps_what_was_chosen(self) -> None:
        response = self.move(BUILDS, "Mudflat", 0, "10:30")
        form = response.context["move_form"]
        self.assertEqual(form["slot"].value(), str(get_slot(0, "10:30").id))

    def test_after_a_refusal_the_page_shows_where_the_session_still_is(self) -> None:
        response = self.move(BUILDS, "Mudflat", 0, "10:30")
        self.assertContains(response, '<p class="place-room">Estuary', status_code=409)

    def test_a_room_without_a_time_is_not_a_place(self) -> None:
        response = self.post("move", BUILDS, room=get_session(BUILDS).room_id, slot="")
        self.assertContains(response, "Choose both a time and a room", status_code=422)
        self.assertEqual(place_of(BUILDS), ("Estuary", "Tue 10:30"))

    def test_a_break_takes_no_session(self) -> None:
        response = self.move(BUILDS, "Estuary", 0, "12:20")
        self.assertContains(response, "Select a valid choice", status_code=422)

    def test_a_room_that_is_not_there_is_no_choice(self) -> None:
        response = self.post("move", BUILDS, room="999", slot=get_slot(0, "09:30").id)
        self.assertContains(response, "Select a valid choice", status_code=422)


class OthersTests(SummitTestCase):
    def test_others_see_no_form(self) -> None:
        self.sign_in("aino")
        self.assertNotContains(self.get_page(BUILDS), "Move it")
        self.sign_in("dora")
        self.assertContains(self.get_page(BUILDS), "Move it")

    def test_others_are_refused_even_for_a_session_of_their_own(self) -> None:
        self.sign_in("aino")
        response = self.move(BUILDS, "Saltmarsh", 0, "10:30")
        self.assertContains(
            response, "Only members of the team summit-drivers may move sessions", status_code=403
        )
        self.assertEqual(place_of(BUILDS), ("Estuary", "Tue 10:30"))

    def test_who_left_the_group_is_refused_at_once(self) -> None:
        user = self.sign_in("dora")
        user.groups.clear()
        self.assertEqual(self.move(PHONES, "Saltmarsh", 0, "09:30").status_code, 403)
        self.assertEqual(self.client.get(reverse("schedule")).status_code, 200)
