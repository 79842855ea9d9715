"""Each check is provoked once."""

from __future__ import annotations

from unittest import mock

from django.conf import settings
from django.db import connections
from django.test import SimpleTestCase, override_settings

from txmiddleware import checks

TRANSACTIONS = "txmiddleware.middleware.TransactionMiddleware"
OTHER = "django.middleware.common.CommonMiddleware"


def ids(messages: list[object]) -> list[str | None]:
    return [message.id for message in messages]  # type: ignore[attr-defined]


class CheckTest(SimpleTestCase):
    @override_settings(MIDDLEWARE=[TRANSACTIONS, OTHER, TRANSACTIONS])
    def test_the_middleware_stands_twice(self) -> None:
        self.assertEqual(ids(checks.check_middleware()), ["txmiddleware.E001"])

    @override_settings(MIDDLEWARE=[OTHER, TRANSACTIONS])
    def test_another_middleware_stands_outside(self) -> None:
        messages = checks.check_middleware()
        self.assertEqual(ids(messages), ["txmiddleware.W001"])
        self.assertIn(OTHER, messages[0].msg)

    @override_settings(MIDDLEWARE=[TRANSACTIONS, OTHER])
    def test_the_first_place_is_right(self) -> None:
        self.assertEqual(checks.check_middleware(), [])

    @override_settings(MIDDLEWARE=[TRANSACTIONS])
    def test_atomic_requests_beside_the_middleware(self) -> None:
        database = settings.DATABASES["plain"]
        before = database.get("ATOMIC_REQUESTS", False)
        self.addCleanup(database.__setitem__, "ATOMIC_REQUESTS", before)
        database["ATOMIC_REQUESTS"] = True
        self.assertEqual(ids(checks.check_atomic_requests()), ["txmiddleware.W002"])

    def test_autocommit_is_off(self) -> None:
        with mock.patch.dict(connections.settings["plain"], AUTOCOMMIT=False):
            messages = checks.check_autocommit()
            self.assertEqual(ids(messages), ["txmiddleware.E010"])
            self.assertIn("plain", messages[0].msg)
            with self.settings(TX_DATABASES=["default"]):
                self.assertEqual(checks.check_autocommit(), [])

    def test_databases_is_no_list(self) -> None:
        for wrong in ("default", [1], 5):
            with self.settings(TX_DATABASES=wrong):
                self.assertEqual(ids(checks.check_databases()), ["txmiddleware.E002"])
                self.assertEqual(checks.check_autocommit(), [])

    @override_settings(TX_DATABASES=["default", "elsewhere"])
    def test_databases_names_an_unknown_alias(self) -> None:
        messages = checks.check_databases()
        self.assertEqual(ids(messages), ["txmiddleware.E003"])
        self.assertIn("elsewhere", messages[0].msg)

    def test_the_veto_is_no_function(self) -> None:
        for wrong in ("no.such.function", 7, "txmiddleware.checks.MIDDLEWARE"):
            with self.settings(TX_COMMIT_VETO=wrong):
                self.assertEqual(ids(checks.check_commit_veto()), ["txmiddleware.E004"])

    @override_settings(TX_COMMIT_VETO="txmiddleware.is_managed")
    def test_the_veto_is_a_function(self) -> None:
        self.assertEqual(checks.check_commit_veto(), [])

    @override_settings(TX_COMMIT_SAFE_METHODS="no", STORM_COMMIT_SAFE_METHODS=1)
    def test_safe_methods_is_no_boolean(self) -> None:
        self.assertEqual(
            ids(checks.check_commit_safe_methods()), ["txmiddleware.E005", "txmiddleware.E005"]
        )

    def test_attempts_is_no_number_from_1(self) -> None:
        for wrong in (0, -1, 2.5, "3", True, None):
            with self.settings(TX_ATTEMPTS=wrong):
                self.assertEqual(ids(checks.check_attempts()), ["txmiddleware.E006"], wrong)

    @override_settings(TX_ATTEMPTS=1)
    def test_one_attempt_is_allowed(self) -> None:
        self.assertEqual(checks.check_attempts(), [])

    def test_the_timeout_is_no_number_of_seconds(self) -> None:
        for wrong in (0, 0.0001, -1, "30", True, float("inf"), float("nan")):
            with self.settings(TX_TIMEOUT=wrong):
                self.assertEqual(ids(checks.check_timeout()), ["txmiddleware.E007"], wrong)

    def test_the_timeout_is_seconds_or_none(self) -> None:
        for right in (0.5, 30, None):
            with self.settings(TX_TIMEOUT=right):
                self.assertEqual(checks.check_timeout(), [], right)

    @override_settings(MIDDLEWARE=[TRANSACTIONS])
    def test_several_databases_commit_in_one_phase(self) -> None:
        messages = checks.check_strict_commit()
        self.assertEqual(ids(messages), ["txmiddleware.W003"])
        self.assertIn("'default', 'plain'", messages[0].msg)

    @override_settings(MIDDLEWARE=[TRANSACTIONS])
    def test_one_database_can_join_or_more_are_refused(self) -> None:
        for right in ({"TX_DATABASES": ["plain"]}, {"STORM_STRICT_COMMIT": True}):
            with self.settings(**right):
                self.assertEqual(checks.check_strict_commit(), [])

    def test_strict_commit_is_no_boolean(self) -> None:
        with self.settings(STORM_STRICT_COMMIT="yes"):
            self.assertEqual(ids(checks.check_strict_commit()), ["txmiddleware.E009"])

    def test_streaming_is_a_word_that_is_not_known(self) -> None:
        for wrong in ("HOLD", True, None):
            with self.settings(TX_STREAMING=wrong):
                self.assertEqual(ids(checks.check_streaming()), ["txmiddleware.E008"])

    def test_streaming_is_one_of_the_words(self) -> None:
        for right in ("commit-before", "hold"):
            with self.settings(TX_STREAMING=right):
                self.assertEqual(checks.check_streaming(), [])
