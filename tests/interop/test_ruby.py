"""The relying party against a provider of another code base: ruby-openid."""

from __future__ import annotations

import os
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock
from urllib.parse import parse_qs

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client, SimpleTestCase, TestCase, override_settings, tag
from django.urls import reverse

from openid_auth.fetcher import Fetcher
from openid_auth.models import Association, Nonce, UserOpenID
from openid_auth.pending import SESSION_KEY
from tests.interop.ruby import RubyProvider, is_required, missing
from tests.openid_auth.provider import (
    TEAMS_NS,
    Answer,
    isolated_settings,
    without_openid_settings,
)

User = get_user_model()


@tag("once")
class RequirementTests(SimpleTestCase):
    def test_what_is_missing_is_said_with_the_packages_to_install(self) -> None:
        self.assertEqual(
            missing(path=os.devnull), "no ruby found (apt install ruby-openid ruby-webrick)"
        )

    def test_it_is_required_when_the_environment_names_it(self) -> None:
        for value, required in (("", False), ("mysql", False), ("mysql, interop", True)):
            with self.subTest(value), mock.patch.dict(os.environ, TEST_REQUIRE=value):
                self.assertIs(is_required(), required)


@tag("once")
class RubyTestCase(TestCase):
    """``kind`` says what associations the provider makes."""

    kind = "default"
    ruby: RubyProvider

    @classmethod
    def setUpClass(cls) -> None:
        if reason := missing():
            if is_required():
                raise AssertionError(f"TEST_REQUIRE names interop, but {reason}")
            raise unittest.SkipTest(reason)
        cls.ruby = RubyProvider()
        cls.ruby.start()
        cls.addClassCleanup(cls.ruby.stop)
        cls.enterClassContext(without_openid_settings())
        cls.enterClassContext(
            isolated_settings(
                OPENID_SSO_SERVER_URL=cls.ruby.url(cls.kind),
                OPENID_ALLOW_PRIVATE_NETWORKS=True,
                OPENID_CREATE_USERS=True,
            )
        )
        super().setUpClass()

    def begin(self, **data: str) -> str:
        """Begin a login; return the address of the provider, whichever way it is sent."""
        response = self.client.post(reverse("openid-login"), data)
        self.assertEqual(response.status_code, 302, response.content.decode())
        return response["Location"]

    def complete(self, answer: Answer, client: Client | None = None) -> Any:
        browser = client or self.client
        if answer.fields:
            return browser.post(answer.url, answer.fields)
        return browser.get(answer.url)

    def sign_in(self, identity: str = "ada") -> Any:
        return self.complete(self.ruby.answer(self.begin(), identity))

    def whoami(self, client: Client | None = None) -> str:
        return (client or self.client).get(reverse("whoami")).content.decode()

    def assert_signed_in(self, response: Any, name: str = "ada") -> None:
        self.assertRedirects(response, "/")
        self.assertEqual(self.whoami(), name)
        self.assertEqual(
            UserOpenID.objects.get(user__username=name).claimed_id,
            self.ruby.identity(self.kind, name),
        )

    def assert_refused(self, response: Any, text: str) -> None:
        self.assertContains(response, text, status_code=403)
        self.assertNotIn("_auth_user_id", self.client.session)
        self.assertFalse(User.objects.exists())

    @contextmanager
    def direct_requests(self) -> Iterator[list[str]]:
        """Collect the ``openid.mode`` of what the site sends to the provider itself."""
        modes: list[str] = []
        fetch = Fetcher.fetch

        def record(fetcher: Fetcher, url: str, body: str | None = None, **options: Any) -> Any:
            modes.extend(parse_qs(body or "").get("openid.mode", []))
            return fetch(fetcher, url, body, **options)

        with mock.patch.object(Fetcher, "fetch", record):
            yield modes


class AssociationTests(RubyTestCase):
    """What the provider offers by default, in which HMAC-SHA1 and the clear come first."""

    association = "HMAC-SHA256"

    def test_a_person_signs_in_with_the_association(self) -> None:
        with self.direct_requests() as modes:
            self.assert_signed_in(self.sign_in())
        self.assertNotIn("check_authentication", modes)
        self.assertEqual(Association.objects.get().assoc_type, self.association)
        self.assertEqual(Nonce.objects.count(), 1)

    def test_a_returning_person_gets_the_same_account_by_the_same_association(self) -> None:
        self.sign_in()
        self.client.logout()
        with self.direct_requests() as modes:
            self.assert_signed_in(self.sign_in())
        self.assertEqual(modes, [])
        self.assertEqual(User.objects.count(), 1)


class SHA256Tests(AssociationTests):
    kind = "sha256"


class SHA1Tests(AssociationTests):
    """The provider refuses HMAC-SHA256 and says what it takes (section 8.2.4)."""

    kind = "sha1"
    association = "HMAC-SHA1"


class StatelessTests(RubyTestCase):
    """The provider makes no association, and checks its answer itself (section 11.4.2)."""

    kind = "none"

    def test_a_person_signs_in(self) -> None:
        with self.direct_requests() as modes:
            self.assert_signed_in(self.sign_in())
        self.assertEqual(modes[-1], "check_authentication")
        self.assertFalse(Association.objects.exists())
        self.assertEqual(Nonce.objects.count(), 1)

    def test_what_was_changed_on_the_way_the_provider_does_not_confirm(self) -> None:
        answer = self.ruby.answer(self.begin())
        name = "openid.sreg.nickname"
        self.assertEqual(answer.parameters[name], "ada")
        changed = Answer(
            answer.url.replace(f"{name}=ada", f"{name}=eve"),
            {**answer.fields, **({name: "eve"} if answer.fields else {})},
        )
        self.assertEqual(changed.parameters[name], "eve")
        with self.direct_requests() as modes:
            self.assert_refused(self.complete(changed), "could not be verified")
        self.assertEqual(modes, ["check_authentication"])

    def test_the_same_answer_does_not_count_twice(self) -> None:
        answer = self.ruby.answer(self.begin())
        pending = self.client.session[SESSION_KEY]
        self.assert_signed_in(self.complete(answer))
        self.client.logout()
        session = self.client.session
        session[SESSION_KEY] = pending
        session.save()
        self.assertEqual(self.complete(answer).status_code, 403)
        self.assertEqual(self.whoami(), "nobody")


class ClearSecretTests(StatelessTests):
    """The provider would only send the secret in the clear, so there is no association."""

    kind = "clear"


class ForgetfulProviderTests(RubyTestCase):
    """A provider that was started anew names the handle that it no longer knows."""

    def test_a_login_begun_before_is_completed(self) -> None:
        url = self.begin()
        self.ruby.forget()
        answer = self.ruby.answer(url)
        self.assertIn("openid.invalidate_handle", answer.parameters)
        with self.direct_requests() as modes:
            self.assert_signed_in(self.complete(answer))
        self.assertEqual(modes, ["check_authentication"])
        self.assertFalse(Association.objects.exists())

    def test_the_next_login_makes_a_new_association(self) -> None:
        self.sign_in()
        self.ruby.forget()
        self.client.logout()
        self.assert_signed_in(self.sign_in())
        self.client.logout()
        with self.direct_requests() as modes:
            self.assert_signed_in(self.sign_in())
        self.assertEqual(modes, ["associate"])


class ExtensionTests(RubyTestCase):
    def test_details_come_by_simple_registration_and_attribute_exchange(self) -> None:
        answer = self.ruby.answer(self.begin(), "jose")
        self.assertEqual(answer.parameters["openid.sreg.email"], "jose@example.org")
        self.assertIn("fetch_response", answer.parameters.values())
        self.assert_signed_in(self.complete(answer), "jose")
        user = User.objects.get()
        self.assertEqual(user.email, "jose@example.org")
        self.assertEqual((user.first_name, user.last_name), ("José", "Ångström"))

    def test_attribute_exchange_alone_is_enough(self) -> None:
        url = self.begin()
        self.assertIn("openid.sreg.", url)
        # The person's browser can leave a question out; the provider then answers the rest.
        without = "&".join(part for part in url.split("&") if not part.startswith("openid.sreg."))
        answer = self.ruby.answer(without)
        self.assertNotIn("openid.sreg.email", answer.parameters)
        self.assert_signed_in(self.complete(answer))
        self.assertEqual(User.objects.get().email, "ada@example.org")

    @override_settings(
        OPENID_LAUNCHPAD_TEAMS_MAPPING={"drivers": "drivers", "docs": "docs"},
        OPENID_LAUNCHPAD_STAFF_TEAMS=["kernel"],
    )
    def test_teams_become_groups_and_the_staff_flag(self) -> None:
        for name in ("drivers", "docs"):
            Group.objects.create(name=name)
        answer = self.ruby.answer(self.begin())
        self.assertIn(TEAMS_NS, answer.parameters.values())
        self.assert_signed_in(self.complete(answer))
        user = User.objects.get()
        self.assertEqual([group.name for group in user.groups.all()], ["drivers"])
        self.assertTrue(user.is_staff)

    @override_settings(OPENID_LAUNCHPAD_TEAMS_REQUIRED=["drivers"])
    def test_somebody_who_is_in_no_required_team_is_refused(self) -> None:
        self.assert_refused(self.sign_in("jose"), "drivers")

    @override_settings(OPENID_LAUNCHPAD_TEAMS_REQUIRED=[f"team-{n}-" + "x" * 40 for n in range(30)])
    def test_a_long_request_goes_by_a_form(self) -> None:
        response = self.client.post(reverse("openid-login"))
        self.assertContains(response, f'action="{self.ruby.root}/default/endpoint"')


class AnswerTests(RubyTestCase):
    def test_cancel_is_said_so(self) -> None:
        answer = self.ruby.answer(self.begin(), decision="cancel")
        self.assert_refused(self.complete(answer), "The sign-in was cancelled.")

    def immediate(self) -> str:
        url = self.begin()
        self.assertIn("openid.mode=checkid_setup", url)
        return url.replace("openid.mode=checkid_setup", "openid.mode=checkid_immediate")

    def test_setup_needed_is_said_so(self) -> None:
        answer = self.ruby.answer(self.immediate(), identity="")
        self.assertEqual(answer.parameters["openid.mode"], "setup_needed")
        self.assert_refused(self.complete(answer), "needs to ask you something first")

    def test_an_immediate_answer_signs_in(self) -> None:
        self.assert_signed_in(self.complete(self.ruby.answer(self.immediate())))

    def test_an_answer_counts_once(self) -> None:
        answer = self.ruby.answer(self.begin())
        self.assert_signed_in(self.complete(answer))
        self.client.logout()
        self.assertContains(self.complete(answer), "No sign-in was begun", status_code=403)
        self.assertEqual(self.whoami(), "nobody")

    def test_an_answer_does_not_count_in_another_browser(self) -> None:
        answer = self.ruby.answer(self.begin())
        other = Client()
        self.assertNotEqual(self.complete(answer, other).status_code, 302)
        self.assertEqual(self.whoami(other), "nobody")
        self.assertFalse(User.objects.exists())

    def test_an_answer_of_the_same_provider_at_another_endpoint_is_refused(self) -> None:
        url = self.begin()
        elsewhere = url.replace("/default/endpoint", "/sha256/endpoint")
        self.assertNotEqual(url, elsewhere)
        answer = self.ruby.answer(elsewhere)
        self.assert_refused(self.complete(answer), "could not be verified")

    def test_somebody_else_of_the_provider_is_somebody_else(self) -> None:
        self.assert_signed_in(self.sign_in("ada"))
        self.client.logout()
        self.assert_signed_in(self.sign_in("jose"), "jose")
        self.assertEqual(User.objects.count(), 2)


@override_settings(OPENID_SSO_SERVER_URL=None)
class TypedIdentifierTests(RubyTestCase):
    def test_the_identifier_of_a_person_is_the_one_signed_in(self) -> None:
        claimed_id = self.ruby.identity(self.kind, "ada")
        answer = self.ruby.answer(self.begin(openid_identifier=claimed_id))
        self.assertRedirects(self.complete(answer), "/")
        self.assertEqual(UserOpenID.objects.get().claimed_id, claimed_id)
