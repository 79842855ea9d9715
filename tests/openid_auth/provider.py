"""A browser at the real provider, and a second provider that signs whatever a test wants."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from unittest import mock
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import urllib3
from django.conf import settings
from django.core.cache import caches
from django.test import Client, TestCase, override_settings
from django.urls import reverse
from openid.association import Association
from openid.message import OPENID2_NS
from openid.store.nonce import mkNonce

from example_site.provider.server import ProviderServer
from openid_auth.conf import conf
from openid_auth.fetcher import Fetcher, FetchError
from openid_auth.pending import SESSION_KEY
from openid_auth.store import DatabaseStore

TEAMS_NS = "http://ns.launchpad.net/2007/openid-teams"
SREG_NS = "http://openid.net/extensions/sreg/1.1"
AX_NS = "http://openid.net/srv/ax/1.0"
PAPE_NS = "http://specs.openid.net/extensions/pape/1.0"
PHYSICAL = "http://schemas.openid.net/pape/policies/2007/06/multi-factor-physical"

OPENID_SETTINGS = [name for name in dir(settings) if name.startswith("OPENID_")]


class FormParser(HTMLParser):
    """The first form of a page: its action and the values of its hidden fields."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form" and not self.action:
            self.action = values.get("action", "")
        elif tag == "input" and values.get("type") == "hidden":
            self.fields[values["name"]] = values.get("value", "")


@dataclass
class Answer:
    """What the provider sends through the browser: by address, or by a form."""

    url: str
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True)) | self.fields


class ProviderBrowser:
    """A person's browser at the provider."""

    def __init__(self) -> None:
        self.http = urllib3.PoolManager(retries=False)
        self.cookies: dict[str, str] = {}

    def request(self, method: str, url: str, fields: dict[str, str] | None = None) -> Any:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        response = self.http.request(
            method,
            url,
            body=None if fields is None else urlencode(fields),
            headers={"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"},
            redirect=False,
        )
        for line in response.headers.getlist("Set-Cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return response

    def answer(self, url: str, identity: str = "ada", button: str = "approve") -> Answer:
        """Follow ``url`` to the provider, pick ``identity`` and press ``button``."""
        page = self.request("GET", url)
        assert page.status == 200, page.data
        form = FormParser(page.data.decode())
        fields = {**form.fields, "identity": identity, button: "1"}
        decided = self.request("POST", urljoin(url, form.action), fields)
        if decided.status == 302:
            return Answer(decided.headers["Location"])
        form = FormParser(decided.data.decode())
        return Answer(form.action, form.fields)


# The templates of the packages, and none of the site's.
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


def isolated_settings(**settings_of_the_test: Any) -> override_settings:
    """Override settings, and take away what the site's own settings say about OpenID."""
    isolated = {
        "ROOT_URLCONF": "tests.openid_auth.urls",
        "TEMPLATES": TEMPLATES,
        "LOGIN_REDIRECT_URL": "/",
        "ALLOWED_HOSTS": ["testserver", "127.0.0.1"],
        "AUTHENTICATION_BACKENDS": ["openid_auth.backends.OpenIDBackend"],
    }
    return override_settings(**(isolated | settings_of_the_test))


class ProviderMixin:
    """Runs the development provider; ``self.client`` is the person's browser at the site."""

    server: ProviderServer
    client: Client

    def setUp(self) -> None:
        super().setUp()
        # What one test cached or counted is none of the next one's business.
        caches[conf.OPENID_CACHE].clear()

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = ProviderServer()
        cls.server.start()
        cls.enterClassContext(without_openid_settings())
        cls.enterClassContext(
            isolated_settings(
                OPENID_SSO_SERVER_URL=cls.server.url,
                OPENID_ALLOW_PRIVATE_NETWORKS=True,
                OPENID_CREATE_USERS=True,
            )
        )
        super().setUpClass()

    @classmethod
    def tearDownClass(cls) -> None:
        super().tearDownClass()
        cls.server.stop()

    def begin(self, client: Client | None = None, **data: str) -> str:
        """Begin a login; return the address of the provider that the browser is sent to."""
        response = (client or self.client).post(reverse("openid-login"), data)
        self.assertEqual(response.status_code, 302, response.content.decode())
        return response["Location"]

    def complete(self, answer: Answer, client: Client | None = None) -> Any:
        """Bring the provider's answer to the site."""
        browser = client or self.client
        if answer.fields:
            return browser.post(answer.url, answer.fields)
        return browser.get(answer.url)

    def sign_in(self, identity: str = "ada", **data: str) -> Any:
        """Sign in as one of the provider's people; return the site's response."""
        return self.complete(ProviderBrowser().answer(self.begin(**data), identity))

    def whoami(self, client: Client | None = None) -> str:
        return (client or self.client).get(reverse("whoami")).content.decode()

    @contextmanager
    def no_fetch(self) -> Iterator[None]:
        """Fail if the site fetches anything."""
        with mock.patch.object(Fetcher, "fetch", autospec=True, side_effect=FetchError) as fetch:
            yield
        self.assertEqual(fetch.call_args_list, [])

    def assert_refused(self, response: Any, text: str = "") -> None:
        self.assertContains(response, text, status_code=403)
        self.assertNotIn("_auth_user_id", self.client.session)


class without_openid_settings(override_settings):
    """What the site's settings say about OpenID is not there during a test."""

    def enable(self) -> None:
        super().enable()
        for name in OPENID_SETTINGS:
            delattr(settings, name)


class ProviderTestCase(ProviderMixin, TestCase):
    """Tests against the development provider over HTTP on loopback."""


class ForgingMixin(ProviderMixin):
    """The site shares a secret with the tests, so these can sign what no provider would send."""

    def setUp(self) -> None:
        super().setUp()
        self.secret = Association.fromExpiresIn(3600, "known", b"s" * 32, "HMAC-SHA256")
        self.endpoint = self.server.url + "endpoint/"
        DatabaseStore().storeAssociation(self.endpoint, self.secret)

    def claimed_id(self, name: str = "ada") -> str:
        return f"{self.server.url}id/{name}/"

    def return_to(self, client: Client | None = None) -> str:
        """Begin a login and return its return_to."""
        self.begin(client)
        logins = (client or self.client).session[SESSION_KEY]
        return list(logins.values())[-1]["return_to"]

    def fields(self, **fields: str | None) -> dict[str, str]:
        """Return the fields of an assertion, without prefix; None leaves one out.

        The double underscore of a keyword stands for the dot in a name.
        """
        given = {
            "ns": OPENID2_NS,
            "mode": "id_res",
            "op_endpoint": self.endpoint,
            "claimed_id": self.claimed_id(),
            "identity": self.claimed_id(),
            "response_nonce": mkNonce(),
            "assoc_handle": "known",
            **{name.replace("__", "."): value for name, value in fields.items()},
        }
        if "return_to" not in given:
            given["return_to"] = self.return_to()
        return {name: value for name, value in given.items() if value is not None}

    def sign(self, fields: dict[str, str], signed: list[str] | None = None) -> dict[str, str]:
        """Return the signed parameters, with prefix; ``signed`` are the names that are covered."""
        fields = dict(fields)
        fields["signed"] = ",".join(signed if signed is not None else sorted(fields))
        pairs = [(name, fields.get(name, "")) for name in fields["signed"].split(",")]
        fields["sig"] = base64.b64encode(self.secret.sign(pairs)).decode()
        return {f"openid.{name}": value for name, value in fields.items()}

    def deliver(self, parameters: dict[str, str], client: Client | None = None) -> Any:
        """Bring parameters to the site as the provider's answer."""
        query = dict(parse_qsl(urlsplit(parameters.get("openid.return_to", "")).query))
        return (client or self.client).get(reverse("openid-complete"), {**query, **parameters})

    def assert_signs_in(self, response: Any) -> None:
        self.assertEqual(response.status_code, 302, response.content.decode())


class ForgingTestCase(ForgingMixin, TestCase):
    """Tests that sign for the provider."""
