"""The store in the database, raced by threads where the database has more than one connection."""

from __future__ import annotations

import threading
import time
from io import StringIO

from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import TestCase, TransactionTestCase, skipUnlessDBFeature
from openid.association import Association as SharedSecret

from openid_auth.models import Association, Nonce
from openid_auth.store import NONCE_SKEW, DatabaseStore

URL = "https://login.example.com/endpoint"


def secret(handle: str = "h", lifetime: int = 3600, issued: int | None = None) -> SharedSecret:
    when = int(time.time()) if issued is None else issued
    return SharedSecret(handle, b"\x00" * 32, when, lifetime, "HMAC-SHA256")


class AssociationTests(TestCase):
    def setUp(self) -> None:
        self.store = DatabaseStore()

    def test_what_is_stored_is_found(self) -> None:
        made = secret()
        self.store.storeAssociation(URL, made)
        self.assertEqual(self.store.getAssociation(URL, "h"), made)
        self.assertEqual(self.store.getAssociation(URL), made)

    def test_another_endpoint_or_handle_is_not(self) -> None:
        self.store.storeAssociation(URL, secret())
        self.assertIsNone(self.store.getAssociation(URL + "/", "h"))
        self.assertIsNone(self.store.getAssociation(URL.upper(), "h"))
        self.assertIsNone(self.store.getAssociation(URL, "H"))
        self.assertIsNone(self.store.getAssociation(URL + "/"))

    def test_the_newest_is_best(self) -> None:
        now = int(time.time())
        for handle, issued in (("a", now - 20), ("b", now), ("c", now - 10)):
            self.store.storeAssociation(URL, secret(handle, issued=issued))
        self.assertEqual(self.store.getAssociation(URL).handle, "b")

    def test_one_that_is_over_is_not_found(self) -> None:
        self.store.storeAssociation(URL, secret(issued=int(time.time()) - 3601))
        self.assertIsNone(self.store.getAssociation(URL, "h"))
        self.assertIsNone(self.store.getAssociation(URL))

    def test_the_same_handle_replaces(self) -> None:
        self.store.storeAssociation(URL, secret())
        self.store.storeAssociation(URL, secret(lifetime=7200))
        self.assertEqual(self.store.getAssociation(URL, "h").lifetime, 7200)
        self.assertEqual(Association.objects.count(), 1)

    def test_a_malformed_one_is_not_kept(self) -> None:
        for made in (secret(""), secret("x" * 256), secret("a b"), secret("é"), secret("\x00"),
                     secret(lifetime=0), secret(lifetime=-5)):  # fmt: skip
            self.store.storeAssociation(URL, made)
        self.assertFalse(Association.objects.exists())

    def test_a_long_lifetime_is_cut(self) -> None:
        self.store.storeAssociation(URL, secret(lifetime=10**18))
        self.assertLess(self.store.getAssociation(URL).lifetime, 10**8)

    def test_removal(self) -> None:
        self.store.storeAssociation(URL, secret())
        self.assertTrue(self.store.removeAssociation(URL, "h"))
        self.assertFalse(self.store.removeAssociation(URL, "h"))

    def test_a_long_endpoint_can_be_stored(self) -> None:
        url = URL + "?" + "x" * 1900
        self.store.storeAssociation(url, secret())
        self.assertTrue(self.store.getAssociation(url, "h"))


class NonceTests(TestCase):
    def setUp(self) -> None:
        self.store = DatabaseStore()
        self.now = int(time.time())

    def test_it_counts_once_for_each_endpoint(self) -> None:
        self.assertTrue(self.store.useNonce(URL, self.now, "salt"))
        self.assertFalse(self.store.useNonce(URL, self.now, "salt"))
        self.assertTrue(self.store.useNonce(URL, self.now, "SALT"))
        self.assertTrue(self.store.useNonce(URL, self.now + 1, "salt"))
        self.assertTrue(self.store.useNonce(URL + "/", self.now, "salt"))

    def test_the_transaction_goes_on_after_a_refusal(self) -> None:
        with transaction.atomic():
            self.store.useNonce(URL, self.now, "salt")
            self.store.useNonce(URL, self.now, "salt")
            self.assertTrue(self.store.useNonce(URL, self.now, "other"))
        self.assertEqual(Nonce.objects.count(), 2)

    def test_out_of_time_or_too_long(self) -> None:
        self.assertFalse(self.store.useNonce(URL, self.now - NONCE_SKEW - 5, "salt"))
        self.assertFalse(self.store.useNonce(URL, self.now + NONCE_SKEW + 5, "salt"))
        self.assertFalse(self.store.useNonce(URL, self.now, "x" * 300))
        self.assertFalse(Nonce.objects.exists())

    def test_the_database_refuses_a_second_row(self) -> None:
        Nonce.objects.create(server_url=URL, timestamp=1, salt="a")
        with self.assertRaises(IntegrityError), transaction.atomic():
            Nonce.objects.bulk_create([Nonce(server_url=URL, timestamp=1, salt="a")])

    def test_cleanup_forgets_what_is_over_and_nothing_else(self) -> None:
        self.store.useNonce(URL, self.now, "new")
        Nonce.objects.create(server_url=URL, timestamp=self.now - NONCE_SKEW - 60, salt="old")
        self.store.storeAssociation(URL, secret("new"))
        self.store.storeAssociation(URL, secret("old", issued=self.now - 4000))
        out = StringIO()
        call_command("openid_cleanup", stdout=out)
        self.assertEqual(out.getvalue(), "Deleted 1 nonces and 1 associations.\n")
        self.assertEqual(Nonce.objects.get().salt, "new")
        self.assertEqual(Association.objects.get().handle, "new")


@skipUnlessDBFeature("test_db_allows_multiple_connections")
class RaceTests(TransactionTestCase):
    def test_of_many_threads_one_uses_the_nonce(self) -> None:
        now = int(time.time())
        results: list[bool] = []
        barrier = threading.Barrier(16)

        def use() -> None:
            try:
                barrier.wait()
                results.append(DatabaseStore().useNonce(URL, now, "raced"))
            finally:
                connection.close()

        threads = [threading.Thread(target=use) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(results), [False] * 15 + [True])
        self.assertEqual(Nonce.objects.count(), 1)
