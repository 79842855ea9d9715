"""Discovery of this site by providers (OpenID 2.0 section 13): which addresses are its return_to.

A provider that has discovered the realm can tell the person that the site is the one it names.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.deprecation import MiddlewareMixin
from django.views.decorators.http import require_safe
from openid.yadis.constants import YADIS_CONTENT_TYPE

from openid_auth.beginning import realm

RETURN_TO_TYPE = "http://specs.openid.net/auth/2.0/return_to"


@login_not_required
@require_safe
def xrds(request: HttpRequest) -> HttpResponse:
    """Return the XRDS document of the site."""
    context = {
        "type": RETURN_TO_TYPE,
        "return_to": request.build_absolute_uri(reverse("openid-complete")),
    }
    return render(request, "openid_auth/xrds.xml", context, content_type=YADIS_CONTENT_TYPE)


class RealmDiscoveryMiddleware(MiddlewareMixin):
    """Makes the realm discoverable: by default the page ``/``, else that of ``OPENID_TRUST_ROOT``.

    A request that asks for ``application/xrds+xml`` gets the document, also where the page would
    redirect or ask for a login: a provider may not follow a redirect here (section 9.2.1). A
    browser's page gets the header ``X-XRDS-Location``.
    """

    def process_request(self, request: HttpRequest) -> HttpResponseBase | None:
        if self.is_realm(request) and YADIS_CONTENT_TYPE in request.headers.get("Accept", ""):
            response = xrds(request)
            patch_vary_headers(response, ["Accept"])
            return response
        return None

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if self.is_realm(request):
            response["X-XRDS-Location"] = request.build_absolute_uri(reverse("openid-xrds"))
            patch_vary_headers(response, ["Accept"])
        return response

    def is_realm(self, request: HttpRequest) -> bool:
        """Say whether the request is for the address that the realm stands for."""
        if request.method not in ("GET", "HEAD"):
            return False
        return request.path == (urlsplit(realm(request)).path or "/")
