"""What each setting changes in what the site asks for, and whom it asks."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import override_settings
from django.urls import reverse

from tests.openid_auth.provider import (
    AX_NS,
    PAPE_NS,
    SREG_NS,
    TEAMS_NS,
    ForgingTestCase,
    FormParser,
    ProviderTestCase,
)

User = get_user_model()
VALIDATION = "http://ns.login.ubuntu.com/2013/validation/account"


class RequestTests(ProviderTestCase):
    def asked(self, **settings: Any) -> dict[str, str]:
        """Begin a login under ``settings``; return what is asked, without the prefix."""
        with override_settings(**settings):
            response = self.client.post(reverse("openid-login"))
        if response.status_code == 302:
            query = parse_qs(urlsplit(response["Location"]).query)
            fields = {name: values[0] for name, values in query.items()}
        else:
            fields = FormParser(response.content.decode()).fields
        return {name.removeprefix("openid."): value for name, value in fields.items()}

    def alias(self, asked: dict[str, str], ns_uri: str) -> str:
        """Return the alias of an extension in the request, ``""`` if it is not there."""
        return next((name[3:] for name, uri in asked.items() if uri == ns_uri), "")

    def test_details_are_asked_for_by_sreg_and_ax_in_one_request(self) -> None:
        asked = self.asked()
        self.assertEqual(asked["sreg.optional"], "email,fullname,nickname")
        self.assertEqual(self.alias(asked, SREG_NS), "sreg")
        self.assertEqual(asked[f"{self.alias(asked, AX_NS)}.mode"], "fetch_request")

    def test_sreg_extra_fields(self) -> None:
        for value, optional in (
            ([], "email,fullname,nickname"),
            (["language", "email"], "email,fullname,nickname,language"),
            (["shoe size"], "email,fullname,nickname"),  # Simple Registration knows nine fields
        ):
            asked = self.asked(OPENID_SREG_EXTRA_FIELDS=value)
            self.assertEqual(asked["sreg.optional"], optional)

    def test_sreg_required_fields(self) -> None:
        self.assertNotIn("sreg.required", self.asked(OPENID_SREG_REQUIRED_FIELDS=[]))
        asked = self.asked(OPENID_SREG_REQUIRED_FIELDS=["email", "language"])
        self.assertEqual(asked["sreg.required"], "email,language")
        self.assertEqual(asked["sreg.optional"], "fullname,nickname")

    def test_a_second_factor_is_asked_for_if_it_is_required(self) -> None:
        for required in (False, True):
            asked = self.asked(OPENID_PHYSICAL_MULTIFACTOR_REQUIRED=required)
            self.assertEqual(bool(self.alias(asked, PAPE_NS)), required)

    def test_the_verification_scheme_is_asked_for_from_whom_one_counts(self) -> None:
        endpoint = self.server.url + "endpoint/"
        for schemes, expected in (
            ({}, False),
            ({None: (), endpoint: ("token_via_email",)}, True),
            ({None: ("token_via_email",)}, True),
            ({None: ("token_via_email",), endpoint: ()}, False),
        ):
            asked = self.asked(OPENID_VALID_VERIFICATION_SCHEMES=schemes)
            self.assertEqual(VALIDATION in asked.values(), expected, schemes)

    def test_teams_are_asked_for_that_decide_about_anything(self) -> None:
        Group.objects.all().delete()
        for name in ("first", "second"):
            Group.objects.create(name=name)
        for settings, teams in (
            ({}, None),
            ({"OPENID_LAUNCHPAD_TEAMS_MAPPING": {"a": "b"}}, "a"),
            ({"OPENID_LAUNCHPAD_TEAMS_REQUIRED": ["r"]}, "r"),
            ({"OPENID_LAUNCHPAD_STAFF_TEAMS": ["s"]}, "s"),
            ({"OPENID_LAUNCHPAD_TEAMS_MAPPING_AUTO": False}, None),
            ({"OPENID_LAUNCHPAD_TEAMS_MAPPING_AUTO": True}, "first,second"),
            (
                {
                    "OPENID_LAUNCHPAD_TEAMS_MAPPING_AUTO": True,
                    "OPENID_LAUNCHPAD_TEAMS_MAPPING_AUTO_BLACKLIST": ["first"],
                    "OPENID_LAUNCHPAD_TEAMS_MAPPING": {"not": "used"},
                },
                "second",
            ),
        ):
            asked = self.asked(**settings)
            alias = self.alias(asked, TEAMS_NS)
            self.assertEqual(asked.get(f"{alias}.query_membership"), teams, settings)

    def test_trust_root(self) -> None:
        self.assertEqual(self.asked(OPENID_TRUST_ROOT=None)["realm"], "http://testserver/")
        asked = self.asked(OPENID_TRUST_ROOT="http://*.testserver/")
        self.assertEqual(asked["realm"], "http://*.testserver/")


class WhomTests(ProviderTestCase):
    def begin_status(self, **data: str) -> int:
        return int(self.client.post(reverse("openid-login"), data).status_code)

    def test_private_networks(self) -> None:
        """The provider of the tests is on loopback."""
        for value, status in (
            (False, 400),
            (["10.0.0.0/8"], 400),
            (["127.0.0.0/8"], 302),
            (True, 302),
        ):
            with override_settings(OPENID_ALLOW_PRIVATE_NETWORKS=value, OPENID_DISCOVERY_SECONDS=0):
                self.assertEqual(self.begin_status(), status, value)

    def test_a_typed_identifier(self) -> None:
        typed = {"provider": "", "openid_identifier": f"{self.server.url}id/ada/"}
        providers = {"home": {"url": self.server.url}}
        for settings, status in (
            ({"OPENID_PROVIDERS": {}}, 302),
            ({"OPENID_PROVIDERS": {}, "OPENID_ALLOW_TYPED_IDENTIFIER": False}, 400),
            ({"OPENID_PROVIDERS": providers}, 400),
            ({"OPENID_PROVIDERS": providers, "OPENID_ALLOW_TYPED_IDENTIFIER": True}, 302),
            ({"OPENID_SSO_SERVER_URL": self.server.url}, 400),
        ):
            settings = {"OPENID_SSO_SERVER_URL": None, **settings}
            with override_settings(**settings):
                self.assertEqual(self.begin_status(**typed), status, settings)

    def test_a_provider_has_a_label_and_an_icon(self) -> None:
        providers = {
            "home": {"url": self.server.url, "label": "Home <1>", "icon": "/static/home.svg"},
            "away": {"url": "http://127.0.0.1:9/"},
        }
        with override_settings(OPENID_SSO_SERVER_URL=None, OPENID_PROVIDERS=providers):
            page = self.client.get(reverse("openid-login"))
        self.assertContains(page, "Sign in with Home &lt;1&gt;")
        self.assertContains(page, "Sign in with away")
        self.assertContains(page, '<img src="/static/home.svg" alt=""', count=1)


class UsernameSettingTests(ForgingTestCase):
    def name_of(self, nickname: str | None, email: str | None, **settings: bool) -> str:
        User.objects.all().delete()
        self.client.logout()
        fields = self.fields(ns__sreg=SREG_NS, sreg__nickname=nickname, sreg__email=email)
        with override_settings(**settings):
            self.deliver(self.sign(fields))
        return self.whoami()

    def test_email_for_username(self) -> None:
        email = "ada.l@example.org"
        for value, nickname, name in (
            (False, None, "openiduser"),
            (True, None, "adalexampleorg"),
            (True, "ada", "ada"),
        ):
            found = self.name_of(nickname, email, OPENID_USE_EMAIL_FOR_USERNAME=value)
            self.assertEqual(found, name)

    def test_strict_usernames(self) -> None:
        for value, name in ((False, "openiduser"), (True, "nobody")):
            self.assertEqual(self.name_of(None, None, OPENID_STRICT_USERNAMES=value), name)

    def test_renames_are_followed_with_updates_only(self) -> None:
        for update, follow, name in (
            (False, True, "ada"),
            (True, False, "ada"),
            (True, True, "countess"),
        ):
            self.name_of("ada", None)
            fields = self.fields(ns__sreg=SREG_NS, sreg__nickname="countess")
            with override_settings(
                OPENID_UPDATE_DETAILS_FROM_SREG=update, OPENID_FOLLOW_RENAMES=follow
            ):
                self.deliver(self.sign(fields))
            self.assertEqual(User.objects.get().username, name)
