"""Sign in: the page, the way to the provider, and the way back."""

from __future__ import annotations

import logging

from django.contrib.auth import REDIRECT_FIELD_NAME, authenticate, login
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from openid.consumer.consumer import AuthRequest
from openid.message import OPENID1_URL_LIMIT
from openid.store.interface import OpenIDStore

from openid_auth import beginning, pending, signals
from openid_auth.assertion import Assertion
from openid_auth.conf import conf
from openid_auth.consumer import RelyingParty
from openid_auth.exceptions import AssertionRefused, DjangoOpenIDException
from openid_auth.fetcher import Fetcher
from openid_auth.forms import OpenIDLoginForm
from openid_auth.models import UserOpenID
from openid_auth.providers import SSO, TYPED, Provider, get_provider, get_providers
from openid_auth.redirects import landing, safe_next
from openid_auth.store import DatabaseStore
from openid_auth.verification import verify

logger = logging.getLogger("openid_auth")


class OpenIDView(View):
    """What both views need; subclass to use another store or fetcher."""

    failure_template_name = "openid_auth/failure.html"

    def get_store(self) -> OpenIDStore:
        """Return the store of associations and nonces."""
        return DatabaseStore()

    def get_fetcher(self) -> Fetcher:
        """Return the fetcher for this request."""
        return Fetcher(private_networks=conf.OPENID_ALLOW_PRIVATE_NETWORKS)

    def render_failure(
        self, request: HttpRequest, message: str, exception: Exception | None = None
    ) -> HttpResponse:
        """Return the page that says why a login was refused.

        It is returned, not raised: an exception would roll the request's transaction back, and
        with it the nonce that was just used up.
        """
        template_name = self.failure_template_name
        render_failure = conf.OPENID_RENDER_FAILURE
        if render_failure is not None:
            return render_failure(
                request, message, status=403, template_name=template_name, exception=exception
            )
        context = {"message": message, "exception": exception}
        return render(request, template_name, context, status=403)


@method_decorator(never_cache, name="dispatch")
@method_decorator(csrf_protect, name="dispatch")
class LoginView(OpenIDView):
    """GET: the sign-in page. POST: begin a login with ``provider`` or ``openid_identifier``."""

    template_name = "openid_auth/login.html"
    continue_template_name = "openid_auth/continue.html"
    form_class = OpenIDLoginForm

    def get(self, request: HttpRequest) -> HttpResponseBase:
        sso = get_provider(SSO)
        if conf.OPENID_SSO_SKIP_PAGE and conf.OPENID_SSO_SERVER_URL and sso is not None:
            return self.begin(request, sso, sso.url or "")
        return self.render_page(request)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        providers = get_providers()
        name = request.POST.get("provider", SSO if SSO in providers else TYPED.name)
        provider = get_provider(name)
        if provider is None:
            return self.render_page(request, error=_("Choose one of the providers."), status=400)
        if provider.url is not None:
            return self.begin(request, provider, provider.url)
        form = self.form_class(request.POST)
        if not form.is_valid():
            return self.render_page(request, form=form, status=400)
        return self.begin(request, provider, form.cleaned_data["openid_identifier"])

    def render_page(
        self,
        request: HttpRequest,
        *,
        form: OpenIDLoginForm | None = None,
        error: str = "",
        status: int = 200,
    ) -> HttpResponse:
        """Return the sign-in page, with what went wrong."""
        context = {
            "form": form or self.form_class(),
            "error": error,
            "providers": list(get_providers().values()),
            "typed_identifier": conf.OPENID_ALLOW_TYPED_IDENTIFIER,
            "next": self.get_next(request),
            "redirect_field_name": REDIRECT_FIELD_NAME,
        }
        return render(request, self.template_name, context, status=status)

    def get_next(self, request: HttpRequest) -> str:
        """Return where to go afterwards, ``""`` if nothing safe was asked for."""
        asked = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME, "")
        return safe_next(request, asked)

    def begin(self, request: HttpRequest, provider: Provider, identifier: str) -> HttpResponseBase:
        """Send the person to the provider."""
        relying_party = RelyingParty(self.get_store(), self.get_fetcher())
        try:
            openid_request, realm, return_to = beginning.begin(
                request, relying_party, provider, identifier, self.get_next(request)
            )
        except DjangoOpenIDException as error:
            logger.warning("login not begun: %s", error, extra={"request": request})
            form = self.form_class({"openid_identifier": identifier} if not provider.url else None)
            return self.render_page(request, form=form, error=str(error), status=400)
        return self.render_request(request, openid_request, realm, return_to)

    def render_request(
        self, request: HttpRequest, openid_request: AuthRequest, realm: str, return_to: str
    ) -> HttpResponse:
        """Return a redirect, or a form where the address would be too long for a browser.

        The library's own form submits itself by an inline script, which a strict
        Content-Security-Policy stops.
        """
        url = openid_request.redirectURL(realm, return_to)
        if len(url) <= OPENID1_URL_LIMIT:
            return HttpResponseRedirect(url)
        message = openid_request.getMessage(realm, return_to)
        context = {
            "action": openid_request.endpoint.server_url,
            "fields": sorted(message.toPostArgs().items()),
        }
        return render(request, self.continue_template_name, context)


@method_decorator(never_cache, name="dispatch")
@method_decorator(csrf_exempt, name="dispatch")  # The provider's page posts here.
@method_decorator(sensitive_post_parameters(), name="dispatch")
class CompleteView(OpenIDView):
    """The provider's answer, as a GET or, if it is long, as a POST (section 10)."""

    continue_template_name = "openid_auth/continue.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return self.complete(request)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        state = request.GET.get("state", "")
        here = pending.SESSION_KEY in request.session
        if state and not here and "from_here" not in request.POST:
            # A browser sends no SameSite cookie with a form from another site. Have the person
            # send the same form once more, from here.
            fields = [item for item in request.POST.items() if item[0].startswith("openid.")]
            context = {
                "action": request.get_full_path(),
                "fields": [*fields, ("from_here", "1")],
            }
            return render(request, self.continue_template_name, context)
        return self.complete(request)

    def complete(self, request: HttpRequest) -> HttpResponseBase:
        """Sign the person in, or say why not."""
        try:
            pending_login, assertion = self.verify(request)
            user = authenticate(request, openid_response=assertion)
            if user is None:
                raise AssertionRefused("no backend took the assertion")
        except DjangoOpenIDException as error:
            reason = getattr(error, "reason", None) or error
            logger.warning("login refused: %s", reason, extra={"request": request})
            return self.render_failure(request, str(error), error)
        login(request, user)
        logger.info("login of %s as %s", assertion.identity_url, user.get_username())
        signals.openid_login_complete.send(
            sender=UserOpenID, request=request, openid_response=assertion
        )
        return HttpResponseRedirect(landing(request, pending_login.next))

    def verify(self, request: HttpRequest) -> tuple[pending.PendingLogin, Assertion]:
        """Return the login that this answers, and the verified answer. It counts once."""
        fields = self.get_fields(request)
        pending_login = pending.take(request.session, request.GET.get("state", ""))
        provider = None if pending_login is None else get_provider(pending_login.provider)
        if pending_login is None or provider is None:
            raise AssertionRefused(
                "no such login was begun in this browser",
                _("No sign-in was begun in this browser, or it was begun too long ago."),
            )
        store = self.get_store()
        assertion = verify(
            fields,
            pending=pending_login,
            provider=provider,
            current_url=request.build_absolute_uri(),
            store=store,
            relying_party=RelyingParty(store, self.get_fetcher()),
        )
        return pending_login, assertion

    def get_fields(self, request: HttpRequest) -> dict[str, str]:
        """Return the parameters ``openid.*``; raise AssertionRefused if one comes twice."""
        fields: dict[str, str] = {}
        for query in (request.GET, request.POST):
            for name, values in query.lists():
                if not name.startswith("openid."):
                    continue
                if name in fields or len(values) != 1:
                    raise AssertionRefused(f"{name!r:.100} is given twice")
                fields[name] = str(values[0])
        return fields
