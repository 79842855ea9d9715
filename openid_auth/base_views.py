"""What the views share: the store, the fetcher, the way to the provider, the page of a refusal."""

from __future__ import annotations

import logging
from typing import Any

from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views import View
from openid.consumer.consumer import AuthRequest
from openid.message import OPENID1_URL_LIMIT
from openid.store.interface import OpenIDStore

from openid_auth import beginning, throttle
from openid_auth.conf import conf
from openid_auth.consumer import RelyingParty
from openid_auth.exceptions import DjangoOpenIDException, Throttled
from openid_auth.fetcher import Fetcher
from openid_auth.forms import OpenIDLoginForm
from openid_auth.pending import Purpose
from openid_auth.providers import SSO, TYPED, Provider, get_provider, get_providers
from openid_auth.redirects import safe_next

logger = logging.getLogger("openid_auth")


class InvalidChoice(Exception):
    """The sign-in form names no provider of this site, or its identifier is not valid."""

    def __init__(self, form: OpenIDLoginForm | None = None) -> None:
        self.form = form
        super().__init__("no such provider" if form is None else "not an identifier")


class OpenIDView(View):
    """What the views need; subclass to use another store or fetcher."""

    failure_template_name = "openid_auth/failure.html"
    continue_template_name = "openid_auth/continue.html"
    form_class = OpenIDLoginForm

    def get_store(self) -> OpenIDStore:
        """Return the store of associations and nonces."""
        return conf.OPENID_STORE()

    def get_fetcher(self) -> Fetcher:
        """Return the fetcher for this request."""
        return Fetcher(private_networks=conf.OPENID_ALLOW_PRIVATE_NETWORKS)

    def get_next(self, request: HttpRequest) -> str:
        """Return where to go afterwards, ``""`` if nothing safe was asked for."""
        asked = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME, "")
        return safe_next(request, asked)

    def get_choice(self, request: HttpRequest) -> tuple[Provider, str]:
        """Return the provider that was chosen on the form, and the identifier to begin with.

        Raises InvalidChoice.
        """
        name = request.POST.get("provider", SSO if SSO in get_providers() else TYPED.name)
        provider = get_provider(name)
        if provider is None:
            raise InvalidChoice
        if provider.url is not None:
            return provider, provider.url
        form = self.form_class(request.POST)
        if not form.is_valid():
            raise InvalidChoice(form)
        return provider, form.cleaned_data["openid_identifier"]

    def get_choices_context(self, request: HttpRequest, **context: Any) -> dict[str, Any]:
        """Return what the form with the providers needs."""
        return {
            "providers": list(get_providers().values()),
            "typed_identifier": conf.OPENID_ALLOW_TYPED_IDENTIFIER,
            "next": self.get_next(request),
            "redirect_field_name": REDIRECT_FIELD_NAME,
            **context,
            "form": context.get("form") or self.form_class(),
        }

    def send_to_provider(
        self,
        request: HttpRequest,
        provider: Provider,
        identifier: str,
        *,
        next: str,
        purpose: Purpose = Purpose.LOGIN,
    ) -> HttpResponse:
        """Begin a login, and return what sends the person to the provider.

        It is a redirect, or a form where the address would be too long for a browser: the
        library's own form submits itself by an inline script, which a strict
        Content-Security-Policy stops. Raises ProviderUnavailable or Throttled.
        """
        immediate = purpose is Purpose.REFRESH
        if not immediate:
            throttle.count(request, throttle.BEGUN)
        openid_request, realm, return_to = beginning.begin(
            request,
            RelyingParty(self.get_store(), self.get_fetcher()),
            provider,
            identifier,
            next,
            purpose,
        )
        endpoint = openid_request.endpoint.server_url
        logger.info("%s begun with %s", purpose.value, endpoint, extra={"event": "begun"})
        return self.render_request(request, openid_request, realm, return_to, immediate=immediate)

    def render_request(
        self,
        request: HttpRequest,
        openid_request: AuthRequest,
        realm: str,
        return_to: str,
        *,
        immediate: bool = False,
    ) -> HttpResponse:
        """Return the redirect or the form that takes the message to the provider."""
        url = openid_request.redirectURL(realm, return_to, immediate=immediate)
        if len(url) <= OPENID1_URL_LIMIT:
            return HttpResponseRedirect(url)
        message = openid_request.getMessage(realm, return_to, immediate=immediate)
        context = {
            "action": openid_request.endpoint.server_url,
            "fields": sorted(message.toPostArgs().items()),
        }
        return render(request, self.continue_template_name, context)

    def render_failure(
        self,
        request: HttpRequest,
        message: str,
        exception: Exception | None = None,
        *,
        status: int = 403,
        retry_url: str | None = None,
    ) -> HttpResponse:
        """Return the page that says why a login was refused, and what to do.

        It is returned, not raised: an exception would roll the request's transaction back, and
        with it the nonce that was just used up.
        """
        template_name = self.failure_template_name
        render_failure = conf.OPENID_RENDER_FAILURE
        if render_failure is not None:
            return render_failure(
                request, message, status=status, template_name=template_name, exception=exception
            )
        context = {
            "message": message,
            "exception": exception,
            "advice": getattr(exception, "advice", ""),
            "teams": getattr(exception, "teams", ()),
            "retry_url": retry_url or reverse("openid-login"),
        }
        return render(request, template_name, context, status=status)

    def render_refusal(
        self, request: HttpRequest, error: DjangoOpenIDException, *, retry_url: str | None = None
    ) -> HttpResponse:
        """Return the page for a refusal: 403, or 429 for one of too many."""
        if not isinstance(error, Throttled):
            return self.render_failure(request, str(error), error, retry_url=retry_url)
        response = self.render_failure(request, str(error), error, status=429, retry_url=retry_url)
        response["Retry-After"] = str(error.retry_after)
        return response
