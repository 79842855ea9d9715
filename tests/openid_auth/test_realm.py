"""A provider discovers the site: its realm names its return_to."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.test import Client, SimpleTestCase, override_settings
from django.urls import reverse
from openid import fetchers
from openid.server.trustroot import verifyReturnTo
from openid.yadis.constants import YADIS_CONTENT_TYPE

from tests.openid_auth.provider import isolated_settings, without_openid_settings

DISCOVERY = "openid_auth.middleware.RealmDiscoveryMiddleware"
LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"
RETURN_TO = "http://testserver/openid/complete/"


class SiteFetcher(fetchers.HTTPFetcher):  # type: ignore[misc]
    """How a provider's library reaches the site: by the test client."""

    def fetch(self, url: str, body: Any = None, headers: Any = None) -> fetchers.HTTPResponse:
        parts = urlsplit(url)
        response = Client().get(
            f"{parts.path}?{parts.query}",
            headers=headers or {},
            SERVER_NAME=parts.hostname,
            follow=False,
        )
        found = {name.lower(): value for name, value in response.headers.items()}
        return fetchers.HTTPResponse(url, response.status_code, found, response.content)


class RealmTests(SimpleTestCase):
    def setUp(self) -> None:
        self.enterContext(without_openid_settings())
        self.enterContext(isolated_settings(MIDDLEWARE=[DISCOVERY]))

    def get(self, path: str = "/", accept: str = YADIS_CONTENT_TYPE) -> Any:
        return self.client.get(path, headers={"Accept": accept})

    def test_the_document_names_the_callback(self) -> None:
        for response in (self.client.get(reverse("openid-xrds")), self.get()):
            self.assertEqual(response["Content-Type"], YADIS_CONTENT_TYPE)
            self.assertContains(response, "<Type>http://specs.openid.net/auth/2.0/return_to</Type>")
            self.assertContains(response, f"<URI>{RETURN_TO}</URI>")

    def test_a_page_of_the_realm_names_the_document(self) -> None:
        self.assertNotIn("X-XRDS-Location", self.get("/openid/logo.gif", "text/html"))
        with override_settings(OPENID_TRUST_ROOT="http://testserver/openid/logo.gif"):
            response = self.get("/openid/logo.gif", "text/html")
        self.assertEqual(response["X-XRDS-Location"], "http://testserver/openid/xrds/")
        self.assertIn("Accept", response["Vary"])

    def test_other_pages_and_other_methods_are_left_alone(self) -> None:
        self.assertNotEqual(self.get("/openid/logo.gif").get("Content-Type"), YADIS_CONTENT_TYPE)
        posted = self.client.post("/openid/xrds/", headers={"Accept": YADIS_CONTENT_TYPE})
        self.assertEqual(posted.status_code, 405)

    def test_a_provider_verifies_the_return_to(self) -> None:
        """As python3-openid's server does (section 9.2.1)."""
        previous = fetchers.getDefaultFetcher()
        fetchers.setDefaultFetcher(SiteFetcher(), wrap_exceptions=False)
        self.addCleanup(fetchers.setDefaultFetcher, previous, wrap_exceptions=False)
        realm = "http://testserver/"
        self.assertTrue(verifyReturnTo(realm, RETURN_TO + "?state=abc"))
        self.assertFalse(verifyReturnTo(realm, "http://testserver/elsewhere/"))
        self.assertFalse(verifyReturnTo(realm, "http://evil.example/openid/complete/"))

    def test_it_needs_no_login(self) -> None:
        middleware = [
            DISCOVERY,
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            LOGIN_REQUIRED,
        ]
        engine = "django.contrib.sessions.backends.signed_cookies"
        with override_settings(MIDDLEWARE=middleware, SESSION_ENGINE=engine):
            self.assertEqual(self.get().status_code, 200)
            self.assertEqual(self.client.get(reverse("openid-xrds")).status_code, 200)
