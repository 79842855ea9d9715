"""What the log and the signals tell, and what they keep to themselves."""

from __future__ import annotations

from typing import Any

from django.test import override_settings

from openid_auth.exceptions import DjangoOpenIDException, LoginCancelled, TeamRequired
from openid_auth.models import Association
from openid_auth.signals import openid_login_failed
from tests.openid_auth.provider import ProviderBrowser, ProviderTestCase


class EventTests(ProviderTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.failed: list[DjangoOpenIDException] = []

        def hear(sender: object, request: Any, exception: Any, **kwargs: Any) -> None:
            self.failed.append(exception)

        openid_login_failed.connect(hear)
        self.addCleanup(openid_login_failed.disconnect, hear)

    def test_a_failed_login_is_a_signal(self) -> None:
        with override_settings(OPENID_LAUNCHPAD_TEAMS_REQUIRED=["docs-team"]):
            self.sign_in("ada")
        self.complete(ProviderBrowser().answer(self.begin(), button="cancel"))
        self.assertEqual([type(error) for error in self.failed], [TeamRequired, LoginCancelled])

    def test_a_login_that_succeeds_is_none(self) -> None:
        self.sign_in("ada")
        self.assertEqual(self.failed, [])

    def test_each_step_is_logged(self) -> None:
        with self.assertLogs("openid_auth", "INFO") as logs:
            self.sign_in("ada")
            self.client.logout()
            with override_settings(OPENID_LAUNCHPAD_TEAMS_REQUIRED=["docs-team"]):
                self.sign_in("ada")
        events = [record.event for record in logs.records]
        self.assertEqual(events, ["begun", "login", "begun", "refused"])
        self.assertIn(f"{self.server.url}id/ada/ as ada", logs.output[1])

    def test_the_log_holds_no_secret(self) -> None:
        """Neither in the text nor in an attribute that a formatter may print."""
        with self.assertLogs("openid_auth", "DEBUG") as logs:
            answers = [ProviderBrowser().answer(self.begin())]
            self.complete(answers[0])
            self.complete(answers[0])  # refused
            self.client.logout()
            answers.append(ProviderBrowser().answer(self.begin()))
            answers[1].url += "&openid.mode=id_res"
            self.complete(answers[1])  # refused
        told = "\n".join(str(vars(record)) for record in logs.records)
        secrets = [Association.objects.get().secret, self.client.cookies["sessionid"].value]
        for answer in answers:
            given = answer.parameters
            secrets += [
                given[name] for name in ("openid.sig", "openid.response_nonce", "state")
            ] + [given["openid.assoc_handle"]]
        for secret in secrets:
            self.assertNotIn(secret, told)
