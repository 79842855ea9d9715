"""The admin of identities."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.test import TestCase
from django.urls import reverse

from openid_auth.models import UserOpenID
from tests.openid_auth.provider import isolated_settings

User = get_user_model()
BACKENDS = ["django.contrib.auth.backends.ModelBackend"]


class AdminTests(TestCase):
    def setUp(self) -> None:
        self.enterContext(isolated_settings(AUTHENTICATION_BACKENDS=BACKENDS))
        self.admin = User.objects.create_superuser("admin")
        self.client.force_login(self.admin, "django.contrib.auth.backends.ModelBackend")

    def add(self, claimed_id: str) -> object:
        url = reverse("admin:openid_auth_useropenid_add")
        data = {"user": self.admin.pk, "claimed_id": claimed_id, "display_id": "d"}
        return self.client.post(url, data)

    def test_identities_are_listed_and_searched(self) -> None:
        UserOpenID.objects.create(user=self.admin, claimed_id="https://x.example/a", display_id="d")
        url = reverse("admin:openid_auth_useropenid_changelist")
        self.assertContains(self.client.get(url, {"q": "x.example"}), "1 OpenID identity")

    def test_an_identity_is_added(self) -> None:
        self.assertRedirects(
            self.add("https://x.example/a"), reverse("admin:openid_auth_useropenid_changelist")
        )
        self.assertTrue(UserOpenID.objects.for_claimed_id("https://x.example/a"))

    def test_an_identity_of_somebody_is_refused_on_the_form(self) -> None:
        self.add("https://x.example/a")
        self.assertContains(self.add("https://x.example/a"), "Another account has this identity.")
