"""The development provider itself."""

from __future__ import annotations

from unittest import mock
from urllib.parse import urlencode

import urllib3
from django.apps import apps
from django.test import SimpleTestCase
from openid.message import IDENTIFIER_SELECT, OPENID2_NS

from example_site.provider.checks import check_debug
from example_site.provider.identities import IDENTITIES
from example_site.provider.server import ProviderServer
from tests.openid_auth.provider import ProviderBrowser, isolated_settings


class ProviderTests(SimpleTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.server = ProviderServer()
        cls.server.start()
        cls.addClassCleanup(cls.server.stop)
        cls.enterClassContext(isolated_settings())

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        return urllib3.request("GET", self.server.url + path, headers=headers, retries=False)

    def checkid(self, mode: str = "checkid_setup", query: str = "") -> str:
        return "endpoint/?" + urlencode(
            {
                "openid.ns": OPENID2_NS,
                "openid.mode": mode,
                "openid.claimed_id": IDENTIFIER_SELECT,
                "openid.identity": IDENTIFIER_SELECT,
                "openid.return_to": "http://127.0.0.1:1/complete/" + query,
                "openid.realm": "http://127.0.0.1:1/",
            }
        )

    def test_it_says_that_it_is_for_development(self) -> None:
        for path in ("", "id/ada/", self.checkid()):
            self.assertIn(b"For development only", self.get(path).data)

    def test_discovery_by_accept_header_and_by_location_header(self) -> None:
        for path, kind in (("", "server"), ("id/ada/", "signon")):
            type_uri = f"http://specs.openid.net/auth/2.0/{kind}".encode()
            self.assertIn(type_uri, self.get(path, Accept="application/xrds+xml").data)
            location = self.get(path).headers["X-XRDS-Location"]
            self.assertIn(type_uri, urllib3.request("GET", location).data)

    def test_an_unknown_identity_is_not_found(self) -> None:
        self.assertEqual(self.get("id/nobody/").status, 404)

    def test_two_people_drive_the_summit_and_one_is_in_no_team(self) -> None:
        drivers = [p for p in IDENTITIES.values() if "summit-drivers" in p.teams]
        self.assertEqual(len(drivers), 2)
        self.assertEqual([p.name for p in IDENTITIES.values() if not p.teams], ["nora"])

    def test_the_page_has_nothing_inline(self) -> None:
        page = self.get(self.checkid()).data.decode()
        for word in ("<script", "<style", "style=", "onload", "onclick"):
            self.assertNotIn(word, page)

    def test_an_immediate_request_needs_setup_until_somebody_signed_in(self) -> None:
        url = self.server.url + self.checkid("checkid_immediate")
        browser = ProviderBrowser()
        self.assertIn("setup_needed", browser.request("GET", url).headers["Location"])
        browser.answer(self.server.url + self.checkid(), "mei")
        location = browser.request("GET", url).headers["Location"]
        self.assertIn("id%2Fmei%2F", location)

    def test_a_long_answer_goes_by_a_form_with_a_button(self) -> None:
        url = self.server.url + self.checkid(query="?long=" + "x" * 5000)
        answer = ProviderBrowser().answer(url)
        self.assertTrue(answer.url.startswith("http://127.0.0.1:1/complete/?long=xxx"))
        self.assertEqual(answer.fields["openid.mode"], "id_res")

    def test_a_malformed_request_gets_a_page_that_says_so(self) -> None:
        response = self.get("endpoint/?openid.mode=nonsense")
        self.assertEqual(response.status, 400)
        self.assertIn(b"This did not work", response.data)

    def test_a_made_up_decision_is_refused(self) -> None:
        browser = ProviderBrowser()
        browser.request("GET", self.server.url + self.checkid())
        fields = {"csrfmiddlewaretoken": browser.cookies["csrftoken"], "request": "made:up"}
        response = browser.request("POST", self.server.url + "decide/", fields)
        self.assertEqual(response.status, 400)

    def test_outside_debug_it_refuses(self) -> None:
        with mock.patch.object(apps.get_app_config("provider"), "debug", False):
            for path in ("", "id/ada/", self.checkid()):
                self.assertEqual(self.get(path).status, 403)
            (error,) = check_debug()
        self.assertEqual(error.id, "provider.E001")
        self.assertEqual(check_debug(), [])
