"""Why a login was refused. The texts of each are shown to the person who tries to sign in.

``DjangoOpenIDException`` and the classes below it that describe an account have the names that
django-openid-auth gave them, and can be raised with or without a message, as they could there.
"""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy


class DjangoOpenIDException(Exception):
    """Base of every refusal. ``message`` and ``str()`` are a sentence for the person, ``advice``
    says what to do about it (``""``: sign in again); none of them holds a secret.
    """

    default_message: str | Promise = gettext_lazy("You could not be signed in.")
    advice: str | Promise = ""

    def __init__(self, message: str | None = None) -> None:
        self.message = str(self.default_message) if message is None else message
        super().__init__(self.message)


class ProviderUnavailable(DjangoOpenIDException):
    """No OpenID 2.0 provider could be found or reached for an identifier."""

    default_message = gettext_lazy("No OpenID provider was found at this address.")
    advice = gettext_lazy("Check the address, or try again in a few minutes.")


class AssertionRefused(DjangoOpenIDException):
    """A callback that is not a valid positive assertion for a login begun in this browser.

    ``reason`` (str) is for the log: it names the check that failed.
    """

    default_message = gettext_lazy("The answer of the OpenID provider could not be verified.")
    advice = gettext_lazy("Please sign in again.")

    def __init__(self, reason: str, message: str | None = None) -> None:
        self.reason = reason
        super().__init__(message)


class LoginCancelled(DjangoOpenIDException):
    """The person pressed cancel at the provider (OpenID 2.0 section 10.2.2)."""

    default_message = gettext_lazy("The sign-in was cancelled.")


class SetupNeeded(DjangoOpenIDException):
    """The provider cannot answer without asking the person (OpenID 2.0 section 10.2.1)."""

    default_message = gettext_lazy("The OpenID provider needs to ask you something first.")
    advice = gettext_lazy("Please sign in again.")


class Throttled(DjangoOpenIDException):
    """``OPENID_THROTTLE``: too many logins were begun, or failed, from this address.

    ``retry_after`` is the time to wait, in seconds.
    """

    default_message = gettext_lazy("There were too many attempts to sign in from your address.")

    def __init__(self, kind: str, retry_after: int) -> None:
        self.kind = kind
        self.retry_after = retry_after
        super().__init__()
        self.advice = _("Please wait %(seconds)s seconds, then sign in again.") % {
            "seconds": retry_after
        }


class RequiredAttributeNotReturned(DjangoOpenIDException):
    """A field of ``OPENID_SREG_REQUIRED_FIELDS`` is missing from the signed answer."""

    default_message = gettext_lazy("The OpenID provider did not send all that this site needs.")
    advice = gettext_lazy(
        "Fill it in at your provider, let the provider send it, and sign in again."
    )


class IdentityAlreadyClaimed(DjangoOpenIDException):
    """The identity belongs to another account."""

    default_message = gettext_lazy("Another account has this identity.")
    advice = gettext_lazy(
        "Sign in with that identity, and unlink it there before you link it to this account."
    )


class DuplicateUsernameViolation(DjangoOpenIDException):
    """``OPENID_STRICT_USERNAMES``: another account has this name."""

    default_message = gettext_lazy("Your username is already in use for a different account.")
    advice = gettext_lazy(
        "Change your nickname at your provider, or ask the people who run this site."
    )


class MissingUsernameViolation(DjangoOpenIDException):
    """``OPENID_STRICT_USERNAMES``: the answer holds no usable nickname."""

    default_message = gettext_lazy(
        "The OpenID provider did not send a nickname that can be used on this site."
    )
    advice = gettext_lazy("Set a nickname at your provider, let it be sent, and sign in again.")


class MissingPhysicalMultiFactor(DjangoOpenIDException):
    """``OPENID_PHYSICAL_MULTIFACTOR_REQUIRED``: the provider did not vouch for a second factor."""

    default_message = gettext_lazy(
        "This site needs a physical second factor, such as a security key, at your provider."
    )
    advice = gettext_lazy("Set one up at your provider, sign out there, and sign in again.")


class TeamRequired(DjangoOpenIDException):
    """``OPENID_LAUNCHPAD_TEAMS_REQUIRED``: the person is in none of ``teams``."""

    advice = gettext_lazy("Ask an owner of one of these teams to add you, then sign in again.")

    def __init__(self, teams: tuple[str, ...]) -> None:
        self.teams = teams
        super().__init__(
            _("Only members of these teams can sign in here: %(teams)s.")
            % {"teams": ", ".join(teams)}
        )


class AccountDisabled(DjangoOpenIDException):
    """The account is not active."""

    default_message = gettext_lazy("This account is disabled.")
    advice = gettext_lazy("Ask the people who run this site.")


class AdminAccessRequired(DjangoOpenIDException):
    """``OPENID_USE_AS_ADMIN_LOGIN``: the account may not see the admin."""

    advice = gettext_lazy("Ask the people who run this site, or sign in with another account.")

    def __init__(self, username: str) -> None:
        super().__init__(
            _("The account %(name)s has no access to the administration of this site.")
            % {"name": username}
        )


class UnknownIdentity(DjangoOpenIDException):
    """No account has the identity, and ``OPENID_CREATE_USERS`` is off."""

    default_message = gettext_lazy("No account on this site is linked to this identity.")
    advice = gettext_lazy("Ask the people who run this site for an account.")
