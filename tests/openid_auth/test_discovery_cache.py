"""What a login fetches, and what is cached of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.test import override_settings

from openid_auth.fetcher import Fetcher
from openid_auth.fields import digest
from tests.openid_auth.provider import ForgingTestCase, ProviderBrowser, ProviderTestCase

User = get_user_model()


class FetchesMixin:
    @contextmanager
    def fetches(self) -> Iterator[list[str]]:
        """Yield the list of the addresses that the site fetches, which it does all the same."""
        fetched: list[str] = []
        fetch = Fetcher.fetch

        def record(fetcher: Fetcher, url: str, *args: Any, **kwargs: Any) -> Any:
            fetched.append(url)
            return fetch(fetcher, url, *args, **kwargs)

        with mock.patch.object(Fetcher, "fetch", record):
            yield fetched


class ReturningLoginTests(FetchesMixin, ProviderTestCase):
    def test_a_first_login_discovers_and_makes_an_association(self) -> None:
        with self.fetches() as fetched:
            self.sign_in("ada")
        identity = f"{self.server.url}id/ada/"
        self.assertEqual(fetched, [self.server.url, f"{self.server.url}endpoint/", identity])

    def test_a_returning_one_makes_one_fetch_to_verify_the_identifier(self) -> None:
        self.sign_in("ada")
        self.client.logout()
        with self.fetches() as fetched:
            self.sign_in("ada")
        self.assertEqual(fetched, [f"{self.server.url}id/ada/"])
        self.assertEqual(self.whoami(), "ada")

    def test_the_setting_turns_the_cache_off(self) -> None:
        with override_settings(OPENID_DISCOVERY_SECONDS=0):
            self.begin()
            with self.fetches() as fetched:
                self.begin()
        self.assertEqual(fetched, [self.server.url])

    def test_the_endpoint_is_cached_for_as_long_as_the_setting_says(self) -> None:
        for seconds in (1, 3600):
            with (
                override_settings(OPENID_DISCOVERY_SECONDS=seconds),
                mock.patch("django.core.cache.backends.locmem.LocMemCache.set") as cached,
            ):
                self.begin()
            self.assertEqual(cached.call_args.kwargs["timeout"], seconds)

    def test_what_a_visitor_types_is_not_cached(self) -> None:
        with override_settings(OPENID_SSO_SERVER_URL=None, OPENID_PROVIDERS={}):
            for _ in range(2):
                with self.fetches() as fetched:
                    self.begin(openid_identifier=self.server.url)
                self.assertIn(self.server.url, fetched)

    def test_a_failure_is_not_cached(self) -> None:
        with self.settings(OPENID_SSO_SERVER_URL="http://127.0.0.1:9/"):
            for _ in range(2):
                with self.fetches() as fetched:
                    self.client.post("/openid/login/")
                self.assertEqual(fetched, ["http://127.0.0.1:9/"])

    def test_another_address_in_the_settings_counts_at_once(self) -> None:
        self.begin()
        other = override_settings(OPENID_SSO_SERVER_URL=self.server.url + "?other")
        with other, self.fetches() as fetched:
            self.begin()
        self.assertEqual(fetched, [self.server.url + "?other"])


class BindingTests(FetchesMixin, ForgingTestCase):
    """A cached endpoint does not stand in for what each answer has to prove."""

    def test_a_claimed_identifier_is_looked_up_for_each_answer(self) -> None:
        for _ in range(2):
            fields = self.fields()
            with self.fetches() as fetched:
                self.assert_signs_in(self.deliver(self.sign(fields)))
            self.assertEqual(fetched, [self.claimed_id()])

    def test_an_identity_of_another_provider_is_refused_with_a_cached_endpoint_too(
        self,
    ) -> None:
        self.begin()
        someone = self.server.url + "provider.css"
        response = self.deliver(self.sign(self.fields(claimed_id=someone, identity=someone)))
        self.assert_refused(response)
        self.assertFalse(User.objects.exists())

    def test_an_answer_is_held_against_the_login_as_it_began_not_against_the_cache(self) -> None:
        """Somebody who can write to the cache misleads new logins, and none that began."""
        answer = ProviderBrowser().answer(self.begin())
        evil = "http://127.0.0.1:9/endpoint"
        key = f"openid_auth:discovery:{digest(self.server.url)}"
        (known,) = cache.get(key)
        cache.set(key, [{**known, "server_url": evil}])
        self.assert_signs_in(self.complete(answer))

        return_to = self.return_to()  # begun while the cache says so
        fields = {"claimed_id": "http://127.0.0.1:9/me", "identity": "http://127.0.0.1:9/me"}
        parameters = self.sign(self.fields(return_to=return_to, **fields))
        self.client.logout()
        self.assertEqual(self.deliver(parameters).status_code, 403)
        self.assertEqual(User.objects.count(), 1)
