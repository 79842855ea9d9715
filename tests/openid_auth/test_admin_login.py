"""``OPENID_USE_AS_ADMIN_LOGIN``: people come to the admin through the provider."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.test import override_settings
from django.urls import reverse

from tests.openid_auth.provider import ProviderTestCase

User = get_user_model()


class AdminLoginTests(ProviderTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.index = reverse("admin:index")
        self.login = reverse("admin:login")

    def test_without_the_setting_the_admin_keeps_its_form(self) -> None:
        for value in (None, False):
            with override_settings(OPENID_USE_AS_ADMIN_LOGIN=value):
                self.assertContains(self.client.get(self.login), 'name="password"')

    @override_settings(OPENID_USE_AS_ADMIN_LOGIN=True, OPENID_LAUNCHPAD_STAFF_TEAMS=["kernel-team"])
    def test_a_person_comes_to_the_page_that_was_asked_for(self) -> None:
        page = reverse("admin:auth_user_changelist")
        response = self.client.get(page, follow=True)
        self.assertEqual(response.request["PATH_INFO"], reverse("openid-login"))
        self.assertContains(response, f'name="next" value="{page}"')
        self.assertRedirects(self.sign_in("ada", next=page), page, fetch_redirect_response=False)
        User.objects.update(is_superuser=True)
        self.assertContains(self.client.get(page), "Select user to change")

    @override_settings(OPENID_USE_AS_ADMIN_LOGIN=True)
    def test_the_login_page_of_the_admin_leads_to_its_index(self) -> None:
        response = self.client.get(self.login)
        self.assertRedirects(response, f"{reverse('openid-login')}?next=%2Fadmin%2F")
        response = self.client.get(self.login, {"next": "https://evil.example/"})
        self.assertRedirects(response, f"{reverse('openid-login')}?next=%2Fadmin%2F")

    @override_settings(OPENID_USE_AS_ADMIN_LOGIN=True)
    def test_a_password_is_not_taken(self) -> None:
        User.objects.create_superuser("root", password="secret")
        response = self.client.post(self.login, {"username": "root", "password": "secret"})
        self.assertEqual(response.status_code, 302)
        self.assertEqual(self.whoami(), "nobody")

    @override_settings(OPENID_USE_AS_ADMIN_LOGIN=True)
    def test_who_is_no_staff_is_told_so_and_not_sent_in_circles(self) -> None:
        self.sign_in("ada")
        response = self.client.get(self.index, follow=True)
        self.assertContains(response, "ada has no access to the administration", status_code=403)
        self.assertEqual(self.whoami(), "ada")

    @override_settings(OPENID_USE_AS_ADMIN_LOGIN=True)
    def test_who_is_staff_goes_on_to_the_index(self) -> None:
        self.sign_in("ada")
        User.objects.update(is_staff=True)
        self.assertRedirects(self.client.get(self.login), self.index)
