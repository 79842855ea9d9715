"""Middleware: sessions that are refreshed at the provider, and the site's own discovery."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

from openid_auth import refreshing, signed_in
from openid_auth.base_views import OpenIDView
from openid_auth.conf import conf
from openid_auth.exceptions import ProviderUnavailable
from openid_auth.pending import Purpose
from openid_auth.providers import get_provider
from openid_auth.realm import RealmDiscoveryMiddleware

__all__ = ["RealmDiscoveryMiddleware", "SessionRefreshMiddleware"]

logger = logging.getLogger("openid_auth")

# A provider that cannot be reached is asked again after this time, in seconds.
TRY_AGAIN = 60


class SessionRefreshMiddleware(MiddlewareMixin):
    """Has the provider vouch for who is signed in, every ``OPENID_REFRESH_SECONDS``.

    Put it below ``AuthenticationMiddleware``. It acts on pages that a browser opens: a GET that is
    a navigation. Other requests, those of scripts among them, cannot be sent to another site and
    back; but what a request says it is, the visitor decides, so they go on for no longer than
    ``OPENID_REFRESH_SECONDS`` once more, and then the session is over. Sessions that began with a
    password are left alone. Works under WSGI and ASGI.
    """

    view_class = OpenIDView

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        """Return the redirect to the provider, None if it is not yet time."""
        if self.is_exempt(view):
            return None
        # Nobody who has no session pays for one.
        if settings.SESSION_COOKIE_NAME not in request.COOKIES:
            return None
        known = signed_in.read(request.session)
        if known is None or known.age < conf.OPENID_REFRESH_SECONDS:
            return None
        if not request.user.is_authenticated:
            return None
        if self.is_page(request):
            return self.refresh(request, known)
        if not self.may_wait(known):
            logout(request)
        return None

    def is_page(self, request: HttpRequest) -> bool:
        """Say whether a browser opens a page, and would follow a redirect to another site."""
        if request.method != "GET" or request.headers.get("X-Requested-With"):
            return False
        if "prefetch" in request.headers.get("Sec-Purpose", ""):
            return False
        mode = request.headers.get("Sec-Fetch-Mode")
        if mode is not None:
            return mode == "navigate" and request.headers.get("Sec-Fetch-Dest") == "document"
        return "text/html" in request.headers.get("Accept", "")

    def is_exempt(self, view: Callable[..., Any]) -> bool:
        """Say whether ``view``, or its class, has the attribute ``openid_refresh_exempt``."""
        found = (view, getattr(view, "view_class", None))
        return any(getattr(each, "openid_refresh_exempt", False) for each in found)

    def refresh(self, request: HttpRequest, known: signed_in.SignedIn) -> HttpResponseBase | None:
        """Send the browser to the provider. A provider that is away is waited for, but no longer
        than ``OPENID_REFRESH_SECONDS`` once more; then the session is over.
        """
        here = request.get_full_path()
        provider = get_provider(known.provider)
        if provider is None:
            logger.warning("the provider %r is no longer named", known.provider)
            logout(request)
            return refreshing.ask_to_sign_in(here)
        if time.time() - known.tried < TRY_AGAIN and self.may_wait(known):
            return None
        try:
            return self.view_class().send_to_provider(
                request,
                provider,
                provider.url or known.claimed_id,
                next=here,
                purpose=Purpose.REFRESH,
            )
        except ProviderUnavailable as error:
            logger.warning("session not refreshed: %s", error, extra={"event": "not_begun"})
        if self.may_wait(known):
            replace(known, tried=int(time.time())).save(request.session)
            return None
        logout(request)
        return refreshing.ask_to_sign_in(here)

    def may_wait(self, known: signed_in.SignedIn) -> bool:
        """Say whether the session may go on although the provider is away."""
        return known.age < 2 * conf.OPENID_REFRESH_SECONDS
