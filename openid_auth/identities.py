"""The pages on which a person sees, links and unlinks the identities of their account."""

from __future__ import annotations

import logging

from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect

from openid_auth import linking, signals
from openid_auth.base_views import InvalidChoice, OpenIDView
from openid_auth.exceptions import DjangoOpenIDException, Throttled
from openid_auth.forms import OpenIDLoginForm
from openid_auth.models import UserOpenID
from openid_auth.pending import Purpose

logger = logging.getLogger("openid_auth")


@method_decorator(never_cache, name="dispatch")
@method_decorator(csrf_protect, name="dispatch")
class AccountView(LoginRequiredMixin, OpenIDView):
    """A page about the account that is signed in."""

    template_name = "openid_auth/identities.html"
    confirm_template_name = "openid_auth/confirm.html"

    def render_identities(
        self,
        request: HttpRequest,
        *,
        form: OpenIDLoginForm | None = None,
        error: str = "",
        status: int = 200,
    ) -> HttpResponse:
        """Return the page with all identities of the account."""
        backend = linking.get_backend()
        identities = list(UserOpenID.objects.filter(user_id=request.user.pk).order_by("pk"))
        may_unlink = backend.may_unlink(request.user, len(identities) - 1)  # type: ignore[arg-type]
        context = self.get_choices_context(
            request, form=form, error=error, identities=identities, may_unlink=may_unlink, next=""
        )
        return render(request, self.template_name, context, status=status)

    def render_confirmation(
        self, request: HttpRequest, *, linking: bool, identifier: str
    ) -> HttpResponse:
        """Return the page that asks once more."""
        context = {"linking": linking, "identifier": identifier, "account": request.user}
        return render(request, self.confirm_template_name, context)


class IdentitiesView(AccountView):
    """GET: the identities of the account, and the providers to link one of."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return self.render_identities(request)


class LinkView(AccountView):
    """POST: prove an identity at ``provider`` or ``openid_identifier``, to link it."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return HttpResponseRedirect(linking.identities_url())

    def post(self, request: HttpRequest) -> HttpResponseBase:
        try:
            provider, identifier = self.get_choice(request)
        except InvalidChoice as invalid:
            error = "" if invalid.form else _("Choose one of the providers.")
            return self.render_identities(request, form=invalid.form, error=error, status=400)
        try:
            return self.send_to_provider(
                request, provider, identifier, next="", purpose=Purpose.LINK
            )
        except Throttled as error:
            return self.render_refusal(request, error, retry_url=linking.identities_url())
        except DjangoOpenIDException as error:
            logger.warning("link not begun: %s", error, extra={"event": "not_begun"})
            return self.render_identities(request, error=str(error), status=400)


class ConfirmLinkView(AccountView):
    """GET: ask whether to link the identity that was just proved. POST: link it."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        offer = linking.get_offer(request.session, request.user)  # type: ignore[arg-type]
        if offer is None:
            return HttpResponseRedirect(linking.identities_url())
        return self.render_confirmation(request, linking=True, identifier=offer.claimed_id)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        user = request.user
        offer = linking.get_offer(request.session, user)  # type: ignore[arg-type]
        linking.forget_offer(request.session)
        if offer is not None and "confirm" in request.POST:
            try:
                identity = linking.confirm(user, offer)  # type: ignore[arg-type]
            except DjangoOpenIDException as error:
                return self.render_refusal(request, error, retry_url=linking.identities_url())
            logger.info(
                "%s linked to %s",
                offer.claimed_id,
                user.get_username(),
                extra={"event": "linked"},
            )
            signals.openid_identity_linked.send(
                sender=UserOpenID, request=request, identity=identity
            )
        return HttpResponseRedirect(linking.identities_url())


class UnlinkView(AccountView):
    """GET: ask whether to unlink one of the account's identities. POST: unlink it."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        identity = self.get_identity(request, pk)
        return self.render_confirmation(request, linking=False, identifier=identity.claimed_id)

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        identity = self.get_identity(request, pk)
        if "confirm" in request.POST:
            claimed_id = identity.claimed_id
            if not linking.get_backend().unlink_identity(identity):
                error = _("This is the only way to sign in to your account. Link another first.")
                return self.render_identities(request, error=error, status=400)
            logger.info(
                "%s unlinked from %s",
                claimed_id,
                request.user.get_username(),
                extra={"event": "unlinked"},
            )
            signals.openid_identity_unlinked.send(
                sender=UserOpenID, request=request, user=request.user, claimed_id=claimed_id
            )
        return HttpResponseRedirect(linking.identities_url())

    def get_identity(self, request: HttpRequest, pk: int) -> UserOpenID:
        """Return an identity of this account; raise Http404 for any other."""
        mine = UserOpenID.objects.filter(user_id=request.user.pk)
        identity: UserOpenID | None = mine.filter(pk=pk).first()
        if identity is None:
            raise Http404
        return identity
