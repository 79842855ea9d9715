"""The store in Django's cache, on the memory of this process and on Redis."""

from __future__ import annotations

import importlib.util
import os
import socket
import threading
import time
import uuid
from typing import Any
from unittest import skipIf
from urllib.parse import urlsplit

from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.test import SimpleTestCase, override_settings
from openid.association import Association as SharedSecret

from openid_auth.cache_store import CacheStore
from openid_auth.models import Association, Nonce
from openid_auth.pending import SESSION_KEY
from openid_auth.store import NONCE_SKEW
from tests.openid_auth.provider import ProviderBrowser, ProviderTestCase

URL = "https://login.example.com/endpoint"
REDIS = os.environ.get("TEST_REDIS_URI", "redis://127.0.0.1:6379/15")
CACHE_STORE = "openid_auth.cache_store.CacheStore"


def no_redis() -> str:
    """Return why there is no Redis to test on, ``""`` if there is."""
    if importlib.util.find_spec("redis") is None:
        return "the package redis is not installed"
    parts = urlsplit(REDIS)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 6379), 2).close()
    except OSError as error:
        return f"no Redis answers at {REDIS} (set TEST_REDIS_URI to one that does): {error}"
    return ""


def secret(handle: str = "h", lifetime: int = 3600, issued: int | None = None) -> SharedSecret:
    when = int(time.time()) if issued is None else issued
    return SharedSecret(handle, b"\x00\xff" * 16, when, lifetime, "HMAC-SHA256")


class SharedCache:
    """A cache of its own for each test, under the alias ``shared``; none is cleared."""

    backend = "django.core.cache.backends.locmem.LocMemCache"
    location = "openid"

    def setUp(self) -> None:
        super().setUp()
        shared = {"BACKEND": self.backend, "LOCATION": self.location}
        self.enterContext(
            override_settings(
                CACHES={
                    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
                    "shared": {**shared, "KEY_PREFIX": uuid.uuid4().hex},
                },
                OPENID_CACHE="shared",
                OPENID_STORE=CACHE_STORE,
            )
        )
        self.addCleanup(self.disconnect)
        self.store = CacheStore()

    def disconnect(self) -> None:
        client = getattr(caches["shared"], "_cache", None)
        for pool in getattr(client, "_pools", {}).values():
            pool.disconnect()


class OnRedis(SharedCache):
    backend = "django.core.cache.backends.redis.RedisCache"
    location = REDIS


class StoreTests(SharedCache, SimpleTestCase):
    def test_what_is_stored_is_found(self) -> None:
        made = secret()
        self.store.storeAssociation(URL, made)
        self.assertEqual(self.store.getAssociation(URL, "h"), made)
        self.assertEqual(self.store.getAssociation(URL), made)

    def test_another_endpoint_or_handle_is_not(self) -> None:
        self.store.storeAssociation(URL, secret())
        self.assertIsNone(self.store.getAssociation(URL + "/", "h"))
        self.assertIsNone(self.store.getAssociation(URL, "H"))
        self.assertIsNone(self.store.getAssociation(URL + "/"))

    def test_the_newest_is_best(self) -> None:
        now = int(time.time())
        for handle, issued in (("a", now - 20), ("b", now), ("c", now - 10)):
            self.store.storeAssociation(URL, secret(handle, issued=issued))
        self.assertEqual(self.store.getAssociation(URL).handle, "b")
        self.assertEqual(self.store.getAssociation(URL, "a").handle, "a")

    def test_one_that_is_over_or_malformed_is_not_kept(self) -> None:
        now = int(time.time())
        for made in (secret(issued=now - 3601), secret("a b"), secret(lifetime=0), secret("")):
            self.store.storeAssociation(URL, made)
            self.assertIsNone(self.store.getAssociation(URL, made.handle))
        self.assertIsNone(self.store.getAssociation(URL))

    def test_removal(self) -> None:
        self.store.storeAssociation(URL, secret())
        self.assertTrue(self.store.removeAssociation(URL, "h"))
        self.assertFalse(self.store.removeAssociation(URL, "h"))
        self.assertIsNone(self.store.getAssociation(URL))

    def test_a_nonce_counts_once_for_each_endpoint(self) -> None:
        now = int(time.time())
        self.assertTrue(self.store.useNonce(URL, now, "salt"))
        self.assertFalse(self.store.useNonce(URL, now, "salt"))
        self.assertTrue(self.store.useNonce(URL, now, "SALT"))
        self.assertTrue(self.store.useNonce(URL, now + 1, "salt"))
        self.assertTrue(self.store.useNonce(URL + "/", now, "salt"))

    def test_a_nonce_out_of_time_or_too_long_is_refused(self) -> None:
        now = int(time.time())
        for timestamp, salt in (
            (now - NONCE_SKEW - 5, "salt"),
            (now + NONCE_SKEW + 5, "salt"),
            (now, "x" * 300),
        ):
            self.assertFalse(self.store.useNonce(URL, timestamp, salt))

    def test_of_many_threads_one_uses_the_nonce(self) -> None:
        now = int(time.time())
        results: list[bool] = []
        barrier = threading.Barrier(16)

        def use() -> None:
            barrier.wait()
            results.append(CacheStore().useNonce(URL, now, "raced"))
            self.disconnect()

        threads = [threading.Thread(target=use) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(results), [False] * 15 + [True])

    def test_there_is_nothing_to_clean_up(self) -> None:
        self.store.useNonce(URL, int(time.time()), "salt")
        self.assertEqual(self.store.cleanup()[:2], (0, 0))
        self.assertFalse(self.store.useNonce(URL, int(time.time()), "salt"))


class LoginTests(SharedCache, ProviderTestCase):
    def test_a_person_signs_in_and_the_database_keeps_neither_secret_nor_nonce(self) -> None:
        for name in ("ada", "grace"):
            self.sign_in(name)
            self.assertEqual(self.whoami(), name)
        self.assertFalse(Association.objects.exists())
        self.assertFalse(Nonce.objects.exists())
        self.assertIsNotNone(self.store.getAssociation(self.server.url + "endpoint/"))

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


@skipIf(no_redis(), no_redis())
class RedisStoreTests(OnRedis, StoreTests):
    def test_a_nonce_is_forgotten_after_its_time_and_not_before(self) -> None:
        self.store.useNonce(URL, int(time.time()), "salt")
        client: Any = caches["shared"]._cache.get_client()
        (key,) = client.keys(f"{caches['shared'].key_prefix}*")
        self.assertGreaterEqual(client.ttl(key), 2 * NONCE_SKEW)


@skipIf(no_redis(), no_redis())
class RedisLoginTests(OnRedis, LoginTests):
    pass


class DummyTests(SimpleTestCase):
    def test_a_dummy_cache_is_refused(self) -> None:
        dummy = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
        with override_settings(CACHES=dummy), self.assertRaises(ImproperlyConfigured) as caught:
            CacheStore().useNonce(URL, int(time.time()), "salt")
        self.assertIn("OPENID_CACHE", str(caught.exception))
