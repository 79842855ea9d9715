"""What has to outlive a refused login does, whoever owns the transaction of the request."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connections
from django.test import TransactionTestCase, override_settings

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
