"""One assertion, completed by many threads at once, counts once."""

from __future__ import annotations

import threading
from collections import Counter

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import connections
from django.test import Client, TransactionTestCase, override_settings, skipUnlessDBFeature

from openid_auth.models import Nonce, UserOpenID
from tests.openid_auth.provider import ForgingMixin

User = get_user_model()

THREADS = 32
# 400 is Django's: the session was replaced by that of the login meanwhile.
REFUSED = {400, 403}


@skipUnlessDBFeature("test_db_allows_multiple_connections")
class RaceTests(ForgingMixin, TransactionTestCase):
    """Each statement, and each ``atomic()``, is committed by itself."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        plain = [path for path in settings.MIDDLEWARE if not path.startswith("txmiddleware.")]
        cls.enterClassContext(override_settings(MIDDLEWARE=plain))

    def race(self, deliveries: list[tuple[Client, dict[str, str]]]) -> list[tuple[int, Client]]:
        """Deliver each message from its browser, in a thread of its own, all at once."""
        barrier = threading.Barrier(len(deliveries))
        results: list[tuple[int, Client]] = []
        failures: list[BaseException] = []

        def deliver(browser: Client, parameters: dict[str, str]) -> None:
            try:
                barrier.wait()
                results.append((self.deliver(parameters, browser).status_code, browser))
            except BaseException as error:
                failures.append(error)
            finally:
                connections.close_all()

        threads = [threading.Thread(target=deliver, args=delivery) for delivery in deliveries]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        return results

    def race_one_assertion(self) -> list[tuple[int, Client]]:
        """Complete one assertion in THREADS threads, all with the session that began it."""
        parameters = self.sign(self.fields())
        browsers = [Client() for _ in range(THREADS)]
        for browser in browsers:
            browser.cookies = self.client.cookies.copy()
        return self.race([(browser, parameters) for browser in browsers])

    def assert_one_login(self, results: list[tuple[int, Client]]) -> None:
        statuses = Counter(status for status, _ in results)
        self.assertEqual(statuses[302], 1, statuses)
        self.assertLessEqual(set(statuses), {302, *REFUSED})
        self.assertEqual(sum(statuses.values()), THREADS)
        # The one session with somebody signed in is that of the browser that was let in.
        signed_in = [
            session.session_key
            for session in Session.objects.all()
            if "_auth_user_id" in session.get_decoded()
        ]
        (winner,) = (browser for status, browser in results if status == 302)
        self.assertEqual(signed_in, [winner.cookies["sessionid"].value])

    def test_a_first_login_counts_once_and_makes_one_account(self) -> None:
        self.assert_one_login(self.race_one_assertion())
        self.assertEqual(User.objects.count(), 1)
        self.assertEqual(UserOpenID.objects.count(), 1)
        self.assertEqual(Nonce.objects.count(), 1)

    def test_a_returning_login_counts_once(self) -> None:
        user = User.objects.create_user("ada")
        UserOpenID.objects.create(user=user, claimed_id=self.claimed_id(), display_id="ada")
        self.assert_one_login(self.race_one_assertion())
        self.assertEqual(User.objects.get(), user)
        self.assertEqual(Nonce.objects.count(), 1)

    def test_different_first_logins_of_one_person_make_one_account(self) -> None:
        """Each is good, and one account is theirs: the identity is unique in the database."""
        # As many as the middleware has attempts: each of them loses at most to both others.
        browsers = [Client() for _ in range(3)]
        results = self.race(
            [
                (browser, self.sign(self.fields(return_to=self.return_to(browser))))
                for browser in browsers
            ]
        )
        self.assertEqual([status for status, _ in results], [302] * len(browsers))
        self.assertEqual(User.objects.count(), 1)
        self.assertEqual(UserOpenID.objects.count(), 1)


class AtomicRequestsRaceTests(RaceTests):
    """The same with Django's ``ATOMIC_REQUESTS``."""

    # At repeatable read a snapshot hides the account that another request made, and Django makes
    # no second attempt: one of two is an error, and nothing of it is kept.
    test_different_first_logins_of_one_person_make_one_account = None  # type: ignore[assignment]

    def setUp(self) -> None:
        super().setUp()
        connections.settings["default"]["ATOMIC_REQUESTS"] = True
        self.addCleanup(connections.settings["default"].update, ATOMIC_REQUESTS=False)


class SiteTransactionRaceTests(RaceTests):
    """The same when each request is one transaction, begun by the site's middleware."""

    @classmethod
    def setUpClass(cls) -> None:
        site = list(settings.MIDDLEWARE)
        super().setUpClass()
        cls.enterClassContext(override_settings(MIDDLEWARE=site))
