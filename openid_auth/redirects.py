"""Where a person goes after signing in."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from django.shortcuts import resolve_url
from django.utils.http import url_has_allowed_host_and_scheme

from openid_auth.conf import conf


def safe_next(request: HttpRequest, target: str) -> str:
    """Return ``target`` if it is on this host or an allowed one, else ``""``."""
    hosts = {request.get_host(), *conf.ALLOWED_EXTERNAL_OPENID_REDIRECT_DOMAINS}
    allowed = url_has_allowed_host_and_scheme(target, hosts, require_https=request.is_secure())
    return target if allowed else ""


def landing(request: HttpRequest, target: str) -> str:
    """Return the address to go to: ``target`` if it is safe, else ``LOGIN_REDIRECT_URL``."""
    return safe_next(request, target) or resolve_url(settings.LOGIN_REDIRECT_URL)
