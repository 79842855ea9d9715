"""What an assertion says about the person, as far as its provider is trusted to say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from openid_auth.assertion import Assertion
from openid_auth.conf import conf
from openid_auth.extensions import ax, sreg
from openid_auth.providers import Claim


@dataclass(frozen=True)
class UserDetails:
    """Details of a person; ``""`` is: not given, not valid, or not trusted.

    ``account_verified`` is None if ``OPENID_VALID_VERIFICATION_SCHEMES`` is not used.
    ``fields`` holds all of them by their Simple Registration name, extra fields included.
    """

    email: str = ""
    nickname: str = ""
    first_name: str = ""
    last_name: str = ""
    account_verified: bool | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


def read_details(assertion: Assertion) -> UserDetails:
    """Return the details in the signed sreg and AX answers; AX counts where both have one."""
    attributes = ax.read(assertion)
    found = {
        name: printable(value) for name, value in {**sreg.read(assertion), **attributes}.items()
    }
    if not assertion.provider.is_trusted_for(Claim.EMAIL) or not _is_email(found.get("email", "")):
        found.pop("email", None)
    if not assertion.provider.is_trusted_for(Claim.USERNAME):
        found.pop("nickname", None)
    first_name, last_name = found.get("first_name", ""), found.get("last_name", "")
    if not (first_name or last_name):
        first_name, _, last_name = found.get("fullname", "").rpartition(" ")
    return UserDetails(
        email=found.get("email", ""),
        nickname=found.get("nickname", ""),
        first_name=first_name,
        last_name=last_name,
        account_verified=_account_verified(assertion, attributes),
        fields=found,
    )


def printable(value: str) -> str:
    """Return ``value`` without control characters, its white space made single blanks."""
    blank = "".join(character if character.isprintable() else " " for character in value)
    return " ".join(blank.split())


def verification_schemes(op_endpoint: str) -> tuple[str, ...]:
    """Return the schemes of the settings that count for an endpoint."""
    schemes = conf.OPENID_VALID_VERIFICATION_SCHEMES
    return tuple(schemes.get(op_endpoint, schemes.get(None, ())))


def _account_verified(assertion: Assertion, attributes: Mapping[str, str]) -> bool | None:
    if not conf.OPENID_VALID_VERIFICATION_SCHEMES:
        return None
    trusted = assertion.provider.is_trusted_for(Claim.EMAIL)
    scheme = attributes.get("account_verified")
    return trusted and scheme in verification_schemes(assertion.op_endpoint)


def _is_email(value: str) -> bool:
    try:
        validate_email(value)
    except ValidationError:
        return False
    return True
