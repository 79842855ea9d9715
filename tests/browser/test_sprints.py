"""The sprint scheduler as people use it: with JavaScript, and without."""

from django.contrib.auth import get_user_model
from django.urls import reverse

from example_site.sprints.apps import DRIVERS
from example_site.sprints.models import Attendance, Comment
from tests.browser.base import BrowserTestCase
from tests.example_site.summit import (
    BUILDS,
    PHONES,
    RISCV,
    count_rows,
    id_of_session,
    place,
    place_of,
)


class SprintsTests(BrowserTestCase):
    def fill_in_proposal(self) -> None:
        self.open("propose")
        self.write("title", "Fewer forks")
        self.write("description", "Or better ones.")
        self.write("comment", "Bring a spoon.")

    def choose_place(self, title: str, room: str, day: int, clock: str) -> None:
        self.open("session", id_of_session(title))
        for name, value in place(room, day, clock).items():
            self.choose(name, value)

    def test_a_member_of_the_team_is_in_the_group_after_signing_in(self) -> None:
        self.sign_in("ada")
        ada = get_user_model().objects.get(username="ada")
        self.assertEqual([group.name for group in ada.groups.all()], [DRIVERS])
        self.press(".visitor-name")
        for words in ("Ada Lovelace", "ada@example.org", DRIVERS, "/openid/id/ada/"):
            self.assertIn(words, self.text)

    def test_a_driver_moves_a_session(self) -> None:
        self.sign_in("ada")
        self.choose_place(PHONES, "Tideline", 1, "16:20")
        self.press_words("Move")
        self.assertIn("is now in Tideline, Wednesday 16:20", self.text)
        self.assertEqual(place_of(PHONES), ("Tideline", "Wed 16:20"))

    def test_a_clash_is_refused_and_nothing_is_moved(self) -> None:
        self.sign_in("ada")
        self.choose_place(PHONES, "Mudflat", 0, "10:30")
        self.press_words("Move")
        self.assertIn("Mudflat is taken on Tuesday", self.find("[role=alert]").text)
        self.assertIsNone(place_of(PHONES))

    def test_a_person_who_would_be_in_two_places_is_a_clash(self) -> None:
        self.sign_in("ada")
        self.choose_place(PHONES, "Tideline", 0, "10:30")
        self.press_words("Move")
        self.assertIn(f"Chidi Okafor is at “{BUILDS}”", self.find("[role=alert]").text)
        self.assertIsNone(place_of(PHONES))

    def test_others_have_no_form_to_move_a_session(self) -> None:
        self.sign_in("mei")
        self.open("session", id_of_session(BUILDS))
        self.assertIn("Join this session", self.text)
        self.assertNotIn("Move it", self.text)

    def test_a_proposal_is_kept_by_both_object_mappers(self) -> None:
        self.sign_in("ada")
        before = count_rows()
        self.fill_in_proposal()
        self.press_words("Propose")
        self.assertEqual(self.find("h1").text, "Fewer forks")
        self.assertIn("Bring a spoon.", self.text)
        self.assertEqual(count_rows(), {table: rows + 1 for table, rows in before.items()})

    def test_a_proposal_that_fails_halfway_leaves_no_row(self) -> None:
        self.sign_in("ada")
        before = count_rows()
        self.fill_in_proposal()
        self.press_words("Propose, then fail halfway")
        self.assertIn("Nothing was kept", self.text)
        self.assertEqual(count_rows(), before)

    def test_a_person_joins_comments_and_leaves(self) -> None:
        self.sign_in("yusuf")
        self.open("session", id_of_session(RISCV))
        self.press_words("Join this session")
        self.write("text", "I have a board, too.")
        self.press_words("Add comment")
        self.assertIn("I have a board, too.", self.text)
        self.assertTrue(Attendance.objects.filter(user__username="yusuf").exists())
        self.press_words("Leave this session")
        self.assertFalse(Attendance.objects.filter(user__username="yusuf").exists())
        self.assertTrue(Comment.objects.filter(user__username="yusuf").exists())

    def test_signing_out_ends_it(self) -> None:
        self.sign_in("ada")
        self.press_words("Sign out")
        self.assertEqual(self.find(".visitor").text, "Sign in")
        self.open("account")
        self.assertIn(reverse("openid-login"), self.browser.current_url)

    def test_signing_in_leads_back_to_the_session(self) -> None:
        session = id_of_session(BUILDS)
        self.open("session", session)
        self.press(".visitor a.button")
        self.pass_provider("nora")
        self.assertEqual(
            self.browser.current_url, self.live_server_url + reverse("session", args=[session])
        )

    def test_a_driver_sees_the_admin(self) -> None:
        self.sign_in("ada")
        self.open("admin:sprints_comment_changelist")
        self.assertIn(BUILDS, self.find("#result_list").text)

    def test_nothing_is_wider_than_a_phone(self) -> None:
        self.sign_in("ada")
        self.use_phone()
        session = id_of_session(BUILDS)
        for name, *args in [["schedule"], ["session", session], ["propose"], ["account"]]:
            with self.subTest(name):
                self.open(name, *args)
                self.assert_fits_phone()

    def test_the_script_warns_of_a_taken_room_before_one_asks(self) -> None:
        self.sign_in("ada")
        self.choose_place(PHONES, "Mudflat", 0, "10:30")
        hint = f"Taken by “{RISCV}”." if self.javascript else ""
        self.assertEqual(self.find("#move-hint").text, hint)


class SprintsWithoutJavaScriptTests(SprintsTests):
    javascript = False
