"""Proposing a session: both object mappers write, or neither."""

from django.test import TestCase, override_settings
from django.urls import reverse

from example_site.sprints.halfway import HalfwayFailure, count_rows
from example_site.sprints.models import Attendance, Comment
from tests.example_site.summit import SummitTestCase, get_session

PROPOSAL = {"title": "Fewer forks", "description": "Or better ones.", "comment": "Bring a spoon."}


class ProposeTests(SummitTestCase):
    def setUp(self) -> None:
        self.user = self.sign_in("fern")

    def test_a_proposal_is_a_session_an_attendance_and_a_comment(self) -> None:
        before = count_rows()
        response = self.client.post(reverse("propose"), PROPOSAL)
        session = get_session("Fewer forks")
        self.assertRedirects(response, reverse("session", args=[session.id]))
        self.assertEqual(session.proposer_id, self.user.pk)
        self.assertTrue(Attendance.objects.filter(user=self.user, session_id=session.id).exists())
        self.assertEqual(Comment.objects.get(session_id=session.id).text, "Bring a spoon.")
        self.assertEqual(count_rows(), {table: rows + 1 for table, rows in before.items()})

    def test_it_has_no_place_yet(self) -> None:
        response = self.client.post(reverse("propose"), PROPOSAL, follow=True)
        self.assertContains(response, "No room and time yet")

    def test_with_a_missing_field_nothing_is_kept_and_the_rest_stays_filled_in(self) -> None:
        before = count_rows()
        response = self.client.post(reverse("propose"), PROPOSAL | {"comment": ""})
        self.assertContains(response, "This field is required", status_code=422)
        self.assertContains(response, "Or better ones.", status_code=422)
        self.assertEqual(count_rows(), before)

    def test_a_title_that_is_too_long_is_refused(self) -> None:
        response = self.client.post(reverse("propose"), PROPOSAL | {"title": "x" * 101})
        self.assertContains(response, "at most 100 characters", status_code=422)

    def test_one_signs_in_first(self) -> None:
        self.client.logout()
        response = self.client.post(reverse("propose"), PROPOSAL)
        self.assertRedirects(response, f"{reverse('openid-login')}?next={reverse('propose')}")
        self.assertIsNone(get_session("Fewer forks"))


@override_settings(SPRINTS_HALFWAY_BUTTON=True)
class HalfwayTests(SummitTestCase):
    def setUp(self) -> None:
        self.sign_in("fern")

    def test_a_proposal_that_fails_halfway_leaves_no_row(self) -> None:
        before = count_rows()
        response = self.client.post(reverse("propose"), PROPOSAL | {"fail": "1"})
        self.assertEqual(response.status_code, 302)
        self.assertEqual(count_rows(), before)
        self.assertIsNone(get_session("Fewer forks"))

    def test_the_next_page_shows_that_both_had_written(self) -> None:
        response = self.client.post(reverse("propose"), PROPOSAL | {"fail": "1"}, follow=True)
        self.assertContains(response, "Nothing was kept")
        for row in response.context["rows"]:
            self.assertEqual(row["during"], row["before"] + 1, row)
            self.assertEqual(row["now"], row["before"], row)

    def test_the_page_says_so_if_rows_are_there(self) -> None:
        counts = HalfwayFailure(dict.fromkeys(count_rows(), 0), dict.fromkeys(count_rows(), 1))
        address = reverse("nothing-kept", query={"counts": counts.to_token()})
        self.assertContains(self.client.get(address), "Rows were added since")

    def test_counts_that_the_site_did_not_sign_are_refused(self) -> None:
        address = reverse("nothing-kept", query={"counts": "made:up"})
        self.assertEqual(self.client.get(address).status_code, 400)

    def test_one_can_propose_after_a_failure(self) -> None:
        self.client.post(reverse("propose"), PROPOSAL | {"fail": "1"})
        self.client.post(reverse("propose"), PROPOSAL)
        self.assertIsNotNone(get_session("Fewer forks"))


@override_settings(SPRINTS_HALFWAY_BUTTON=False)
class WithoutTheButtonTests(SummitTestCase):
    def setUp(self) -> None:
        self.sign_in("fern")

    def test_it_is_not_on_the_page(self) -> None:
        self.assertNotContains(self.client.get(reverse("propose")), "halfway")

    def test_asking_for_it_is_an_ordinary_proposal(self) -> None:
        self.client.post(reverse("propose"), PROPOSAL | {"fail": "1"})
        self.assertIsNotNone(get_session("Fewer forks"))

    def test_there_is_no_page_with_counts(self) -> None:
        self.assertEqual(self.client.get(reverse("nothing-kept")).status_code, 404)


class TokenTests(TestCase):
    def test_the_counts_survive_the_way_through_the_address(self) -> None:
        failure = HalfwayFailure.from_token(HalfwayFailure({"a": 1}, {"a": 2}).to_token())
        self.assertEqual((failure.before, failure.during), ({"a": 1}, {"a": 2}))
