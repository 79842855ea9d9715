"""Where a person goes after signing in."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.test import override_settings
from django.urls import reverse

from tests.openid_auth.provider import (
    ForgingTestCase,
    ProviderBrowser,
)

User = get_user_model()


class RedirectTests(ForgingTestCase):
    EVIL = (
        "https:evil.example",
        "https:/evil.example",
        "http:///evil.example",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "\\/evil.example",
        "http://evil.example",
        "http:\\\\evil.example",
        "http://testserver@evil.example/",
        "http://testserver.evil.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        "\x08//evil.example",
        " //evil.example",
        "/\t/evil.example",
        "//testserver\\@evil.example/",
    )

    def test_next_does_not_lead_out(self) -> None:
        for target in self.EVIL:
            with self.subTest(target):
                response = self.sign_in(next=target)
                self.assertEqual(response["Location"], "/")

    def test_the_page_does_not_carry_it_either(self) -> None:
        for target in self.EVIL:
            with self.subTest(target):
                response = self.client.get(reverse("openid-login"), {"next": target})
                self.assertEqual(response.context["next"], "")

    def test_next_in_the_callback_is_not_read(self) -> None:
        answer = ProviderBrowser().answer(self.begin(next="/?good"))
        answer.url += "&next=/?evil"
        self.assertEqual(self.complete(answer)["Location"], "/?good")

    @override_settings(ALLOWED_EXTERNAL_OPENID_REDIRECT_DOMAINS=["friend.example"])
    def test_next_may_lead_to_an_allowed_host(self) -> None:
        self.assertEqual(self.sign_in(next="https://friend.example/a")["Location"],
                         "https://friend.example/a")  # fmt: skip
        self.assertEqual(self.sign_in(next="https://friend.example.evil.example/")["Location"], "/")
