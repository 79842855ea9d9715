"""The provider's pages. What has to be remembered is signed and kept by the browser."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.apps import apps
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_deny
from django.views.decorators.csrf import csrf_exempt, csrf_protect, ensure_csrf_cookie
from django.views.decorators.http import require_POST, require_safe
from openid.consumer.discover import OPENID_2_0_TYPE, OPENID_IDP_2_0_TYPE
from openid.server.server import (
    CheckIDRequest,
    Encoder,
    EncodingError,
    OpenIDResponse,
    ProtocolError,
)
from openid.yadis.constants import YADIS_CONTENT_TYPE

from example_site.provider import protocol
from example_site.provider.identities import IDENTITIES, Identity

COOKIE = "provider_identity"
SALT = "example_site.provider"
# The time a person has to decide, in seconds.
MAX_AGE = 60 * 60
# A longer answer goes as a form, which costs the person a click. The library's own limit, of
# OpenID 1.1 appendix D, is half of what any browser and server in use takes.
MAX_ADDRESS = 4096

View = Callable[..., HttpResponse]


def development_only(view: View) -> View:
    """Answer only in debug mode."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not apps.get_app_config("provider").debug:  # type: ignore[attr-defined]
            return HttpResponse(
                "The development OpenID provider does not run while DEBUG is False.\n",
                content_type="text/plain",
                status=403,
            )
        return view(request, *args, **kwargs)

    return guarded


def absolute(request: HttpRequest, name: str, *args: str) -> str:
    """Return the absolute address of one of the provider's pages."""
    return request.build_absolute_uri(reverse(name, args=args))


@require_safe
@development_only
def home(request: HttpRequest) -> HttpResponse:
    """Return the OP identifier: a page for people, an XRDS for relying parties."""
    here = absolute(request, "provider-home")
    people = [
        (identity, absolute(request, "provider-identity", identity.name))
        for identity in IDENTITIES.values()
    ]
    types = (OPENID_IDP_2_0_TYPE, *protocol.EXTENSION_TYPES)
    page = {"people": people, "address": here}
    return discoverable(request, types, "provider/home.html", page)


@require_safe
@development_only
def identity(request: HttpRequest, name: str) -> HttpResponse:
    """Return the claimed identifier of a person."""
    found = IDENTITIES.get(name)
    if found is None:
        raise Http404
    page = {"identity": found, "address": absolute(request, "provider-identity", name)}
    types = (OPENID_2_0_TYPE, *protocol.EXTENSION_TYPES)
    return discoverable(request, types, "provider/identity.html", page)


def discoverable(
    request: HttpRequest, types: tuple[str, ...], template: str, context: dict[str, Any]
) -> HttpResponse:
    """Return an XRDS document if it is asked for, else the page that says where it is."""
    context["endpoint"] = absolute(request, "provider-endpoint")
    if "xrds" in request.GET or YADIS_CONTENT_TYPE in request.headers.get("Accept", ""):
        document = {**context, "types": types}
        return render(request, "provider/xrds.xml", document, content_type=YADIS_CONTENT_TYPE)
    response = render(request, template, context)
    response["X-XRDS-Location"] = request.build_absolute_uri("?xrds")
    return response


@csrf_exempt  # Relying parties post here, and browsers from their pages.
@ensure_csrf_cookie  # No middleware does it for the form that is shown here.
@never_cache
@xframe_options_deny
@development_only
def endpoint(request: HttpRequest) -> HttpResponse:
    """Answer a message (OpenID 2.0 section 4), or ask the person first."""
    query = dict((request.POST if request.method == "POST" else request.GET).items())
    try:
        message = decode(request, query)
    except (ProtocolError, AssertionError, KeyError, ValueError) as error:
        return render(request, "provider/error.html", {"message": error}, status=400)
    if message is None:
        return HttpResponseRedirect(reverse("provider-home"))
    if not isinstance(message, CheckIDRequest):
        return encode(
            request,
            protocol.make_server(absolute(request, "provider-endpoint")).handleRequest(message),
        )
    if not message.immediate:
        return ask(request, message, query)
    known = signed_in(request, message)
    if known is None:
        return encode(request, message.answer(False))
    return encode(request, answer(request, message, known))


@require_POST
@never_cache
@xframe_options_deny
@csrf_protect
@development_only
def decide(request: HttpRequest) -> HttpResponse:
    """Answer as the person decided."""
    try:
        query = signing.loads(request.POST.get("request", ""), salt=SALT, max_age=MAX_AGE)
    except signing.BadSignature:
        message = "This page is too old. Go back to the site and sign in again."
        return render(request, "provider/error.html", {"message": message}, status=400)
    message = decode(request, query)
    assert isinstance(message, CheckIDRequest)
    if "approve" not in request.POST:
        return encode(request, message.answer(False))
    chosen = IDENTITIES.get(request.POST.get("identity", ""))
    if chosen is None or chosen not in choices(request, message):
        return ask(request, message, query, error="Pick who you want to be.")
    response = encode(request, answer(request, message, chosen))
    response.set_signed_cookie(
        COOKIE, chosen.name, salt=SALT, httponly=True, samesite="Lax", path=reverse("provider-home")
    )
    return response


def ask(
    request: HttpRequest, message: CheckIDRequest, query: dict[str, str], error: str = ""
) -> HttpResponse:
    """Return the page on which the person picks an identity and approves or cancels."""
    asked = {*protocol.asked_fields(message), *protocol.asked_attributes(message).values()}
    context = {
        "message": message,
        "choices": choices(request, message),
        "chosen": signed_in(request, message),
        "asked": [name for name in ("nickname", "fullname", "email") if name in asked],
        "teams": protocol.asked_teams(message),
        "request_token": signing.dumps(query, salt=SALT, compress=True),
        "error": error,
    }
    return render(request, "provider/ask.html", context, status=400 if error else 200)


def choices(request: HttpRequest, message: CheckIDRequest) -> list[Identity]:
    """Return the identities that a request leaves to pick: all, or the one it names."""
    return [
        found
        for found in IDENTITIES.values()
        if message.idSelect()
        or message.claimed_id == absolute(request, "provider-identity", found.name)
    ]


def signed_in(request: HttpRequest, message: CheckIDRequest) -> Identity | None:
    """Return who approved last in this browser, if the request allows for that identity."""
    name = request.get_signed_cookie(COOKIE, default="", salt=SALT)
    found = IDENTITIES.get(name or "")
    return found if found in choices(request, message) else None


def answer(request: HttpRequest, message: CheckIDRequest, person: Identity) -> OpenIDResponse:
    """Return the positive assertion for ``person``."""
    return protocol.approve(message, person, absolute(request, "provider-identity", person.name))


def decode(request: HttpRequest, query: dict[str, str]) -> Any:
    """Return the request in ``query``, None if there is none. Raises ProtocolError."""
    return protocol.make_server(absolute(request, "provider-endpoint")).decodeRequest(query)


def encode(request: HttpRequest, response: OpenIDResponse) -> HttpResponse:
    """Return an answer, signed if it says yes, as HTTP: direct, or through the browser."""
    server = protocol.make_server(absolute(request, "provider-endpoint"))
    if response.needsSigning():
        response = server.signatory.sign(response)
    if response.request.mode in ("checkid_setup", "checkid_immediate"):
        return indirect(request, response)
    try:
        # Not server.encodeResponse(): it would sign once more.
        encoded = Encoder().encode(response)
    except EncodingError as error:
        return render(request, "provider/error.html", {"message": error}, status=400)
    result = HttpResponse(encoded.body, status=encoded.code, content_type="text/plain")
    for name, value in encoded.headers.items():
        result[name] = value
    return result


def indirect(request: HttpRequest, response: OpenIDResponse) -> HttpResponse:
    """Return an answer that goes through the browser (OpenID 2.0 section 5.2)."""
    url = response.encodeToURL()
    if len(url) <= MAX_ADDRESS:
        return HttpResponseRedirect(url)
    context = {
        "action": response.request.return_to,
        "fields": sorted(response.fields.toPostArgs().items()),
        "realm": response.request.trust_root,
    }
    return render(request, "provider/continue.html", context)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer for an address without a page: the site's own 404 page links to the site."""
    message = f"There is nothing at {request.path}."
    return render(request, "provider/error.html", {"message": message}, status=404)


@require_safe
def stylesheet(request: HttpRequest) -> HttpResponse:
    """Return the style of the pages; the provider's own server has no static files."""
    return render(request, "provider/provider.css", content_type="text/css")
