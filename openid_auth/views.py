"""Sign in: the page, the way to the provider, and the way back."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.contrib.auth import authenticate, login
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.templatetags.static import static
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.debug import sensitive_post_parameters

from openid_auth import linking, pending, refreshing, signals, signed_in, throttle
from openid_auth.assertion import Assertion
from openid_auth.base_views import InvalidChoice, OpenIDView
from openid_auth.conf import conf
from openid_auth.consumer import RelyingParty
from openid_auth.exceptions import (
    AssertionRefused,
    DjangoOpenIDException,
    LoginCancelled,
    SetupNeeded,
    Throttled,
)
from openid_auth.forms import OpenIDLoginForm
from openid_auth.models import UserOpenID
from openid_auth.pending import PendingLogin, Purpose
from openid_auth.providers import SSO, Provider, get_provider
from openid_auth.redirects import landing
from openid_auth.verification import verify

logger = logging.getLogger("openid_auth")


@method_decorator(login_not_required, name="dispatch")
@method_decorator(never_cache, name="dispatch")
@method_decorator(csrf_protect, name="dispatch")
class LoginView(OpenIDView):
    """GET: the sign-in page. POST: begin a login with ``provider`` or ``openid_identifier``."""

    template_name = "openid_auth/login.html"
    openid_refresh_exempt = True

    def get(self, request: HttpRequest) -> HttpResponseBase:
        sso = get_provider(SSO)
        if conf.OPENID_SSO_SKIP_PAGE and conf.OPENID_SSO_SERVER_URL and sso is not None:
            return self.begin(request, sso, sso.url or "")
        return self.render_page(request)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        try:
            provider, identifier = self.get_choice(request)
        except InvalidChoice as invalid:
            error = "" if invalid.form else _("Choose one of the providers.")
            return self.render_page(request, form=invalid.form, error=error, status=400)
        return self.begin(request, provider, identifier)

    def render_page(
        self,
        request: HttpRequest,
        *,
        form: OpenIDLoginForm | None = None,
        error: str = "",
        status: int = 200,
    ) -> HttpResponse:
        """Return the sign-in page, with what went wrong."""
        again = refreshing.AGAIN in request.GET
        context = self.get_choices_context(request, form=form, error=error, again=again)
        return render(request, self.template_name, context, status=status)

    def begin(self, request: HttpRequest, provider: Provider, identifier: str) -> HttpResponseBase:
        """Send the person to the provider."""
        try:
            return self.send_to_provider(request, provider, identifier, next=self.get_next(request))
        except Throttled as error:
            logger.warning("login not begun: throttled", extra={"event": "throttled"})
            return self.render_refusal(request, error)
        except DjangoOpenIDException as error:
            logger.warning("login not begun: %s", error, extra={"event": "not_begun"})
            form = self.form_class({"openid_identifier": identifier} if not provider.url else None)
            return self.render_page(request, form=form, error=str(error), status=400)


@method_decorator(login_not_required, name="dispatch")
@method_decorator(never_cache, name="dispatch")
@method_decorator(csrf_exempt, name="dispatch")  # The provider's page posts here.
@method_decorator(sensitive_post_parameters(), name="dispatch")
class CompleteView(OpenIDView):
    """The provider's answer, as a GET or, if it is long, as a POST (section 10)."""

    openid_refresh_exempt = True

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
        """Verify the answer and use it for what it was asked for, or say why not."""
        pending_login = None
        try:
            throttle.check(request, throttle.FAILED)
            fields = self.get_fields(request)
            pending_login = pending.take(request.session, request.GET.get("state", ""))
            if pending_login is None:
                raise AssertionRefused(
                    "no such login was begun in this browser",
                    _("No sign-in was begun in this browser, or it was begun too long ago."),
                )
            assertion = self.verify(request, fields, pending_login)
            return self.get_handler(pending_login)(request, pending_login, assertion)
        except DjangoOpenIDException as error:
            return self.refuse(request, error, pending_login)

    def verify(
        self, request: HttpRequest, fields: dict[str, str], pending_login: PendingLogin
    ) -> Assertion:
        """Return the verified answer to ``pending_login``. Raises a DjangoOpenIDException."""
        provider = get_provider(pending_login.provider)
        if provider is None:
            raise AssertionRefused(f"the provider {pending_login.provider!r} is no longer named")
        store = self.get_store()
        return verify(
            fields,
            pending=pending_login,
            provider=provider,
            current_url=request.build_absolute_uri(),
            store=store,
            relying_party=RelyingParty(store, self.get_fetcher()),
        )

    def get_handler(
        self, pending_login: PendingLogin
    ) -> Callable[[HttpRequest, PendingLogin, Assertion], HttpResponseBase]:
        """Return the function that uses the verified answer."""
        if pending_login.purpose == Purpose.LINK:
            return linking.offer
        if pending_login.purpose == Purpose.REFRESH:
            return refreshing.refresh
        return self.sign_in

    def sign_in(
        self, request: HttpRequest, pending_login: PendingLogin, assertion: Assertion
    ) -> HttpResponseBase:
        """Sign the person in."""
        user = authenticate(request, openid_response=assertion)
        if user is None:
            raise AssertionRefused("no backend took the assertion")
        login(request, user)
        signed_in.remember(request.session, assertion)
        logger.info(
            "login of %s as %s",
            assertion.identity_url,
            user.get_username(),
            extra={"event": "login"},
        )
        signals.openid_login_complete.send(
            sender=UserOpenID, request=request, openid_response=assertion
        )
        return HttpResponseRedirect(landing(request, pending_login.next))

    def refuse(
        self,
        request: HttpRequest,
        error: DjangoOpenIDException,
        pending_login: PendingLogin | None,
    ) -> HttpResponseBase:
        """Log, count and announce a refusal, and return its page."""
        reason = getattr(error, "reason", None) or error
        purpose = Purpose.LOGIN if pending_login is None else Purpose(pending_login.purpose)
        logger.warning("%s refused: %s", purpose.value, reason, extra={"event": "refused"})
        if not isinstance(error, (LoginCancelled, SetupNeeded, Throttled)):
            try:
                throttle.count(request, throttle.FAILED)
            except Throttled:
                logger.warning(
                    "too many failed logins of one address", extra={"event": "throttled"}
                )
        signals.openid_login_failed.send(sender=UserOpenID, request=request, exception=error)
        if pending_login is not None and purpose is Purpose.REFRESH:
            redirect = refreshing.end_session(request, pending_login, error)
            if redirect is not None:
                return redirect
        retry_url = linking.identities_url() if purpose is Purpose.LINK else None
        return self.render_refusal(request, error, retry_url=retry_url)

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


@login_not_required
def logo(request: HttpRequest) -> HttpResponse:
    """Lead to the OpenID logo: templates of django-openid-auth name this address."""
    return HttpResponseRedirect(static("openid_auth/openid.svg"))
