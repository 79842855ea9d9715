"""A refused login changes nothing."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.test import override_settings
from django.urls import reverse

from openid_auth.models import Nonce, UserOpenID
from tests.openid_auth.provider import (
    SREG_NS,
    ForgingTestCase,
)

User = get_user_model()


class RefusedLoginTests(ForgingTestCase):
    """A refused login changes nothing but the nonce that it used up."""

    def assert_nothing_written(self) -> None:
        self.assertFalse(User.objects.exists())
        self.assertFalse(UserOpenID.objects.exists())
        self.assertEqual(Nonce.objects.count(), 1)

    @override_settings(OPENID_LAUNCHPAD_TEAMS_REQUIRED=["drivers", "readers"])
    def test_for_a_missing_team_it_says_which(self) -> None:
        self.assert_refused(self.deliver(self.sign(self.fields())), "drivers, readers")
        self.assert_nothing_written()

    @override_settings(OPENID_LAUNCHPAD_TEAMS_REQUIRED=["drivers", "readers"])
    def test_the_page_lists_the_teams_and_says_what_to_do(self) -> None:
        response = self.deliver(self.sign(self.fields()))
        for team in ("drivers", "readers"):
            self.assertContains(response, f"<li>{team}</li>", status_code=403, html=True)
        self.assertContains(response, "Ask an owner of one of these teams", status_code=403)
        self.assertContains(response, f'href="{reverse("openid-login")}"', status_code=403)
        for word in ("<script", "<style", "style=", "onclick"):
            self.assertNotContains(response, word, status_code=403)

    @override_settings(OPENID_PHYSICAL_MULTIFACTOR_REQUIRED=True)
    def test_for_a_missing_second_factor(self) -> None:
        self.assert_refused(self.deliver(self.sign(self.fields())), "physical second factor")
        self.assert_nothing_written()

    @override_settings(OPENID_SREG_REQUIRED_FIELDS=["email"])
    def test_for_a_missing_field(self) -> None:
        self.assert_refused(self.deliver(self.sign(self.fields())), "email")
        self.assert_nothing_written()

    @override_settings(OPENID_STRICT_USERNAMES=True)
    def test_for_a_missing_nickname(self) -> None:
        self.assert_refused(self.deliver(self.sign(self.fields())), "nickname")
        self.assert_nothing_written()

    @override_settings(OPENID_LAUNCHPAD_TEAMS_REQUIRED=["drivers"])
    def test_of_a_returning_person_leaves_the_account_as_it_was(self) -> None:
        user = User.objects.create_user("ada", "old@example.org")
        UserOpenID.objects.create(user=user, claimed_id=self.claimed_id(), display_id="ada")
        fields = self.fields(ns__sreg=SREG_NS, sreg__email="new@example.org")
        with override_settings(OPENID_UPDATE_DETAILS_FROM_SREG=True):
            self.assert_refused(self.deliver(self.sign(fields)))
        self.assertEqual(User.objects.get().email, "old@example.org")

    @override_settings(
        OPENID_LAUNCHPAD_TEAMS_REQUIRED=["drivers"],
        OPENID_EMAIL_WHITELIST_REGEXP_LIST=[r"ann@example\.org", r"eve@example\.org|x"],
    )
    def test_the_email_exception_is_for_whole_addresses(self) -> None:
        for email, allowed in (
            ("ann@example.org.evil.example", False),
            ("xann@example.org", False),
            ("eve@example.org.evil.example", False),
            ("ann@example.org", True),
        ):
            fields = self.fields(ns__sreg=SREG_NS, sreg__email=email)
            with self.subTest(email):
                response = self.deliver(self.sign(fields))
                self.assertEqual(response.status_code, 302 if allowed else 403)


class StaffTests(ForgingTestCase):
    def test_a_superuser_is_never_demoted(self) -> None:
        user = User.objects.create_superuser("ada")
        UserOpenID.objects.create(user=user, claimed_id=self.claimed_id(), display_id="ada")
        with override_settings(OPENID_LAUNCHPAD_STAFF_TEAMS=["admins"]):
            self.assert_signs_in(self.deliver(self.sign(self.fields())))
        user.refresh_from_db()
        self.assertTrue(user.is_staff)

    def test_somebody_who_left_the_team_is_no_longer_staff(self) -> None:
        user = User.objects.create_user("ada", is_staff=True)
        UserOpenID.objects.create(user=user, claimed_id=self.claimed_id(), display_id="ada")
        with override_settings(OPENID_LAUNCHPAD_STAFF_TEAMS=["admins"]):
            self.deliver(self.sign(self.fields()))
        user.refresh_from_db()
        self.assertFalse(user.is_staff)

    def test_without_the_setting_the_flag_is_left_alone(self) -> None:
        user = User.objects.create_user("ada", is_staff=True)
        UserOpenID.objects.create(user=user, claimed_id=self.claimed_id(), display_id="ada")
        self.deliver(self.sign(self.fields()))
        user.refresh_from_db()
        self.assertTrue(user.is_staff)
