"""Refresh a session: ask the provider again, without a click (OpenID 2.0 section 9, immediate)."""

from __future__ import annotations

import logging
from urllib.parse import urlencode

from django.contrib.auth import REDIRECT_FIELD_NAME, authenticate, logout
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from openid_auth import signals, signed_in
from openid_auth.assertion import Assertion
from openid_auth.exceptions import AssertionRefused, SetupNeeded
from openid_auth.models import UserOpenID
from openid_auth.pending import PendingLogin
from openid_auth.redirects import landing

logger = logging.getLogger("openid_auth")

# In the address of the sign-in page: it says that the session is over.
AGAIN = "again"


def refresh(
    request: HttpRequest, pending_login: PendingLogin, assertion: Assertion
) -> HttpResponseBase:
    """Bring the account up to date with ``assertion``, and go on where the person was.

    Raises a DjangoOpenIDException if it is about another identity than the one that signed in, or
    if that one could not sign in any more.
    """
    known = signed_in.read(request.session)
    identity = UserOpenID.objects.for_claimed_id(assertion.identity_url)
    if known is None or str(request.user.pk) != pending_login.user:
        raise AssertionRefused("the session to refresh is over")
    if (
        assertion.identity_url != known.claimed_id
        or identity is None
        or identity.user_id != request.user.pk
    ):
        raise AssertionRefused(
            f"{assertion.identity_url} is not the identity that signed in",
            _("You are signed in at the OpenID provider as somebody else now."),
        )
    user = authenticate(request, openid_response=assertion)
    if user is None or user.pk != request.user.pk:
        raise AssertionRefused("no backend took the assertion for this account")
    signed_in.remember(request.session, assertion)
    logger.info("session of %s refreshed", user.get_username(), extra={"event": "refreshed"})
    signals.openid_session_refreshed.send(
        sender=UserOpenID, request=request, openid_response=assertion
    )
    return HttpResponseRedirect(landing(request, pending_login.next))


def end_session(
    request: HttpRequest, pending_login: PendingLogin, error: Exception
) -> HttpResponseBase | None:
    """End the session that could not be refreshed.

    Returns a redirect to the sign-in page if signing in again will do, else None.
    """
    if str(request.user.pk) == pending_login.user:
        logout(request)
    if isinstance(error, SetupNeeded):
        return ask_to_sign_in(pending_login.next)
    return None


def ask_to_sign_in(next: str) -> HttpResponseBase:
    """Return a redirect to the sign-in page, which says that the session is over."""
    query = urlencode({AGAIN: "1", REDIRECT_FIELD_NAME: next})
    return HttpResponseRedirect(f"{reverse('openid-login')}?{query}")
