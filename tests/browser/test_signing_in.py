"""Signing in and the identities of an account, as people meet them, also without JavaScript."""

from dataclasses import replace
from importlib import import_module
from unittest.mock import patch

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.models import Session
from django.test import override_settings
from django.urls import reverse

from example_site.provider.identities import IDENTITIES
from example_site.provider.server import ProviderServer
from example_site.sprints.apps import DRIVERS
from openid_auth import signed_in
from openid_auth.conf import conf
from openid_auth.models import UserOpenID
from tests.browser.base import BrowserTestCase


class SigningInTests(BrowserTestCase):
    def identity_of(self, person: str) -> str:
        """The address of one of the provider's people."""
        return f"{self.provider.url}id/{person}/"

    def account_with(self, person: str) -> AbstractUser:
        """The account that an identity of the provider signs in to."""
        return UserOpenID.objects.get(claimed_id=self.identity_of(person)).user

    def listed(self) -> list[str]:
        """The identities on the page of the account's identities, without what stands beside."""
        lines = self.find(".openid-identities").text.splitlines()
        return [line for line in lines if line.startswith("http")]

    def assert_at(self, name: str) -> None:
        address = self.browser.current_url.partition("?")[0]
        self.assertEqual(address, self.live_server_url + reverse(name))

    def open_identities(self) -> None:
        self.press(".visitor-name")
        self.press(f"main a[href='{reverse('openid-identities')}']")

    def press_unlink(self, person: str) -> None:
        self.press(f".openid-identities a[aria-label*='{self.identity_of(person)}']")

    def sign_out(self) -> None:
        self.press(".visitor button")
        self.assertEqual(self.find(".visitor").text, "Sign in")

    def test_a_person_links_a_second_identity_and_unlinks_the_first(self) -> None:
        self.sign_in("nora")
        account = self.account_with("nora")
        self.open_identities()
        self.assertEqual(self.listed(), [self.identity_of("nora")])
        self.assertIn("the only way to sign in", self.text)

        self.pass_provider("mei")
        self.assertEqual(self.find("h1").text, "Link this identity?")
        self.assertIn(self.identity_of("mei"), self.text)
        self.press_words("Link")
        self.assertEqual(self.listed(), [self.identity_of("nora"), self.identity_of("mei")])
        self.assertEqual(self.account_with("mei"), account)
        self.assertFalse(account.groups.exists())

        self.press_unlink("nora")
        self.assertEqual(self.find("h1").text, "Unlink this identity?")
        self.assertIn(self.identity_of("nora"), self.text)
        self.press_words("Unlink")
        self.assertEqual(self.listed(), [self.identity_of("mei")])

        self.sign_out()
        self.sign_in("mei")
        self.press(".visitor-name")
        self.assertIn(account.get_username(), self.text)
        self.assertEqual(self.account_with("mei"), account)

        self.sign_out()
        self.sign_in("nora")
        self.assertNotEqual(self.account_with("nora"), account)

    def test_an_identity_that_is_not_confirmed_is_not_linked(self) -> None:
        self.sign_in("nora")
        self.open_identities()
        self.pass_provider("mei")
        self.press_words("Cancel")
        self.assertEqual(self.listed(), [self.identity_of("nora")])
        self.assertFalse(UserOpenID.objects.filter(claimed_id=self.identity_of("mei")).exists())

    def test_cancelling_at_the_provider_leads_back_to_the_identities(self) -> None:
        self.sign_in("nora")
        self.open_identities()
        self.press("main form button")
        with self.assertLogs("openid_auth", "WARNING"):
            self.press("[name=cancel]")
        self.assertIn("cancelled", self.find("[role=alert]").text)
        self.press("main p:not(.trail) > a")
        self.assert_at("openid-identities")

    def test_the_identity_of_another_account_is_refused(self) -> None:
        self.sign_in("mei")
        self.sign_out()
        self.sign_in("nora")
        self.open_identities()
        with self.assertLogs("openid_auth", "WARNING"):
            self.pass_provider("mei")
        self.assertIn("Another account has this identity", self.find("[role=alert]").text)
        self.assertEqual(self.account_with("mei").get_username(), "mei")

    def test_a_site_with_two_providers_offers_both(self) -> None:
        with ProviderServer() as harbour:
            providers = {
                "dunlin": {"url": self.provider.url, "label": "Dunlin ID"},
                "harbour": {"url": harbour.url, "label": "Harbour ID"},
            }
            with override_settings(OPENID_SSO_SERVER_URL=None, OPENID_PROVIDERS=providers):
                self.open("openid-login")
                self.press_words("Sign in with Dunlin ID")
                self.approve_as("nora")
                self.open_identities()
                self.press_words("Link an identity of Harbour ID")
                self.assertTrue(self.browser.current_url.startswith(harbour.url))
                self.approve_as("nora")
                self.press_words("Link")
            self.assertEqual(self.listed(), [self.identity_of("nora"), f"{harbour.url}id/nora/"])

    @override_settings(OPENID_LAUNCHPAD_TEAMS_REQUIRED=["kernel-team"])
    def test_who_lacks_a_team_is_told_which_and_has_no_account(self) -> None:
        self.open("openid-login")
        with self.assertLogs("openid_auth", "WARNING"):
            self.pass_provider("nora")
        self.assertIn("kernel-team", self.find("[role=alert]").text)
        self.assertEqual(self.find(".openid-teams").text, "kernel-team")
        self.assertEqual(self.find(".visitor").text, "Sign in")
        self.assertFalse(get_user_model().objects.filter(username="nora").exists())

        self.press("main p:not(.trail) > a")
        self.pass_provider("ada")
        self.assertEqual(self.find(".visitor-name").text, "Ada Lovelace")

    @override_settings(OPENID_USE_AS_ADMIN_LOGIN=True)
    def test_a_driver_signs_in_to_the_admin(self) -> None:
        self.open("admin:sprints_comment_changelist")
        self.assert_at("openid-login")
        self.pass_provider("ada")
        self.assert_at("admin:sprints_comment_changelist")
        self.assertIn("Reproducible builds", self.find("#result_list").text)

    @override_settings(OPENID_USE_AS_ADMIN_LOGIN=True)
    def test_who_is_no_driver_is_told_so_instead_of_seeing_the_admin(self) -> None:
        self.open("admin:index")
        self.pass_provider("mei")
        self.assertIn("mei has no access", self.find("[role=alert]").text)
        self.assertEqual(self.find(".visitor-name").text, "Mei Tanaka")

    def test_who_leaves_a_team_leaves_its_group_without_a_click(self) -> None:
        self.sign_in("ada")
        self.assertTrue(self.browser.find_elements("link text", "Admin"))
        self.make_sessions_old()
        with patch.dict(IDENTITIES, ada=replace(IDENTITIES["ada"], teams=())):
            self.open("my-schedule")
        self.assert_at("my-schedule")
        self.assertFalse(self.browser.find_elements("link text", "Admin"))
        self.assertFalse(self.account_with("ada").groups.filter(name=DRIVERS).exists())

    def make_sessions_old(self) -> None:
        """Have it that the provider was last asked so long ago that it is asked again."""
        for row in Session.objects.all():
            session = import_module(settings.SESSION_ENGINE).SessionStore(row.pk)
            known = signed_in.read(session)
            replace(known, checked=known.checked - conf.OPENID_REFRESH_SECONDS).save(session)
            session.save()

    def test_no_page_is_wider_than_a_phone(self) -> None:
        self.use_phone()
        self.open("openid-login")
        self.assert_fits_phone()
        teams = ["summit-drivers", "x" * 80]
        with (
            override_settings(OPENID_LAUNCHPAD_TEAMS_REQUIRED=teams),
            self.assertLogs("openid_auth", "WARNING"),
        ):
            self.pass_provider("nora")
        self.assert_fits_phone()
        self.sign_in("nora")
        self.open_identities()
        self.assert_fits_phone()
        self.pass_provider("mei")
        self.assert_fits_phone()
        self.press_words("Link")
        self.press_unlink("mei")
        self.assert_fits_phone()

    def test_the_provider_says_that_it_has_no_such_page(self) -> None:
        self.browser.get(f"{self.provider.url}nowhere/")
        self.assertIn("There is nothing at /openid/nowhere/.", self.text)


class SigningInWithoutJavaScriptTests(SigningInTests):
    javascript = False
