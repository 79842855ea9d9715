"""Callbacks that are no assertion at all get a page that says so."""

from __future__ import annotations

import os

from django.contrib.auth import get_user_model
from django.urls import reverse
from openid.store.nonce import mkNonce

from tests.openid_auth.provider import (
    SREG_NS,
    ForgingTestCase,
)

User = get_user_model()


class MalformedTests(ForgingTestCase):
    """None of these may give an error page of the server, or a fetch."""

    def assert_said_clearly(self, parameters: dict[str, str]) -> None:
        with self.no_fetch():
            response = self.deliver(parameters)
        self.assert_refused(response, "Sign in again")

    def test_nothing_at_all(self) -> None:
        self.assert_said_clearly({})

    def test_no_mode(self) -> None:
        parameters = self.sign(self.fields(mode=None))
        self.assert_said_clearly(parameters)

    def test_modes(self) -> None:
        for mode in ("setup_needed", "error", "cancel", "checkid_setup", "Invalid", "\x00", "é"):
            with self.subTest(mode):
                self.assert_said_clearly(self.sign(self.fields(mode=mode)))

    def test_setup_needed_says_so(self) -> None:
        response = self.deliver(self.sign(self.fields(mode="setup_needed")))
        self.assert_refused(response, "needs to ask you something")

    def test_the_text_of_an_error_is_not_shown(self) -> None:
        parameters = self.sign(self.fields(mode="error", error="<b>call 555</b>"))
        self.assertNotContains(self.deliver(parameters), "555", status_code=403)

    def test_namespaces(self) -> None:
        for extra in (
            {"ns": "http://openid.net/signon/1.1"},
            {"ns": "http://evil.example/"},
            {"ns": ""},
            {"ns": None},
            {"ns.sig": SREG_NS},
            {"ns.a.b": SREG_NS},
            {"ns.": SREG_NS},
            {"ns.a": ""},
            {"ns.a": SREG_NS, "ns.b": SREG_NS},
            {"ns.a": "http://specs.openid.net/auth/2.0"},
            {"ns.a": "sreg"},
        ):
            with self.subTest(extra):
                fields = {k: v for k, v in (self.fields() | extra).items() if v is not None}
                response = self.deliver(self.sign(fields))
                self.assertIn(response.status_code, (302, 403))
                self.client.logout()

    def test_values(self) -> None:
        for extra in (
            {"signed": "a"},
            {"response_nonce": "x"},
            {"response_nonce": mkNonce()[:20] + "\x00"},
            {"response_nonce": mkNonce() + "x" * 300},
            {"response_nonce": "9999-99-99T99:99:99Z"},
            {"assoc_handle": "é" * 10},
            {"assoc_handle": "x" * 300},
            {"claimed_id": "http://[", "identity": "http://["},
            {"claimed_id": "a\x00b", "identity": "a\x00b"},
            {"claimed_id": "http://x/" + "y" * 3000},
            {"a\nb": "c"},
            {"a:b": "c"},
            {"a": "b\nc"},
        ):
            with self.subTest(extra):
                fields = self.fields() | extra
                try:
                    parameters = self.sign(fields)
                except ValueError:  # cannot be signed; sent all the same
                    parameters = self.sign(self.fields()) | {
                        f"openid.{name}": value for name, value in extra.items()
                    }
                    parameters["openid.signed"] += "," + ",".join(extra)
                parameters |= {"openid.signed": extra["signed"]} if "signed" in extra else {}
                self.assert_said_clearly(parameters)

    def test_sizes(self) -> None:
        parameters = self.sign(self.fields()) | {"openid.x": "y" * 100_000}
        self.assert_said_clearly(parameters)
        parameters = self.sign(self.fields()) | {f"openid.x{n}": "" for n in range(500)}
        self.assert_said_clearly(parameters)

    def test_a_state_that_is_not_ours(self) -> None:
        for state in ("", "x", "\x00", "é", "x" * 5000):
            with self.subTest(state):
                response = self.client.get(reverse("openid-complete"), {"state": state})
                self.assert_refused(response)

    def test_random_bytes(self) -> None:
        for _ in range(50):
            response = self.client.post(
                reverse("openid-complete"),
                os.urandom(200),
                content_type="application/x-www-form-urlencoded",
            )
            self.assertEqual(response.status_code, 403)
