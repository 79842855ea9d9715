"""What has to outlive a refused login does, whoever owns the transaction of the request."""

from __future__ import annotations

import threading

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection, connections
from django.test import Client, TransactionTestCase, override_settings, skipUnlessDBFeature

from openid_auth.models import Association, Nonce, UserOpenID
from tests.openid_auth.provider import ForgingMixin, ProviderBrowser

User = get_user_model()


class AutocommitTests(ForgingMixin, TransactionTestCase):
    """Each statement, and each ``atomic()``, is committed by itself."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        plain = [path for path in settings.MIDDLEWARE if not path.startswith("txmiddleware.")]
        cls.enterClassContext(override_settings(MIDDLEWARE=plain))

    @override_settings(OPENID_LAUNCHPAD_TEAMS_REQUIRED=["drivers"])
    def test_a_refused_login_uses_the_nonce_up_and_writes_nothing_else(self) -> None:
        self.assert_refused(self.deliver(self.sign(self.fields())), "drivers")
        self.assertEqual(Nonce.objects.count(), 1)
        self.assertFalse(User.objects.exists())
        self.assertFalse(UserOpenID.objects.exists())

    def test_a_login_that_breaks_off_keeps_its_association(self) -> None:
        Association.objects.all().delete()
        answer = ProviderBrowser().answer(self.begin(), button="cancel")
        self.assert_refused(self.complete(answer), "cancelled")
        self.assertEqual(Association.objects.count(), 1)

    def test_a_login_is_committed(self) -> None:
        self.assert_signs_in(self.deliver(self.sign(self.fields())))
        self.assertEqual(User.objects.count(), 1)
        self.assertEqual(self.whoami(), "openiduser")

    @skipUnlessDBFeature("test_db_allows_multiple_connections")
    def test_of_many_requests_with_one_assertion_one_signs_in(self) -> None:
        parameters = self.sign(self.fields())
        barrier = threading.Barrier(8)
        statuses: list[int] = []

        def deliver() -> None:
            browser = Client()
            browser.cookies = self.client.cookies.copy()
            try:
                barrier.wait()
                statuses.append(self.deliver(parameters, browser).status_code)
            finally:
                connection.close()

        threads = [threading.Thread(target=deliver) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(statuses.count(302), 1)
        # 400 is Django's: the session was replaced by that of the login meanwhile.
        self.assertLessEqual(set(statuses), {302, 400, 403})
        self.assertEqual(len(statuses), 8)
        self.assertEqual(User.objects.count(), 1)


class AtomicRequestsTests(AutocommitTests):
    """Django's ``ATOMIC_REQUESTS``: a returned page commits."""

    def setUp(self) -> None:
        super().setUp()
        connections.settings["default"]["ATOMIC_REQUESTS"] = True
        self.addCleanup(connections.settings["default"].update, ATOMIC_REQUESTS=False)


class SiteTransactionTests(AutocommitTests):
    """The middleware of the site that the tests run in."""

    @classmethod
    def setUpClass(cls) -> None:
        site = list(settings.MIDDLEWARE)
        super().setUpClass()
        cls.enterClassContext(override_settings(MIDDLEWARE=site))
