"""The exceptions that a site took over from django-openid-auth."""

from __future__ import annotations

from django.test import SimpleTestCase

from openid_auth import exceptions
from openid_auth.exceptions import DjangoOpenIDException, TeamRequired

# Those of django-openid-auth 0.17.
NAMES = (
    "RequiredAttributeNotReturned",
    "IdentityAlreadyClaimed",
    "DuplicateUsernameViolation",
    "MissingUsernameViolation",
    "MissingPhysicalMultiFactor",
)


class ExceptionTests(SimpleTestCase):
    def test_each_can_be_raised_with_and_without_a_message(self) -> None:
        for name in NAMES:
            found = getattr(exceptions, name)
            with self.subTest(name):
                self.assertTrue(issubclass(found, DjangoOpenIDException))
                self.assertTrue(found().message)
                self.assertEqual(found().message, str(found()))
                self.assertEqual(found("of the site").message, "of the site")
                self.assertEqual(str(found("of the site")), "of the site")

    def test_each_says_what_to_do(self) -> None:
        for name in NAMES:
            with self.subTest(name):
                self.assertTrue(str(getattr(exceptions, name)().advice))

    def test_a_missing_team_is_named(self) -> None:
        error = TeamRequired(("drivers", "readers"))
        self.assertEqual(error.teams, ("drivers", "readers"))
        self.assertIn("drivers, readers", error.message)
