"""Attacks on the callback: forged, foreign, and replayed assertions."""

from __future__ import annotations

import time
from unittest import mock

from django.contrib.auth import get_user_model
from django.test import Client, override_settings
from django.urls import reverse
from openid.store.nonce import mkNonce

from openid_auth import verification
from openid_auth.fetcher import Fetcher, FetchError
from openid_auth.models import Nonce
from openid_auth.pending import SESSION_KEY
from openid_auth.store import NONCE_SKEW
from tests.openid_auth.provider import (
    TEAMS_NS,
    ForgingTestCase,
    ProviderBrowser,
    ProviderTestCase,
)

User = get_user_model()


class ReplayTests(ProviderTestCase):
    def test_a_callback_counts_once(self) -> None:
        answer = ProviderBrowser().answer(self.begin())
        self.complete(answer)
        self.client.logout()
        with self.no_fetch():
            self.assert_refused(self.complete(answer), "No sign-in was begun in this browser")

    def test_a_callback_counts_once_even_if_the_session_is_put_back(self) -> None:
        answer = ProviderBrowser().answer(self.begin())
        pending = self.client.session[SESSION_KEY]
        self.complete(answer)
        self.client.logout()
        session = self.client.session
        session[SESSION_KEY] = pending
        session.save()
        with self.no_fetch(), self.assertLogs("openid_auth", "WARNING") as logs:
            self.assert_refused(self.complete(answer))
        self.assertIn("nonce used before", logs.output[0])

    def test_a_callback_does_not_count_in_another_browser(self) -> None:
        answer = ProviderBrowser().answer(self.begin())
        other = Client()
        with self.no_fetch():
            response = self.complete(answer, other)
        if answer.fields:
            response = other.post(answer.url, {**answer.fields, "from_here": "1"})
        self.assertContains(response, "No sign-in was begun in this browser", status_code=403)
        self.assertEqual(self.whoami(other), "nobody")
        self.assertFalse(User.objects.exists())

    def test_nor_in_another_browser_that_began_a_login_too(self) -> None:
        answer = ProviderBrowser().answer(self.begin())
        other = Client()
        self.begin(other)
        self.assertEqual(self.complete(answer, other).status_code, 403)
        (state,) = other.session[SESSION_KEY]
        swapped = answer.url.replace(answer.parameters["state"], state)
        if not answer.fields:
            self.assertEqual(other.get(swapped).status_code, 403)
        self.assertEqual(self.whoami(other), "nobody")


class NonceTests(ForgingTestCase):
    def test_a_nonce_of_now_signs_in(self) -> None:
        self.assert_signs_in(self.deliver(self.sign(self.fields())))
        self.assertEqual(User.objects.count(), 1)

    def test_a_nonce_is_used_once(self) -> None:
        nonce = mkNonce()
        self.deliver(self.sign(self.fields(response_nonce=nonce)))
        self.client.logout()
        parameters = self.sign(self.fields(response_nonce=nonce))
        with self.no_fetch():
            self.assert_refused(self.deliver(parameters))

    def test_a_nonce_out_of_time_is_refused(self) -> None:
        now = int(time.time())
        for when in (now - NONCE_SKEW - 60, now + NONCE_SKEW + 60):
            parameters = self.sign(self.fields(response_nonce=mkNonce(when)))
            with self.subTest(when=when), self.no_fetch():
                self.assert_refused(self.deliver(parameters))
        self.assertFalse(Nonce.objects.exists())


class UnsolicitedTests(ForgingTestCase):
    def test_an_assertion_nobody_asked_for_is_refused_without_a_fetch(self) -> None:
        parameters = self.sign(
            self.fields(return_to="http://testserver/openid/complete/", assoc_handle="unknown")
        )
        with self.no_fetch():
            self.assert_refused(self.deliver(parameters))
        self.assertFalse(User.objects.exists())

    def test_an_assertion_of_another_endpoint_is_refused_without_a_fetch(self) -> None:
        """Under single sign-on this made anybody with a provider of their own staff."""
        evil = "http://evil.example/endpoint"
        with override_settings(OPENID_LAUNCHPAD_STAFF_TEAMS=["admins"]):
            parameters = self.sign(
                self.fields(
                    op_endpoint=evil,
                    claimed_id="http://evil.example/me",
                    identity="http://evil.example/me",
                    assoc_handle="unknown",
                    ns__lp=TEAMS_NS,
                    lp__is_member="admins",
                )
            )
            with self.no_fetch():
                self.assert_refused(self.deliver(parameters))
        self.assertFalse(User.objects.exists())

    def test_a_bad_signature_is_refused_without_a_fetch(self) -> None:
        parameters = self.sign(self.fields())
        parameters["openid.claimed_id"] = parameters["openid.identity"] = "http://evil.example/me"
        with self.no_fetch():
            self.assert_refused(self.deliver(parameters))
        self.assertFalse(Nonce.objects.exists())

    def test_with_an_unknown_association_only_the_endpoint_is_asked(self) -> None:
        parameters = self.sign(
            self.fields(
                assoc_handle="unknown",
                claimed_id="http://evil.example/me",
                identity="http://evil.example/me",
            )
        )
        fetched = []

        def fetch(fetcher: object, url: str, *args: object, **kwargs: object) -> None:
            fetched.append(url)
            raise FetchError("stop")

        with mock.patch.object(Fetcher, "fetch", fetch):
            self.assert_refused(self.deliver(parameters))
        self.assertEqual(fetched, [self.endpoint])

    def test_an_identity_of_another_provider_is_refused(self) -> None:
        """The signature is good, but discovery says that it is not this provider's to give."""
        with self.assertLogs("openid_auth", "WARNING") as logs:
            someone = self.server.url + "provider.css"
            response = self.deliver(self.sign(self.fields(claimed_id=someone, identity=someone)))
        self.assert_refused(response)
        self.assertIn("discovery", logs.output[-1])
        self.assertFalse(User.objects.exists())


class SignatureTests(ForgingTestCase):
    def test_each_field_that_has_to_be_signed_is(self) -> None:
        for name in verification.SIGNED:
            fields = self.fields()
            parameters = self.sign(fields, [field for field in fields if field != name])
            with self.subTest(name), self.no_fetch():
                self.assert_refused(self.deliver(parameters))

    def test_each_field_that_is_required_is_missed(self) -> None:
        for name in verification.SIGNED:
            parameters = self.sign(self.fields(**{name: None}))
            parameters.setdefault("openid.return_to", self.return_to())
            with self.subTest(name), self.no_fetch():
                self.assert_refused(self.deliver(parameters))

    def test_a_signed_field_that_is_absent_is_refused(self) -> None:
        fields = self.fields()
        parameters = self.sign(fields, [*fields, "lp.is_member"])
        with self.no_fetch():
            self.assert_refused(self.deliver(parameters))

    def test_a_doubled_field_is_refused(self) -> None:
        parameters = self.sign(self.fields())
        url = reverse("openid-complete")
        twice = {**parameters, "openid.claimed_id": [parameters["openid.claimed_id"], "x"]}
        state = parameters["openid.return_to"].partition("state=")[2]
        with self.no_fetch():
            self.assert_refused(self.client.get(url, {**twice, "state": state}))

    def test_a_field_in_both_address_and_body_is_refused(self) -> None:
        parameters = self.sign(self.fields())
        state = parameters["openid.return_to"].partition("state=")[2]
        url = f"{reverse('openid-complete')}?state={state}&openid.mode=id_res"
        with self.no_fetch():
            self.assert_refused(self.client.post(url, parameters))

    def test_the_return_to_of_another_login_is_refused(self) -> None:
        first, second = self.return_to(), self.return_to()
        parameters = self.sign(self.fields(return_to=first))
        state = second.partition("state=")[2]
        with self.no_fetch():
            response = self.client.get(reverse("openid-complete"), {**parameters, "state": state})
        self.assert_refused(response)

    def test_another_host_is_refused(self) -> None:
        parameters = self.sign(self.fields())
        state = parameters["openid.return_to"].partition("state=")[2]
        response = self.client.get(
            reverse("openid-complete"), {**parameters, "state": state}, HTTP_HOST="127.0.0.1"
        )
        self.assertEqual(response.status_code, 403)
        self.assertFalse(User.objects.exists())
