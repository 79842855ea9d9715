"""Names of accounts: valid, and never taken over."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.http import HttpResponseBase
from django.test import override_settings

from openid_auth.models import UserOpenID
from tests.openid_auth.provider import (
    SREG_NS,
    ForgingTestCase,
)

User = get_user_model()


class UsernameTests(ForgingTestCase):
    def sign_in_as(self, nickname: str, name: str = "ada", **settings: object) -> HttpResponseBase:
        claimed_id = self.claimed_id(name)
        fields = self.fields(
            claimed_id=claimed_id, identity=claimed_id, ns__sreg=SREG_NS, sreg__nickname=nickname
        )
        with override_settings(**settings):
            return self.deliver(self.sign(fields))

    def test_an_existing_account_is_not_taken_over(self) -> None:
        admin = User.objects.create_superuser("admin")
        self.sign_in_as("admin")
        self.assertEqual(self.whoami(), "admin2")
        self.assertFalse(User.objects.get(username="admin2").is_superuser)
        self.assertFalse(UserOpenID.objects.filter(user=admin).exists())

    def test_nor_by_another_case(self) -> None:
        User.objects.create_user("admin")
        self.sign_in_as("Admin")
        self.assertEqual(self.whoami(), "Admin2")

    def test_what_the_user_model_refuses_is_not_used(self) -> None:
        for nickname in ("<b>ada</b>", "x" * 312, "a b", "a\x00b"):
            with self.subTest(nickname):
                User.objects.all().delete()
                self.client.logout()
                self.assert_signs_in(self.sign_in_as(nickname))
                self.assertEqual(self.whoami(), "openiduser")

    def test_strict_refuses_it(self) -> None:
        User.objects.create_user("ada")
        for nickname, text in (("ada", "already in use"), ("<b>", "nickname")):
            self.assert_refused(self.sign_in_as(nickname, OPENID_STRICT_USERNAMES=True), text)
        self.assertEqual(User.objects.count(), 1)

    def test_a_rename_is_followed_when_asked(self) -> None:
        self.sign_in_as("ada")
        self.sign_in_as("countess", OPENID_UPDATE_DETAILS_FROM_SREG=True)
        self.assertEqual(User.objects.get().username, "ada")
        self.sign_in_as(
            "countess", OPENID_UPDATE_DETAILS_FROM_SREG=True, OPENID_FOLLOW_RENAMES=True
        )
        self.assertEqual(User.objects.get().username, "countess")

    def test_a_number_stays_while_the_plain_name_is_taken(self) -> None:
        other = User.objects.create_user("ada")
        follow = {"OPENID_UPDATE_DETAILS_FROM_SREG": True, "OPENID_FOLLOW_RENAMES": True}
        for _ in range(3):
            self.sign_in_as("ada", **follow)
            self.assertEqual(self.whoami(), "ada2")
        other.delete()
        self.sign_in_as("ada", **follow)
        self.assertEqual(self.whoami(), "ada")

    def test_the_email_can_give_a_name(self) -> None:
        fields = self.fields(ns__sreg=SREG_NS, sreg__email="ada.l@example.org")
        with override_settings(OPENID_USE_EMAIL_FOR_USERNAME=True):
            self.deliver(self.sign(fields))
        self.assertEqual(self.whoami(), "adalexampleorg")
