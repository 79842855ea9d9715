"""Logins that are begun, or fail, too often from one address."""

from __future__ import annotations

import time
from typing import Any
from unittest import mock

from django.http import HttpRequest
from django.test import RequestFactory, SimpleTestCase, override_settings
from django.urls import reverse

from openid_auth import throttle
from tests.openid_auth.provider import (
    ForgingTestCase,
    ProviderBrowser,
    ProviderTestCase,
    without_openid_settings,
)


def forwarded(request: HttpRequest) -> str:
    """What a site behind one proxy does."""
    return request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()


class BegunTests(ProviderTestCase):
    def begun(self, **extra: Any) -> Any:
        return self.client.post(reverse("openid-login"), **extra)

    @override_settings(OPENID_THROTTLE={"begun": (3, 3600)})
    def test_one_too_many_is_told_to_wait_and_costs_no_fetch(self) -> None:
        for _ in range(3):
            self.assertEqual(self.begun().status_code, 302)
        with self.no_fetch():
            response = self.begun()
        self.assertContains(response, "too many attempts", status_code=429)
        seconds = int(response["Retry-After"])
        self.assertTrue(0 < seconds <= 3600)
        self.assertContains(response, f"wait {seconds} seconds", status_code=429)

    @override_settings(OPENID_THROTTLE={"begun": (1, 3600)})
    def test_another_address_goes_on(self) -> None:
        self.assertEqual(self.begun(REMOTE_ADDR="198.51.100.1").status_code, 302)
        self.assertEqual(self.begun(REMOTE_ADDR="198.51.100.1").status_code, 429)
        self.assertEqual(self.begun(REMOTE_ADDR="198.51.100.2").status_code, 302)

    @override_settings(OPENID_THROTTLE={"begun": (1, 60)})
    def test_after_the_time_it_goes_on(self) -> None:
        now = time.time() // 60 * 60 + 30
        with mock.patch.object(throttle.time, "time", return_value=now):
            self.assertEqual(self.begun().status_code, 302)
            self.assertEqual(self.begun()["Retry-After"], "30")
        with mock.patch.object(throttle.time, "time", return_value=now + 30):
            self.assertEqual(self.begun().status_code, 302)

    @override_settings(OPENID_THROTTLE={"begun": (1, 3600)})
    def test_linking_counts_too(self) -> None:
        self.sign_in("ada")
        response = self.client.post(reverse("openid-link"))
        self.assertContains(response, "too many attempts", status_code=429)

    @override_settings(OPENID_THROTTLE={})
    def test_without_limits_nothing_is_counted(self) -> None:
        for _ in range(5):
            self.assertEqual(self.begun().status_code, 302)

    @override_settings(
        OPENID_THROTTLE={"begun": (1, 3600)},
        OPENID_RENDER_FAILURE="tests.openid_auth.test_throttle.render_failure",
    )
    def test_a_failure_page_of_the_site_gets_the_status(self) -> None:
        self.begun()
        response = self.begun()
        self.assertEqual((response.status_code, response.content), (429, b"of the site"))
        self.assertIn("Retry-After", response)


class FailedTests(ForgingTestCase):
    @override_settings(OPENID_THROTTLE={"failed": (2, 3600)})
    def test_after_too_many_failures_nothing_is_looked_at(self) -> None:
        good = self.sign(self.fields())
        for _ in range(2):
            self.assertEqual(self.deliver({"openid.mode": "id_res"}).status_code, 403)
        with self.no_fetch():
            self.assertEqual(self.deliver(good).status_code, 429)
        self.assertEqual(self.whoami(), "nobody")
        # The login is still there: it goes through once the time is over.
        with override_settings(OPENID_THROTTLE={}):
            self.assert_signs_in(self.deliver(good))

    @override_settings(OPENID_THROTTLE={"failed": (1, 3600)})
    def test_to_cancel_is_no_failure(self) -> None:
        for _ in range(3):
            answer = ProviderBrowser().answer(self.begin(), button="cancel")
            self.assertEqual(self.complete(answer).status_code, 403)

    @override_settings(OPENID_THROTTLE={"failed": (1, 3600)})
    def test_logins_that_succeed_are_not_counted(self) -> None:
        for _ in range(3):
            self.assert_signs_in(self.deliver(self.sign(self.fields())))


class AddressTests(SimpleTestCase):
    def setUp(self) -> None:
        self.enterContext(without_openid_settings())

    def address(self, remote: str, **headers: str) -> str | None:
        return throttle.client_address(RequestFactory(REMOTE_ADDR=remote).get("/", headers=headers))

    def test_by_default_an_address_that_may_be_a_proxy_does_not_count(self) -> None:
        for remote in ("127.0.0.1", "10.0.0.1", "192.168.1.1", "::1", "fe80::1%eth0", "", "unix:"):
            with self.subTest(remote):
                self.assertIsNone(self.address(remote))
        self.assertEqual(self.address("93.184.216.34"), "93.184.216.34")

    def test_with_limits_of_the_site_each_counts(self) -> None:
        with override_settings(OPENID_THROTTLE={"begun": (5, 60)}):
            self.assertEqual(self.address("10.0.0.1"), "10.0.0.1")
            self.assertEqual(self.address(""), "")

    def test_of_ipv6_the_network_counts(self) -> None:
        with override_settings(OPENID_THROTTLE={"begun": (5, 60)}):
            self.assertEqual(self.address("2001:db8:1:2:3::4"), "2001:db8:1:2::/64")
            self.assertEqual(self.address("::ffff:198.51.100.1"), "198.51.100.1")

    def test_a_header_counts_only_if_the_site_says_so(self) -> None:
        header = {"X-Forwarded-For": "203.0.113.9, 198.51.100.1"}
        self.assertEqual(self.address("93.184.216.34", **header), "93.184.216.34")
        path = "tests.openid_auth.test_throttle.forwarded"
        for value in (path, forwarded):
            with override_settings(OPENID_CLIENT_ADDRESS=value):
                self.assertEqual(self.address("127.0.0.1", **header), "198.51.100.1")


def render_failure(request: HttpRequest, message: str, status: int, **kwargs: Any) -> Any:
    from django.http import HttpResponse

    return HttpResponse("of the site", status=status)
