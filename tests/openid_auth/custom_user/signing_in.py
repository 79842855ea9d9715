"""What people do in the project. Django's own runner runs it, in a process of its own."""

from __future__ import annotations

import time
import uuid
from io import StringIO

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection
from django.test import TestCase, override_settings
from django.urls import reverse

from openid_auth.models import UserOpenID
from openid_auth.signed_in import SESSION_KEY
from tests.openid_auth.provider import Answer, ProviderBrowser, ProviderMixin

User = get_user_model()


class ProjectTestCase(ProviderMixin, TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        urls = "tests.openid_auth.custom_user.urls"
        cls.enterClassContext(override_settings(ROOT_URLCONF=urls))

    def link(self, name: str) -> None:
        begun = self.client.post(reverse("openid-link"))
        self.complete(ProviderBrowser().answer(begun["Location"], name))
        self.client.post(reverse("openid-link-confirm"), {"confirm": "1"})


class PersonTests(ProjectTestCase):
    def test_an_account_is_created_under_its_own_field(self) -> None:
        self.sign_in("ada")
        person = User.objects.get()
        self.assertEqual((person.handle, person.mail), ("ada", "ada@example.org"))
        self.assertIsInstance(person.pk, uuid.UUID)
        self.assertFalse(person.has_usable_password())

    def test_a_returning_person_gets_the_same_account(self) -> None:
        for _ in range(2):
            self.sign_in("ada")
            self.client.logout()
        self.assertEqual(User.objects.count(), 1)

    def test_a_name_that_is_taken_gets_a_number_within_the_length_of_the_field(self) -> None:
        User.objects.create_user("yusuf")
        self.sign_in("yusuf")
        self.assertEqual(self.whoami(), "yusuf2")
        with override_settings(OPENID_STRICT_USERNAMES=True):
            self.client.logout()
            UserOpenID.objects.all().delete()
            self.assertEqual(self.sign_in("yusuf").status_code, 403)

    @override_settings(
        OPENID_LAUNCHPAD_TEAMS_MAPPING={"summit-drivers": "drivers"},
        OPENID_LAUNCHPAD_STAFF_TEAMS=["kernel-team"],
    )
    def test_teams_become_groups_and_staff(self) -> None:
        Group.objects.create(name="drivers")
        self.sign_in("ada")
        person = User.objects.get()
        self.assertEqual([group.name for group in person.groups.all()], ["drivers"])
        self.assertTrue(person.is_staff)

    def test_identities_are_linked_and_unlinked(self) -> None:
        self.sign_in("ada")
        self.link("grace")
        self.assertEqual(User.objects.get().useropenid_set.count(), 2)
        for identity, status in zip(UserOpenID.objects.order_by("pk"), (302, 400), strict=True):
            url = reverse("openid-unlink", args=[identity.pk])
            self.assertEqual(self.client.post(url, {"confirm": "1"}).status_code, status)

    def test_a_session_is_refreshed(self) -> None:
        browser = ProviderBrowser()
        self.complete(browser.answer(self.begin(), "ada"))
        session = self.client.session
        session[SESSION_KEY] = {**session[SESSION_KEY], "checked": int(time.time()) - 901}
        session.save()
        away = self.client.get("/", headers={"Accept": "text/html"})
        answer = browser.request("GET", away["Location"]).headers["Location"]
        self.assertRedirects(self.complete(Answer(answer)), "/")
        self.assertEqual(self.whoami(), "ada")

    def test_a_rename_is_followed(self) -> None:
        self.sign_in("ada")
        User.objects.update(handle="former")
        with override_settings(OPENID_UPDATE_DETAILS_FROM_SREG=True, OPENID_FOLLOW_RENAMES=True):
            self.sign_in("ada")
        self.assertEqual(User.objects.get().handle, "ada")

    def test_identities_are_taken_over_by_the_key_of_the_model(self) -> None:
        person = User.objects.create_user("known")
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE TABLE django_openid_auth_useropenid "
                "(id integer PRIMARY KEY, user_id char(32), claimed_id text, display_id text)"
            )
            cursor.execute(
                "INSERT INTO django_openid_auth_useropenid VALUES (1, %s, %s, 'ada')",
                [person.pk.hex, f"{self.server.url}id/ada/"],
            )
        call_command("openid_import", stdout=StringIO())
        self.sign_in("ada")
        self.assertEqual(self.whoami(), "known")


class MemberTests(ProjectTestCase):
    def test_the_email_address_is_the_name(self) -> None:
        for _ in range(2):
            self.sign_in("ada")
            self.assertEqual(self.whoami(), "ada@example.org")
            self.client.logout()
        self.assertEqual(User.objects.count(), 1)

    def test_an_account_with_the_same_address_is_not_taken_over(self) -> None:
        User.objects.create_user("ADA@example.org")
        self.assertContains(self.sign_in("ada"), "has your email address", status_code=403)
        self.assertEqual(User.objects.count(), 1)

    def test_without_a_trusted_address_there_is_no_account(self) -> None:
        providers = {"home": {"url": self.server.url, "trusted": ["username"]}}
        with override_settings(OPENID_SSO_SERVER_URL=None, OPENID_PROVIDERS=providers):
            response = self.sign_in("ada", provider="home")
        self.assertContains(response, "email address, which this site needs", status_code=403)
        self.assertFalse(User.objects.exists())

    @override_settings(
        OPENID_LAUNCHPAD_TEAMS_MAPPING={"summit-drivers": "drivers"},
        OPENID_LAUNCHPAD_STAFF_TEAMS=["kernel-team"],
        OPENID_VALID_VERIFICATION_SCHEMES={None: ("token_via_email",)},
        OPENID_UPDATE_DETAILS_FROM_SREG=True,
    )
    def test_a_model_without_groups_permissions_and_staff_will_do(self) -> None:
        Group.objects.create(name="drivers")
        self.sign_in("ada")
        self.sign_in("ada")
        self.assertEqual(self.whoami(), "ada@example.org")

    def test_identities_are_linked_and_unlinked(self) -> None:
        self.sign_in("ada")
        self.link("grace")
        identity = UserOpenID.objects.get(claimed_id__contains="grace")
        url = reverse("openid-unlink", args=[identity.pk])
        self.assertEqual(self.client.post(url, {"confirm": "1"}).status_code, 302)
        self.assertEqual(UserOpenID.objects.count(), 1)
