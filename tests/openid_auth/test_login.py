"""Signing in, from the page to the session, against a real provider over HTTP."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.staticfiles import finders
from django.test import Client, override_settings
from django.urls import reverse

from example_site.provider import protocol
from openid_auth.models import Association, Nonce, UserOpenID
from openid_auth.pending import SESSION_KEY
from openid_auth.signals import openid_login_complete
from tests.openid_auth.provider import ProviderBrowser, ProviderTestCase

User = get_user_model()


class SingleSignOnTests(ProviderTestCase):
    def test_a_person_signs_in_and_gets_an_account(self) -> None:
        response = self.sign_in("ada")

        self.assertRedirects(response, "/")
        self.assertEqual(self.whoami(), "ada")
        user = User.objects.get()
        self.assertEqual(
            (user.username, user.email, user.first_name, user.last_name),
            ("ada", "ada@example.org", "Ada", "Lovelace"),
        )
        self.assertFalse(user.has_usable_password())
        self.assertEqual(UserOpenID.objects.get().claimed_id, f"{self.server.url}id/ada/")

    def test_a_returning_person_gets_the_same_account(self) -> None:
        self.sign_in("ada")
        first = User.objects.get()
        self.client.logout()
        self.sign_in("ada")
        self.assertEqual(User.objects.get(), first)
        self.assertEqual(self.client.session["_auth_user_id"], str(first.pk))

    def test_the_association_is_made_once_and_is_hmac_sha256(self) -> None:
        self.sign_in("ada")
        self.sign_in("grace")
        self.assertEqual(Association.objects.get().assoc_type, "HMAC-SHA256")
        self.assertEqual(Nonce.objects.count(), 2)

    def test_the_session_data_is_json(self) -> None:
        self.begin()
        json.dumps(dict(self.client.session.items()))
        self.assertEqual(len(self.client.session[SESSION_KEY]), 1)

    def test_the_session_forgets_the_login_it_completed(self) -> None:
        self.sign_in("ada")
        self.assertFalse(self.client.session.get(SESSION_KEY))

    def test_nobody_new_gets_in_without_create_users(self) -> None:
        with override_settings(OPENID_CREATE_USERS=False):
            response = self.sign_in("ada")
        self.assert_refused(response, "No account on this site is linked")
        self.assertFalse(User.objects.exists())

    def test_cancel_at_the_provider_is_said_so(self) -> None:
        answer = ProviderBrowser().answer(self.begin(), button="cancel")
        self.assert_refused(self.complete(answer), "The sign-in was cancelled.")

    def test_a_disabled_account_stays_out(self) -> None:
        self.sign_in("ada")
        self.client.logout()
        User.objects.update(is_active=False)
        self.assert_refused(self.sign_in("ada"), "This account is disabled.")

    def test_a_person_who_is_deactivated_loses_the_session(self) -> None:
        self.sign_in("ada")
        User.objects.update(is_active=False)
        self.assertEqual(self.whoami(), "nobody")

    def test_the_signal_has_the_request_and_the_answer(self) -> None:
        received = []

        def receive(sender: object, **kwargs: object) -> None:
            received.append((sender, kwargs["openid_response"].identity_url))

        openid_login_complete.connect(receive)
        self.addCleanup(openid_login_complete.disconnect, receive)
        self.sign_in("ada")
        self.assertEqual(received, [(UserOpenID, f"{self.server.url}id/ada/")])

    def test_two_tabs_can_be_open(self) -> None:
        first, second = self.begin(next="/?first"), self.begin(next="/?second")
        browser = ProviderBrowser()
        self.assertRedirects(self.complete(browser.answer(first)), "/?first")
        # The session goes on after the login, and with it the second tab's login.
        self.assertRedirects(self.complete(browser.answer(second)), "/?second")

    def test_the_provider_works_with_its_own_association_too(self) -> None:
        """Section 11.4.2: an unknown handle makes the site ask the provider itself."""
        url = self.begin()
        protocol.store.server_assocs.clear()
        self.assertEqual(self.complete(ProviderBrowser().answer(url)).status_code, 302)
        self.assertEqual(self.whoami(), "ada")


class PageTests(ProviderTestCase):
    def test_the_address_of_the_logo_leads_to_a_picture(self) -> None:
        """Templates of django-openid-auth name it."""
        response = self.client.get(reverse("openid-logo"))
        self.assertEqual(response["Location"], "/static/openid_auth/openid.svg")
        self.assertIsNotNone(finders.find("openid_auth/openid.svg"))

    def test_signing_in_needs_no_login(self) -> None:
        """Django's LoginRequiredMiddleware asks for one on every page that does not say so."""
        required = "django.contrib.auth.middleware.LoginRequiredMiddleware"
        with override_settings(
            MIDDLEWARE=[*settings.MIDDLEWARE, required], LOGIN_URL="openid-login"
        ):
            self.assertEqual(self.sign_in("ada", next="/").status_code, 302)
            self.assertEqual(self.whoami(), "ada")
            self.client.logout()
            self.assertEqual(self.client.get(reverse("whoami")).status_code, 302)
            self.assertEqual(self.client.get(reverse("openid-xrds")).status_code, 200)

    def test_a_get_only_shows_the_page(self) -> None:
        response = self.client.get(reverse("openid-login"))
        self.assertContains(response, "Sign in with OpenID")
        self.assertNotIn(SESSION_KEY, self.client.session)

    def test_with_skip_page_a_get_begins(self) -> None:
        with override_settings(OPENID_SSO_SKIP_PAGE=True):
            response = self.client.get(reverse("openid-login"), {"next": "/there"})
        self.assertEqual(response.status_code, 302)
        (login,) = self.client.session[SESSION_KEY].values()
        self.assertEqual(login["next"], "/there")

    def test_beginning_needs_the_csrf_token(self) -> None:
        client = Client(enforce_csrf_checks=True)
        self.assertEqual(client.post(reverse("openid-login")).status_code, 403)

    def test_the_page_has_nothing_inline(self) -> None:
        page = self.client.get(reverse("openid-login")).content.decode()
        for word in ("<script", "<style", "style=", "onload", "onclick", "javascript:"):
            self.assertNotIn(word, page)

    def test_a_long_request_goes_by_a_form_with_a_button(self) -> None:
        teams = [f"team-with-a-rather-long-name-{number}" for number in range(60)]
        with override_settings(OPENID_LAUNCHPAD_TEAMS_REQUIRED=teams):
            response = self.client.post(reverse("openid-login"))
        self.assertContains(
            response, '<button type="submit" autofocus>Continue</button>', html=True
        )
        self.assertContains(response, f'action="{self.server.url}endpoint/"')
        self.assertNotContains(response, "<script")

    def test_next_is_kept(self) -> None:
        self.assertRedirects(self.sign_in("ada", next="/?page=2"), "/?page=2")

    def test_the_page_carries_next(self) -> None:
        response = self.client.get(reverse("openid-login"), {"next": "/there"})
        self.assertContains(response, '<input type="hidden" name="next" value="/there">', html=True)

    def test_a_provider_that_is_away_is_said_so_on_the_page(self) -> None:
        with override_settings(OPENID_SSO_SERVER_URL="http://127.0.0.1:9/"):
            response = self.client.post(reverse("openid-login"))
        self.assertContains(response, "No OpenID provider was found", status_code=400)

    def test_an_answer_may_come_by_a_form(self) -> None:
        answer = ProviderBrowser().answer(self.begin())
        fields = answer.parameters
        url = reverse("openid-complete") + f"?state={fields.pop('state')}"
        self.assertRedirects(self.client.post(url, fields), "/")
        self.assertEqual(self.whoami(), "ada")

    def test_an_answer_posted_from_another_site_is_posted_again_from_here(self) -> None:
        """Such a POST has no SameSite cookie; the person's next click has."""
        answer = ProviderBrowser().answer(self.begin())
        parameters = answer.parameters
        state = parameters.pop("state")
        url = reverse("openid-complete") + f"?state={state}"

        page = Client().post(url, parameters)  # as a browser does: without the cookie
        self.assertContains(page, "Continue")
        self.assertContains(page, f'name="openid.claimed_id" value="{self.server.url}id/ada/"')

        response = self.client.post(url, {**parameters, "from_here": "1"})
        self.assertRedirects(response, "/")
        self.assertEqual(self.whoami(), "ada")


@override_settings(OPENID_SSO_SERVER_URL=None, OPENID_PROVIDERS={})
class TypedIdentifierTests(ProviderTestCase):
    def test_the_identifier_of_a_person(self) -> None:
        url = self.begin(openid_identifier=f"{self.server.url}id/grace/")
        query = parse_qs(urlsplit(url).query)
        self.assertEqual(query["openid.claimed_id"], [f"{self.server.url}id/grace/"])
        self.complete(ProviderBrowser().answer(url, "grace"))
        self.assertEqual(UserOpenID.objects.get().claimed_id, f"{self.server.url}id/grace/")

    def test_the_identifier_of_a_provider(self) -> None:
        response = self.sign_in("grace", openid_identifier=self.server.url)
        self.assertEqual(response.status_code, 302)
        self.assertEqual(UserOpenID.objects.get().claimed_id, f"{self.server.url}id/grace/")

    def test_without_a_scheme(self) -> None:
        bare = self.server.url.removeprefix("http://")
        self.assertEqual(self.sign_in(openid_identifier=bare).status_code, 302)

    def test_any_provider_is_believed_about_identity_and_name_only(self) -> None:
        Group.objects.get_or_create(name="summit-drivers")
        with override_settings(
            OPENID_LAUNCHPAD_TEAMS_MAPPING={"summit-drivers": "summit-drivers"},
            OPENID_LAUNCHPAD_STAFF_TEAMS=["summit-drivers"],
        ):
            self.sign_in("ada", openid_identifier=self.server.url)
        user = User.objects.get()
        self.assertEqual((user.username, user.email, user.is_staff), ("openiduser", "", False))
        self.assertEqual(user.get_full_name(), "Ada Lovelace")
        self.assertFalse(user.groups.exists())

    def test_what_cannot_be_an_identifier_is_said_so(self) -> None:
        for identifier in (
            "ftp://example.com/",
            "http://",
            "http://[",
            "a b",
        ):
            with self.subTest(identifier):
                response = self.client.post(
                    reverse("openid-login"), {"openid_identifier": identifier}
                )
                self.assertContains(response, "No OpenID provider was found", status_code=400)

    def test_inames_are_refused_whatever_the_setting_says(self) -> None:
        for disallow in (True, False):
            for identifier in ("=ada", "@example*ada", "xri://=ada"):
                with (
                    self.subTest(identifier, disallow=disallow),
                    override_settings(OPENID_DISALLOW_INAMES=disallow),
                    self.no_fetch(),
                ):
                    response = self.client.post(
                        reverse("openid-login"), {"openid_identifier": identifier}
                    )
                    self.assertContains(response, "i-names are not supported", status_code=400)

    def test_an_empty_identifier_is_said_so(self) -> None:
        response = self.client.post(reverse("openid-login"), {"openid_identifier": ""})
        self.assertContains(response, "This field is required", status_code=400)


class ProvidersTests(ProviderTestCase):
    def providers(self, *trusted: str) -> override_settings:
        return override_settings(
            OPENID_SSO_SERVER_URL=None,
            OPENID_PROVIDERS={
                "home": {"url": self.server.url, "label": "Home", "trusted": trusted},
                "away": {"url": "http://127.0.0.1:9/", "label": "Away"},
            },
        )

    def test_the_page_offers_them_and_no_field(self) -> None:
        with self.providers():
            response = self.client.get(reverse("openid-login"))
        self.assertContains(response, "Sign in with Home")
        self.assertContains(response, "Sign in with Away")
        self.assertNotContains(response, "openid_identifier")

    def test_a_person_signs_in_with_one(self) -> None:
        with self.providers("email", "username"):
            self.sign_in("mei", provider="home")
        self.assertEqual(User.objects.get().email, "mei@example.org")
        self.assertEqual(self.whoami(), "mei")

    def test_what_it_is_not_trusted_for_is_not_used(self) -> None:
        with self.providers("username"):
            self.sign_in("mei", provider="home")
        self.assertEqual((User.objects.get().username, User.objects.get().email), ("mei", ""))

    def test_an_unknown_one_and_a_typed_one_are_refused(self) -> None:
        with self.providers():
            for data in ({"provider": "nowhere"}, {"openid_identifier": self.server.url}):
                response = self.client.post(reverse("openid-login"), data)
                self.assertContains(response, "Choose one of the providers", status_code=400)

    def test_one_that_was_taken_out_meanwhile_is_refused(self) -> None:
        with self.providers():
            answer = ProviderBrowser().answer(self.begin(provider="home"))
        self.assert_refused(self.complete(answer))
