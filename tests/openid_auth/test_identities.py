"""Linking and unlinking the identities of an account, by the person."""

from __future__ import annotations

import threading
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client, TransactionTestCase, override_settings, skipUnlessDBFeature
from django.urls import reverse

from openid_auth import linking
from openid_auth.models import UserOpenID
from openid_auth.signals import openid_identity_linked, openid_identity_unlinked
from tests.openid_auth.provider import ProviderBrowser, ProviderMixin, ProviderTestCase

User = get_user_model()
WITH_PASSWORDS = [
    "openid_auth.backends.OpenIDBackend",
    "django.contrib.auth.backends.ModelBackend",
]


class LinkingTestCase(ProviderTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.sign_in("ada")
        self.ada = User.objects.get()

    def begin_link(self, **data: str) -> str:
        response = self.client.post(reverse("openid-link"), data)
        self.assertEqual(response.status_code, 302, response.content.decode())
        return response["Location"]

    def prove(self, identity: str) -> Any:
        """Prove an identity at the provider, to link it; return the site's response."""
        return self.complete(ProviderBrowser().answer(self.begin_link(), identity))

    def confirm(self, **data: str) -> Any:
        return self.client.post(reverse("openid-link-confirm"), data or {"confirm": "1"})

    def linked(self) -> list[str]:
        found = UserOpenID.objects.filter(user=self.ada).values_list("claimed_id", flat=True)
        return sorted(claimed_id.split("/")[-2] for claimed_id in found)

    def unlink_url(self, name: str) -> str:
        claimed_id = f"{self.server.url}id/{name}/"
        return reverse("openid-unlink", args=[UserOpenID.objects.get(claimed_id=claimed_id).pk])


class LinkTests(LinkingTestCase):
    def test_a_proved_identity_is_linked_once_it_is_confirmed(self) -> None:
        response = self.prove("grace")
        self.assertRedirects(response, reverse("openid-link-confirm"))
        self.assertContains(self.client.get(response["Location"]), f"{self.server.url}id/grace/")
        self.assertEqual(self.linked(), ["ada"])

        self.assertRedirects(self.confirm(), reverse("openid-identities"))
        self.assertEqual(self.linked(), ["ada", "grace"])
        self.client.logout()
        self.sign_in("grace")
        self.assertEqual(self.whoami(), "ada")
        self.assertEqual(User.objects.count(), 1)

    def test_linking_changes_neither_account_nor_session(self) -> None:
        with override_settings(
            OPENID_UPDATE_DETAILS_FROM_SREG=True, OPENID_LAUNCHPAD_STAFF_TEAMS=["summit-drivers"]
        ):
            self.prove("grace")
            self.confirm()
        after = User.objects.get()
        self.assertEqual(after.email, "ada@example.org")
        self.assertFalse(after.is_staff)
        self.assertEqual(self.whoami(), "ada")

    def test_declined_it_is_not_linked(self) -> None:
        self.prove("grace")
        self.confirm(decline="1")
        self.confirm()
        self.assertEqual(self.linked(), ["ada"])

    def test_an_identity_of_another_account_is_refused(self) -> None:
        other = Client()
        self.complete(ProviderBrowser().answer(self.begin(other), "grace"), other)
        response = self.prove("grace")
        self.assertContains(response, "Another account has this identity", status_code=403)
        self.assertContains(response, reverse("openid-identities"), status_code=403)
        self.confirm()
        self.assertEqual(self.linked(), ["ada"])

    def test_nor_is_it_linked_if_the_other_account_was_faster(self) -> None:
        self.prove("grace")
        other = Client()
        self.complete(ProviderBrowser().answer(self.begin(other), "grace"), other)
        self.assertEqual(self.confirm().status_code, 403)
        self.assertEqual(self.linked(), ["ada"])

    def test_one_that_is_linked_already_needs_no_confirmation(self) -> None:
        self.assertRedirects(self.prove("ada"), reverse("openid-identities"))
        self.assertNotIn(linking.SESSION_KEY, self.client.session)

    def test_without_a_proof_there_is_nothing_to_confirm(self) -> None:
        self.assertRedirects(
            self.client.get(reverse("openid-link-confirm")), reverse("openid-identities")
        )
        self.confirm()
        self.assertEqual(self.linked(), ["ada"])

    def test_an_old_proof_counts_no_more(self) -> None:
        self.prove("grace")
        session = self.client.session
        offer = session[linking.SESSION_KEY]
        session[linking.SESSION_KEY] = {**offer, "verified": offer["verified"] - 601}
        session.save()
        self.confirm()
        self.assertEqual(self.linked(), ["ada"])

    def test_the_proof_of_one_account_is_not_for_another(self) -> None:
        self.prove("grace")
        offer = self.client.session[linking.SESSION_KEY]
        self.client.logout()
        self.sign_in("mei")
        session = self.client.session
        session[linking.SESSION_KEY] = offer
        session.save()
        self.confirm()
        self.assertEqual(UserOpenID.objects.count(), 2)

    def test_nor_is_a_proof_that_another_account_began(self) -> None:
        answer = ProviderBrowser().answer(self.begin_link(), "grace")
        pending = self.client.session["openid_auth_pending"]
        self.client.logout()
        self.sign_in("mei")
        session = self.client.session
        session["openid_auth_pending"] = pending
        session.save()
        self.assertEqual(self.complete(answer).status_code, 403)
        self.assertNotIn(linking.SESSION_KEY, self.client.session)

    def test_an_answer_to_a_link_signs_nobody_in(self) -> None:
        answer = ProviderBrowser().answer(self.begin_link(), "grace")
        pending = self.client.session["openid_auth_pending"]
        self.client.logout()
        self.client.get(reverse("openid-login"))
        session = self.client.session
        session["openid_auth_pending"] = pending
        session.save()
        self.assert_refused(self.complete(answer))
        self.assertEqual(User.objects.count(), 1)

    def test_a_callback_in_another_browser_links_nothing(self) -> None:
        """Else somebody could have a victim link the identity of the attacker."""
        answer = ProviderBrowser().answer(self.begin_link(), "grace")
        victim = Client()
        self.complete(ProviderBrowser().answer(self.begin(victim), "mei"), victim)
        self.assertEqual(self.complete(answer, victim).status_code, 403)
        victim.post(reverse("openid-link-confirm"), {"confirm": "1"})
        self.assertFalse(UserOpenID.objects.filter(claimed_id__contains="grace").exists())

    def test_a_get_begins_nothing(self) -> None:
        with self.no_fetch():
            response = self.client.get(reverse("openid-link"))
        self.assertRedirects(response, reverse("openid-identities"))

    def test_each_step_needs_the_csrf_token(self) -> None:
        self.prove("grace")
        strict = Client(enforce_csrf_checks=True)
        strict.cookies = self.client.cookies
        for url in (
            reverse("openid-link"),
            reverse("openid-link-confirm"),
            self.unlink_url("ada"),
        ):
            with self.subTest(url):
                self.assertEqual(strict.post(url, {"confirm": "1"}).status_code, 403)
        self.assertEqual(self.linked(), ["ada"])

    def test_a_cancelled_proof_leads_back(self) -> None:
        answer = ProviderBrowser().answer(self.begin_link(), button="cancel")
        response = self.complete(answer)
        self.assertContains(response, "cancelled", status_code=403)
        self.assertContains(response, f'href="{reverse("openid-identities")}"', status_code=403)
        self.assertEqual(self.whoami(), "ada")

    def test_an_unknown_provider_is_refused(self) -> None:
        response = self.client.post(reverse("openid-link"), {"provider": "nowhere"})
        self.assertContains(response, "Choose one of the providers", status_code=400)

    def test_a_provider_that_is_away_is_said_so(self) -> None:
        with override_settings(OPENID_SSO_SERVER_URL="http://127.0.0.1:9/"):
            response = self.client.post(reverse("openid-link"))
        self.assertContains(response, "No OpenID provider was found", status_code=400)

    def test_an_identity_of_a_second_provider_is_linked(self) -> None:
        providers = {
            "home": {"url": self.server.url, "label": "Home", "icon": "/static/home.svg"},
            "away": {"url": "http://127.0.0.1:9/", "label": "Away"},
        }
        with override_settings(OPENID_SSO_SERVER_URL=None, OPENID_PROVIDERS=providers):
            page = self.client.get(reverse("openid-identities"))
            self.assertContains(page, "Link an identity of Home")
            self.assertContains(page, 'src="/static/home.svg"')
            self.assertContains(page, "Link an identity of Away")
            url = self.begin_link(provider="home")
            self.complete(ProviderBrowser().answer(url, "grace"))
            self.confirm()
        self.assertEqual(self.linked(), ["ada", "grace"])

    def test_receivers_hear_of_it(self) -> None:
        heard: list[Any] = []

        def hear(signal: object, **kwargs: Any) -> None:
            identity = kwargs.get("identity")
            heard.append(identity.claimed_id if identity else kwargs["claimed_id"])

        for signal in (openid_identity_linked, openid_identity_unlinked):
            signal.connect(hear)
            self.addCleanup(signal.disconnect, hear)
        self.prove("grace")
        self.confirm()
        self.client.post(self.unlink_url("grace"), {"confirm": "1"})
        self.assertEqual(heard, [f"{self.server.url}id/grace/"] * 2)


class UnlinkTests(LinkingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.prove("grace")
        self.confirm()

    def test_an_identity_is_unlinked_after_a_confirmation(self) -> None:
        url = self.unlink_url("grace")
        self.assertContains(self.client.get(url), f"{self.server.url}id/grace/")
        self.assertEqual(self.linked(), ["ada", "grace"])
        self.assertRedirects(self.client.post(url, {"confirm": "1"}), reverse("openid-identities"))
        self.assertEqual(self.linked(), ["ada"])
        self.client.logout()
        with override_settings(OPENID_CREATE_USERS=False):
            self.assert_refused(self.sign_in("grace"), "No account on this site is linked")

    def test_declined_it_stays(self) -> None:
        self.client.post(self.unlink_url("grace"), {"decline": "1"})
        self.assertEqual(self.linked(), ["ada", "grace"])

    def test_the_last_way_to_sign_in_stays(self) -> None:
        self.client.post(self.unlink_url("grace"), {"confirm": "1"})
        response = self.client.post(self.unlink_url("ada"), {"confirm": "1"})
        self.assertContains(response, "the only way to sign in", status_code=400)
        self.assertNotContains(response, self.unlink_url("ada"), status_code=400)
        self.assertEqual(self.linked(), ["ada"])

    def test_a_password_is_a_way_to_sign_in_where_the_site_takes_them(self) -> None:
        self.client.post(self.unlink_url("grace"), {"confirm": "1"})
        url = self.unlink_url("ada")
        for backends, password, status in (
            (WITH_PASSWORDS, None, 400),
            (WITH_PASSWORDS[:1], "secret", 400),
            (WITH_PASSWORDS, "secret", 302),
        ):
            self.ada.set_password(password)
            self.ada.save()
            with override_settings(AUTHENTICATION_BACKENDS=backends):
                self.client.force_login(self.ada, backends[0])
                response = self.client.post(url, {"confirm": "1"})
            self.assertEqual(response.status_code, status)
        self.assertEqual(self.linked(), [])

    def test_an_identity_of_another_account_is_not_found(self) -> None:
        other = Client()
        self.complete(ProviderBrowser().answer(self.begin(other), "mei"), other)
        for method in (other.get, other.post):
            self.assertEqual(method(self.unlink_url("grace"), {"confirm": "1"}).status_code, 404)
        self.assertEqual(self.linked(), ["ada", "grace"])


class PageTests(LinkingTestCase):
    def test_who_is_not_signed_in_is_asked_to(self) -> None:
        urls = [
            reverse("openid-identities"),
            reverse("openid-link"),
            reverse("openid-link-confirm"),
            self.unlink_url("ada"),
        ]
        self.client.logout()
        with override_settings(LOGIN_URL="openid-login"):
            for url in urls:
                for method in (self.client.get, self.client.post):
                    response = method(url, {"confirm": "1"})
                    self.assertEqual(response.status_code, 302)
                    self.assertIn(reverse("openid-login"), response["Location"])
        self.assertEqual(self.linked(), ["ada"])

    def test_the_page_names_the_identities_of_this_account_only(self) -> None:
        other = Client()
        self.complete(ProviderBrowser().answer(self.begin(other), "mei"), other)
        page = self.client.get(reverse("openid-identities"))
        self.assertContains(page, "id/ada/")
        self.assertNotContains(page, "id/mei/")

    def test_the_pages_have_nothing_inline(self) -> None:
        self.prove("grace")
        pages = [self.client.get(reverse("openid-link-confirm"))]
        self.confirm()
        pages += [
            self.client.get(reverse("openid-identities")),
            self.client.get(self.unlink_url("grace")),
        ]
        for page in pages:
            for word in ("<script", "<style", "style=", "onload", "onclick", "javascript:"):
                self.assertNotContains(page, word)


@skipUnlessDBFeature("test_db_allows_multiple_connections", "has_select_for_update")
class RaceTests(ProviderMixin, TransactionTestCase):
    def test_of_the_last_two_identities_one_stays(self) -> None:
        user = User.objects.create_user("ada")
        identities = [
            UserOpenID.objects.create(user=user, claimed_id=f"https://x.example/{n}", display_id="")
            for n in range(2)
        ]
        barrier = threading.Barrier(2)
        statuses: list[int] = []

        def unlink(identity: UserOpenID) -> None:
            client = Client(raise_request_exception=False)
            client.force_login(user, "openid_auth.backends.OpenIDBackend")
            try:
                barrier.wait()
                url = reverse("openid-unlink", args=[identity.pk])
                statuses.append(client.post(url, {"confirm": "1"}).status_code)
            finally:
                connection.close()

        threads = [threading.Thread(target=unlink, args=[each]) for each in identities]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(UserOpenID.objects.count(), 1)
        self.assertEqual(sorted(statuses), [302, 400])
