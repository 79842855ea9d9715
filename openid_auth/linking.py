"""Link a verified identity to the account that is signed in."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

from django.contrib.auth import get_backends
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, router, transaction
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

from openid_auth.assertion import Assertion
from openid_auth.backends import OpenIDBackend
from openid_auth.exceptions import AssertionRefused, IdentityAlreadyClaimed
from openid_auth.models import UserOpenID
from openid_auth.pending import PendingLogin

SESSION_KEY = "openid_auth_link"
# The time a person has to confirm, in seconds.
MAX_AGE = 10 * 60


@dataclass(frozen=True)
class Offer:
    """A verified identity, to be linked to the account with the key ``user`` once it says so."""

    user: str
    claimed_id: str
    display_id: str
    verified: int


def get_backend() -> OpenIDBackend:
    """Return the site's backend for OpenID, which decides."""
    for backend in get_backends():
        if isinstance(backend, OpenIDBackend):
            return backend
    raise ImproperlyConfigured(
        "AUTHENTICATION_BACKENDS names no backend of openid_auth: add "
        '"openid_auth.backends.OpenIDBackend".'
    )


def identities_url() -> str:
    """Return the address of the page with the identities of an account."""
    return reverse("openid-identities")


def offer(
    request: HttpRequest, pending_login: PendingLogin, assertion: Assertion
) -> HttpResponseBase:
    """Keep the verified identity in the session, and ask the person to confirm.

    Raises AssertionRefused if the account that began is not the one that is signed in, and
    IdentityAlreadyClaimed if another account has the identity.
    """
    user = request.user
    if not user.is_authenticated or str(user.pk) != pending_login.user:
        raise AssertionRefused("the account to link to is not signed in any more")
    if get_backend().check_link(user, assertion):
        return HttpResponseRedirect(identities_url())
    claimed_id = assertion.identity_url
    made = Offer(
        user=str(user.pk),
        claimed_id=claimed_id,
        display_id=assertion.getDisplayIdentifier() or claimed_id,
        verified=int(time.time()),
    )
    request.session[SESSION_KEY] = asdict(made)
    return HttpResponseRedirect(reverse("openid-link-confirm"))


def get_offer(session: SessionBase, user: AbstractBaseUser) -> Offer | None:
    """Return what ``user`` may confirm, None if there is nothing or it was too long ago."""
    values = session.get(SESSION_KEY)
    if values is None:
        return None
    made = Offer(**values)
    fresh = 0 <= time.time() - made.verified <= MAX_AGE
    return made if fresh and made.user == str(user.pk) else None


def confirm(user: AbstractBaseUser, made: Offer) -> UserOpenID:
    """Link the identity. Raises IdentityAlreadyClaimed, also if another was faster."""
    try:
        with transaction.atomic(using=router.db_for_write(UserOpenID)):
            return get_backend().link_identity(user, made.claimed_id, made.display_id)
    except IntegrityError as error:
        raise IdentityAlreadyClaimed from error


def forget_offer(session: SessionBase) -> None:
    """Forget it: it was confirmed, or declined."""
    session.pop(SESSION_KEY, None)
