"""The page of a session, and what people do there."""

from django.contrib.auth import get_user_model
from django.urls import reverse

from example_site.sprints.models import Attendance, Comment
from tests.example_site.summit import (
    BUILDS,
    FONT,
    PHONES,
    RISCV,
    SummitTestCase,
    attends,
    get_session,
    get_slot,
)


class SessionPageTests(SummitTestCase):
    def test_it_shows_the_description_the_place_the_people_and_the_comments(self) -> None:
        page = self.get_page(BUILDS)
        for text in (
            f"About {BUILDS}.",
            "Estuary",
            get_slot(0, "10:30").times,
            "Proposed by Aino Lehtinen",
            "Chidi Okafor",
            "Please come.",
        ):
            self.assertContains(page, text)

    def test_markup_in_what_people_write_is_text(self) -> None:
        self.sign_in("dora")
        self.post("comment", BUILDS, text="<script>alert(1)</script>")
        self.assertContains(self.get_page(BUILDS), "&lt;script&gt;alert(1)&lt;/script&gt;")

    def test_the_proposer_may_have_gone(self) -> None:
        get_user_model().objects.get(username="aino").delete()
        self.assertContains(self.get_page(BUILDS), "Proposed by a former member")

    def test_a_session_that_is_not_there_is_not_found(self) -> None:
        self.assertEqual(self.client.get(reverse("session", args=[999_999_999])).status_code, 404)

    def test_a_number_too_long_for_the_database_is_not_found(self) -> None:
        self.assertEqual(self.client.get("/sessions/99999999999999999999/").status_code, 404)

    def test_a_visitor_is_asked_to_sign_in_and_comes_back(self) -> None:
        session = reverse("session", args=[get_session(BUILDS).id])
        self.assertContains(
            self.get_page(BUILDS), f'href="{reverse("openid-login")}?next={session}"'
        )


class JoinTests(SummitTestCase):
    def test_a_person_joins(self) -> None:
        self.sign_in("dora")
        response = self.post("join", BUILDS)
        self.assertRedirects(response, reverse("session", args=[get_session(BUILDS).id]))
        self.assertTrue(attends("dora", BUILDS))

    def test_joining_twice_is_joining_once(self) -> None:
        self.sign_in("dora")
        for _ in range(2):
            self.assertEqual(self.post("join", BUILDS).status_code, 302)
        self.assertEqual(Attendance.objects.filter(user__username="dora").count(), 1)

    def test_a_person_who_is_elsewhere_then_is_refused(self) -> None:
        self.sign_in("dora")
        self.post("join", BUILDS)
        response = self.post("join", RISCV)
        self.assertContains(response, f"You are at “{BUILDS}” at that time", status_code=409)
        self.assertTrue(attends("dora", BUILDS))
        self.assertFalse(attends("dora", RISCV))

    def test_sessions_without_a_place_clash_with_nothing(self) -> None:
        self.sign_in("dora")
        for title in (PHONES, FONT, BUILDS):
            self.post("join", title)
            self.assertTrue(attends("dora", title))

    def test_a_person_leaves(self) -> None:
        self.sign_in("chidi")
        self.assertTrue(attends("chidi", BUILDS))
        self.post("leave", BUILDS)
        self.assertFalse(attends("chidi", BUILDS))

    def test_whoever_proposed_it_does_not_leave(self) -> None:
        self.sign_in("aino")
        response = self.post("leave", BUILDS)
        self.assertContains(response, "cannot go ahead without you", status_code=409)
        self.assertTrue(attends("aino", BUILDS))


class CommentTests(SummitTestCase):
    def test_a_comment_is_shown_with_its_author(self) -> None:
        self.sign_in("dora")
        self.post("comment", BUILDS, text="I bring cake.")
        self.assertContains(self.get_page(BUILDS), "I bring cake.")
        self.assertEqual(Comment.objects.get(text="I bring cake.").user.username, "dora")

    def test_an_empty_comment_is_not_kept(self) -> None:
        self.sign_in("dora")
        response = self.post("comment", BUILDS, text=" ")
        self.assertContains(response, "This field is required", status_code=422)
        self.assertFalse(Comment.objects.filter(user__username="dora").exists())


class StrangerTests(SummitTestCase):
    """Nobody is signed in."""

    def test_each_change_leads_to_signing_in_and_then_to_the_session(self) -> None:
        session = reverse("session", args=[get_session(BUILDS).id])
        for name in ("join", "leave", "comment", "move"):
            with self.subTest(name):
                response = self.post(name, BUILDS, text="Hello")
                self.assertRedirects(response, f"{reverse('openid-login')}?next={session}")

    def test_a_get_changes_nothing(self) -> None:
        self.sign_in("dora")
        for name in ("join", "leave", "comment", "move"):
            with self.subTest(name):
                response = self.client.get(reverse(name, args=[get_session(BUILDS).id]))
                self.assertEqual(response.status_code, 405)
