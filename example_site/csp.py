"""A strict Content-Security-Policy for every page: nothing inline, nothing from elsewhere."""

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from openid_auth.conf import conf
from openid_auth.providers import get_providers


def form_targets() -> str:
    """Return where forms may lead, redirects included, to which browsers apply `form-action` too.

    That is this site and its OpenID providers, whose endpoints are taken to be on the origins that
    the settings name. Where people may type an identifier, it can be anywhere.
    """
    sources = ["'self'"]
    for provider in get_providers().values():
        parts = urlsplit(provider.url or "")
        sources.append(f"{parts.scheme}://{parts.netloc}")
    if conf.OPENID_ALLOW_TYPED_IDENTIFIER:
        sources += ["https:", "http:"]
    return " ".join(dict.fromkeys(sources))


def policy() -> str:
    """Return the header's value."""
    directives = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": "'self'",
        "form-action": form_targets(),
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    return "; ".join(f"{name} {sources}" for name, sources in directives.items())


class ContentSecurityPolicyMiddleware:
    """Put the policy on each response, except on Django's debug pages, which style themselves."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not (settings.DEBUG and response.status_code in {404, 500}):
            response.headers.setdefault("Content-Security-Policy", policy())
        return response
