"""Why a login was refused. The text of each is shown to the person who tries to sign in.

``DjangoOpenIDException`` and the classes below it that describe an account have the names that
django-openid-auth used.
"""

from __future__ import annotations

from django.utils.translation import gettext as _


class DjangoOpenIDException(Exception):
    """Base of every refusal. ``str()`` is a sentence for the person; it holds no secret."""


class ProviderUnavailable(DjangoOpenIDException):
    """No OpenID 2.0 provider could be found or reached for an identifier."""


class AssertionRefused(DjangoOpenIDException):
    """A callback that is not a valid positive assertion for a login begun in this browser.

    ``reason`` (str) is for the log: it names the check that failed.
    """

    def __init__(self, reason: str, message: str | None = None) -> None:
        self.reason = reason
        super().__init__(
            message
            or _("The answer of the OpenID provider could not be verified. Please sign in again.")
        )


class LoginCancelled(DjangoOpenIDException):
    """The person pressed cancel at the provider (OpenID 2.0 section 10.2.2)."""

    def __init__(self) -> None:
        super().__init__(_("The sign-in was cancelled."))


class SetupNeeded(DjangoOpenIDException):
    """The provider cannot answer without asking the person (OpenID 2.0 section 10.2.1)."""

    def __init__(self) -> None:
        super().__init__(_("The OpenID provider needs to ask you something first. Please sign in."))


class RequiredAttributeNotReturned(DjangoOpenIDException):
    """A field of ``OPENID_SREG_REQUIRED_FIELDS`` is missing from the signed answer."""


class IdentityAlreadyClaimed(DjangoOpenIDException):
    """The identity belongs to another account."""


class DuplicateUsernameViolation(DjangoOpenIDException):
    """``OPENID_STRICT_USERNAMES``: another account has this name."""


class MissingUsernameViolation(DjangoOpenIDException):
    """``OPENID_STRICT_USERNAMES``: the answer holds no usable nickname."""


class MissingPhysicalMultiFactor(DjangoOpenIDException):
    """``OPENID_PHYSICAL_MULTIFACTOR_REQUIRED``: the provider did not vouch for a second factor."""

    def __init__(self) -> None:
        super().__init__(
            _("This site needs a physical second factor, such as a security key, at your provider.")
        )


class TeamRequired(DjangoOpenIDException):
    """``OPENID_LAUNCHPAD_TEAMS_REQUIRED``: the person is in none of the teams."""

    def __init__(self, teams: tuple[str, ...]) -> None:
        self.teams = teams
        super().__init__(
            _("Only members of these teams can sign in here: %(teams)s.")
            % {"teams": ", ".join(teams)}
        )


class AccountDisabled(DjangoOpenIDException):
    """The account is not active."""

    def __init__(self) -> None:
        super().__init__(_("This account is disabled."))


class UnknownIdentity(DjangoOpenIDException):
    """No account has the identity, and ``OPENID_CREATE_USERS`` is off."""

    def __init__(self) -> None:
        super().__init__(_("No account on this site is linked to this identity."))
