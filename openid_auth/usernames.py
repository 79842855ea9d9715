"""Choose the name of an account. A name that another account has is never given."""

from __future__ import annotations

from itertools import count
from typing import Any, cast

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db.models import Field, Q, QuerySet
from django.utils.translation import gettext as _

from openid_auth.conf import conf
from openid_auth.details import UserDetails
from openid_auth.exceptions import (
    DuplicateUsernameViolation,
    MissingUsernameViolation,
    RequiredAttributeNotReturned,
)
from openid_auth.signals import openid_duplicate_username

DEFAULT_USERNAME = "openiduser"


def username_field() -> str:
    """Return the name of the field that holds the name of an account."""
    name: str = get_user_model().USERNAME_FIELD
    return name


def _column() -> Field[Any, Any]:
    return cast("Field[Any, Any]", get_user_model()._meta.get_field(username_field()))


def choose_username(details: UserDetails, user: AbstractBaseUser | None = None) -> str:
    """Return a valid name that no account but ``user`` has, for the person of ``details``.

    Raises RequiredAttributeNotReturned, or with ``OPENID_STRICT_USERNAMES``
    MissingUsernameViolation and DuplicateUsernameViolation.
    """
    if username_field() == get_user_model().get_email_field_name():
        return _email_as_username(details, user)
    wanted = valid_username(details.nickname)
    if not wanted and conf.OPENID_USE_EMAIL_FOR_USERNAME:
        wanted = valid_username("".join(filter(str.isalnum, details.email)))
    if conf.OPENID_STRICT_USERNAMES:
        return _strict_username(wanted, user)
    return _numbered_username(wanted or DEFAULT_USERNAME, user)


def valid_username(name: str) -> str:
    """Return ``name`` as the user model normalizes it, ``""`` if its validators refuse it."""
    normalized: str = get_user_model().normalize_username(name)
    try:
        _column().run_validators(normalized)
    except ValidationError:
        return ""
    return normalized


def _others(name: str, user: AbstractBaseUser | None, lookup: str) -> QuerySet[AbstractBaseUser]:
    # Names that differ only in case look alike: "Admin" is taken where "admin" is.
    condition = Q((f"{username_field()}__{lookup}", name))
    found: QuerySet[AbstractBaseUser] = get_user_model()._default_manager.filter(condition)
    return found if user is None else found.exclude(pk=user.pk)


def _email_as_username(details: UserDetails, user: AbstractBaseUser | None) -> str:
    if not details.email:
        raise RequiredAttributeNotReturned(
            _("The OpenID provider did not send your email address, which this site needs.")
        )
    if _others(details.email, user, "iexact").exists():
        raise DuplicateUsernameViolation(_("Another account has your email address."))
    return details.email


def _strict_username(name: str, user: AbstractBaseUser | None) -> str:
    if not name:
        raise MissingUsernameViolation
    if _others(name, user, "iexact").exists():
        openid_duplicate_username.send(sender=get_user_model(), username=name)
        if _others(name, user, "iexact").exists():
            raise DuplicateUsernameViolation(
                _("The username %(name)s is already in use for a different account.")
                % {"name": name}
            )
    return name


def _numbered_username(name: str, user: AbstractBaseUser | None) -> str:
    current = "" if user is None else user.get_username()
    if current.startswith(name) and current[len(name) :].isdecimal():
        # Numbered by an earlier login. The number stays while the plain name is taken.
        return current if _others(name, user, "iexact").exists() else name
    if not _others(name, user, "iexact").exists():
        return name
    longest = _column().max_length or len(name) + 20
    for number in count(_others(name, user, "istartswith").count() + 1):
        candidate = f"{name[: longest - len(str(number))]}{number}"
        if not _others(candidate, user, "iexact").exists():
            return candidate
    raise AssertionError("unreachable")
