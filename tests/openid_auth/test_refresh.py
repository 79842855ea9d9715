"""Sessions are refreshed at the provider, without a click."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import override_settings
from django.urls import reverse

from openid_auth.models import UserOpenID
from openid_auth.signals import openid_session_refreshed
from openid_auth.signed_in import SESSION_KEY
from tests.openid_auth.provider import Answer, ProviderBrowser, ProviderTestCase

User = get_user_model()
REFRESH = "openid_auth.middleware.SessionRefreshMiddleware"
PAGE = {"HTTP_ACCEPT": "text/html,application/xhtml+xml"}


class RefreshTestCase(ProviderTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        middleware = [*settings.MIDDLEWARE, REFRESH]
        cls.enterClassContext(override_settings(MIDDLEWARE=middleware))

    def setUp(self) -> None:
        super().setUp()
        self.browser = ProviderBrowser()
        answer = self.browser.answer(self.begin(), "ada")
        self.complete(answer)
        self.assertEqual(self.whoami(), "ada")

    def grow_old(self, seconds: int = 901) -> None:
        """Let the provider have vouched that long ago."""
        session = self.client.session
        session[SESSION_KEY] = {**session[SESSION_KEY], "checked": int(time.time()) - seconds}
        session.save()

    def open(self, **headers: str) -> Any:
        return self.client.get("/?page=2", **(headers or PAGE))

    def at_provider(self, response: Any) -> Answer:
        """Follow the redirect to the provider, which answers at once."""
        answer = self.browser.request("GET", response["Location"])
        self.assertEqual(answer.status, 302)
        return Answer(answer.headers["Location"])

    def refresh(self) -> Any:
        self.grow_old()
        response = self.open()
        self.assertEqual(response.status_code, 302, response.content)
        return self.complete(self.at_provider(response))


class WhenTests(RefreshTestCase):
    def test_a_fresh_session_is_left_alone(self) -> None:
        self.grow_old(890)
        with self.no_fetch():
            self.assertEqual(self.open().status_code, 200)

    def test_an_old_one_is_sent_to_the_provider_which_must_not_ask_anything(self) -> None:
        self.grow_old()
        response = self.open()
        self.assertTrue(response["Location"].startswith(self.server.url))
        query = parse_qs(urlsplit(response["Location"]).query)
        self.assertEqual(query["openid.mode"], ["checkid_immediate"])

    def test_the_setting_says_when(self) -> None:
        self.grow_old(61)
        with override_settings(OPENID_REFRESH_SECONDS=60):
            self.assertEqual(self.open().status_code, 302)
        with override_settings(OPENID_REFRESH_SECONDS=120):
            self.assertEqual(self.open().status_code, 200)

    def test_a_clock_that_was_set_back_makes_it_old(self) -> None:
        self.grow_old(-3600)
        self.assertEqual(self.open().status_code, 302)

    def test_only_a_page_that_a_browser_opens_is_sent_there(self) -> None:
        self.grow_old()
        navigation = {**PAGE, "HTTP_SEC_FETCH_MODE": "navigate"}
        with self.no_fetch():
            self.assertEqual(self.client.post("/", **PAGE).status_code, 200)
            self.assertEqual(self.client.head("/", **PAGE).status_code, 200)
            for headers in (
                {"HTTP_ACCEPT": "*/*"},
                {"HTTP_ACCEPT": "application/json"},
                {**PAGE, "HTTP_X_REQUESTED_WITH": "XMLHttpRequest"},
                {**PAGE, "HTTP_SEC_FETCH_MODE": "cors"},
                {**PAGE, "HTTP_SEC_FETCH_MODE": "same-origin", "HTTP_SEC_FETCH_DEST": "empty"},
                {**navigation, "HTTP_SEC_FETCH_DEST": "iframe"},
                {**navigation, "HTTP_SEC_FETCH_DEST": "document", "HTTP_SEC_PURPOSE": "prefetch"},
            ):
                with self.subTest(headers):
                    self.assertEqual(self.open(**headers).status_code, 200)
        self.assertEqual(self.open(**navigation, HTTP_SEC_FETCH_DEST="document").status_code, 302)

    def test_the_pages_of_signing_in_are_not(self) -> None:
        self.grow_old()
        with self.no_fetch():
            self.assertEqual(self.client.get(reverse("openid-login"), **PAGE).status_code, 200)
            self.assertEqual(self.client.get(reverse("openid-complete"), **PAGE).status_code, 403)

    def test_those_of_the_identities_are(self) -> None:
        self.grow_old()
        self.assertEqual(self.client.get(reverse("openid-identities"), **PAGE).status_code, 302)

    def test_other_requests_go_on_once_as_long_and_then_the_session_is_over(self) -> None:
        self.grow_old(1790)
        self.assertEqual(self.client.post("/").content, b"ada")
        self.grow_old(1800)
        self.assertEqual(self.client.post("/").content, b"nobody")

    def test_a_session_of_a_password_is_left_alone(self) -> None:
        self.client.force_login(User.objects.create_user("root"))
        with self.no_fetch():
            self.assertEqual(self.open().status_code, 200)

    def test_nobody_is_left_alone_and_gets_no_session(self) -> None:
        self.client.logout()
        self.client.cookies.clear()
        response = self.client.get(reverse("openid-xrds"), **PAGE)
        self.assertFalse(response.cookies)
        self.assertNotIn("Cookie", response.get("Vary", ""))


class AnswerTests(RefreshTestCase):
    def test_the_person_goes_on_where_they_were_without_a_click(self) -> None:
        key = self.client.session.session_key
        self.assertRedirects(self.refresh(), "/?page=2")
        self.assertEqual(self.whoami(), "ada")
        self.assertEqual(self.client.session.session_key, key)
        self.assertLess(time.time() - self.client.session[SESSION_KEY]["checked"], 60)
        with self.no_fetch():
            self.assertEqual(self.open().status_code, 200)

    @override_settings(
        OPENID_LAUNCHPAD_TEAMS_MAPPING={"summit-drivers": "drivers", "docs-team": "writers"},
        OPENID_LAUNCHPAD_STAFF_TEAMS=["docs-team"],
    )
    def test_the_group_of_a_team_that_was_left_is_dropped(self) -> None:
        drivers, writers = (Group.objects.create(name=name) for name in ("drivers", "writers"))
        user = User.objects.get()
        user.groups.set([writers])
        User.objects.update(is_staff=True)
        self.refresh()
        self.assertEqual(list(user.groups.all()), [drivers])
        self.assertFalse(User.objects.get().is_staff)

    def test_a_required_team_that_was_left_ends_the_session(self) -> None:
        with override_settings(OPENID_LAUNCHPAD_TEAMS_REQUIRED=["docs-team"]):
            response = self.refresh()
        self.assert_refused(response, "docs-team")
        self.assertEqual(self.whoami(), "nobody")

    def test_who_is_signed_out_at_the_provider_is_asked_to_sign_in_again(self) -> None:
        self.browser.cookies.clear()
        response = self.refresh()
        self.assertRedirects(response, f"{reverse('openid-login')}?again=1&next=%2F%3Fpage%3D2")
        self.assertEqual(self.whoami(), "nobody")
        page = self.client.get(response["Location"])
        self.assertContains(page, "Your session is over")
        self.assertContains(page, 'name="next" value="/?page=2"')

    def test_another_identity_at_the_provider_ends_the_session(self) -> None:
        """And signs nobody else in, and creates no account."""
        other = ProviderBrowser()
        other.answer(self.begin(), "grace")
        self.browser = other
        self.assert_refused(self.refresh(), "somebody else")
        self.assertEqual(self.whoami(), "nobody")
        self.assertEqual(User.objects.count(), 1)

    def test_another_identity_of_the_same_account_does_not_refresh_it(self) -> None:
        UserOpenID.objects.create(
            user=User.objects.get(), claimed_id=f"{self.server.url}id/grace/", display_id=""
        )
        other = ProviderBrowser()
        other.answer(self.begin(), "grace")
        self.browser = other
        self.assert_refused(self.refresh())

    def test_an_identity_that_was_unlinked_ends_the_session_and_gets_no_new_account(self) -> None:
        UserOpenID.objects.all().delete()
        self.assert_refused(self.refresh())
        self.assertEqual(User.objects.count(), 1)

    def test_a_deactivated_account_is_not_refreshed(self) -> None:
        self.grow_old()
        response = self.open()
        User.objects.update(is_active=False)
        self.assertEqual(self.complete(self.at_provider(response)).status_code, 403)
        self.assertEqual(self.whoami(), "nobody")

    def test_a_refusal_does_not_end_the_session_of_somebody_else(self) -> None:
        self.grow_old()
        answer = self.at_provider(self.open())
        pending = self.client.session["openid_auth_pending"]
        self.client.logout()
        self.sign_in("mei")
        session = self.client.session
        session["openid_auth_pending"] = pending
        session.save()
        self.assertEqual(self.complete(answer).status_code, 403)
        self.assertEqual(self.whoami(), "mei")

    def test_receivers_hear_of_it(self) -> None:
        heard = []

        def hear(sender: object, **kwargs: Any) -> None:
            heard.append(kwargs["openid_response"].identity_url)

        openid_session_refreshed.connect(hear)
        self.addCleanup(openid_session_refreshed.disconnect, hear)
        self.refresh()
        self.assertEqual(heard, [f"{self.server.url}id/ada/"])


class ProviderAwayTests(RefreshTestCase):
    """The endpoint is not cached, and the provider is gone."""

    def setUp(self) -> None:
        super().setUp()
        self.enterContext(
            override_settings(
                OPENID_SSO_SERVER_URL="http://127.0.0.1:9/", OPENID_DISCOVERY_SECONDS=0
            )
        )

    def test_the_session_goes_on_for_a_while(self) -> None:
        self.grow_old(901)
        self.assertEqual(self.open().status_code, 200)
        with self.no_fetch():  # not again at each page
            self.assertEqual(self.open().status_code, 200)
        self.assertEqual(self.whoami(), "ada")

    def test_and_then_it_is_over(self) -> None:
        self.grow_old(1801)
        response = self.open()
        self.assertRedirects(response, f"{reverse('openid-login')}?again=1&next=%2F%3Fpage%3D2")
        self.assertEqual(self.whoami(), "nobody")

    def test_one_that_the_settings_no_longer_name_ends_it_at_once(self) -> None:
        self.grow_old()
        with override_settings(OPENID_SSO_SERVER_URL=None, OPENID_PROVIDERS={}), self.no_fetch():
            self.assertEqual(self.open().status_code, 302)
        self.assertEqual(self.whoami(), "nobody")
