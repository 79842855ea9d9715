"""Begin a login: from an identifier to the message for the provider."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from openid.consumer.consumer import AuthRequest
from openid.consumer.discover import DiscoveryFailure, OpenIDServiceEndpoint

from openid_auth import pending
from openid_auth.conf import conf
from openid_auth.consumer import RelyingParty
from openid_auth.details import verification_schemes
from openid_auth.discovery_cache import discover_provider
from openid_auth.exceptions import ProviderUnavailable
from openid_auth.extensions import ax, pape, sreg, teams
from openid_auth.memberships import teams_asked_for
from openid_auth.models import MAX_URL_LENGTH
from openid_auth.pending import Purpose
from openid_auth.providers import Claim, Provider


def find_endpoint(
    relying_party: RelyingParty, provider: Provider, identifier: str
) -> OpenIDServiceEndpoint:
    """Return the best OpenID 2.0 endpoint for ``identifier``. Raises ProviderUnavailable.

    That of a provider from the settings has to offer directed identity (section 7.3.1).
    """
    try:
        if provider.url is not None:
            endpoints = discover_provider(relying_party, provider.url)
        else:
            _claimed_id, endpoints = relying_party._discover(identifier)
    except DiscoveryFailure as error:
        raise ProviderUnavailable(
            _("No OpenID provider was found at this address: %(reason)s.") % {"reason": error}
        ) from error
    if not endpoints:
        raise ProviderUnavailable(_("No OpenID 2.0 provider was found at this address."))
    return endpoints[0]


def begin(
    request: HttpRequest,
    relying_party: RelyingParty,
    provider: Provider,
    identifier: str,
    next: str,
    purpose: Purpose = Purpose.LOGIN,
) -> tuple[AuthRequest, str, str]:
    """Begin a login and remember it in the session, for the account that is signed in if
    ``purpose`` is about one.

    Returns the request to the provider, the realm and the return_to (section 9.1). Raises
    ProviderUnavailable.
    """
    endpoint = find_endpoint(relying_party, provider, identifier)
    if len(endpoint.server_url) > MAX_URL_LENGTH:
        raise ProviderUnavailable(_("The address of the provider is too long."))
    # Not relying_party.begin(): it adds a nonce of OpenID 1 to return_to.
    openid_request = AuthRequest(endpoint, relying_party._getAssociation(endpoint))
    add_extensions(openid_request, endpoint, provider)
    state = pending.new_state()
    return_to = request.build_absolute_uri(reverse("openid-complete"))
    return_to += "?" + urlencode({"state": state})
    directed = endpoint.isOPIdentifier()
    login = pending.PendingLogin(
        provider=provider.name,
        server_url=endpoint.server_url,
        claimed_id=None if directed else endpoint.claimed_id,
        local_id=None if directed else endpoint.local_id,
        return_to=return_to,
        next=next,
        purpose=purpose.value,
        user="" if purpose is Purpose.LOGIN else str(request.user.pk),
    )
    pending.remember(request.session, state, login)
    return openid_request, realm(request), return_to


def realm(request: HttpRequest) -> str:
    """Return the realm (section 9.2): what the provider names as the one who asks."""
    return conf.OPENID_TRUST_ROOT or request.build_absolute_uri("/")


def add_extensions(
    openid_request: AuthRequest, endpoint: OpenIDServiceEndpoint, provider: Provider
) -> None:
    """Ask for details, and for teams and a second factor from whom they would be believed."""
    openid_request.addExtension(sreg.request())
    if endpoint.supportsType(ax.NS_URI):
        schemes = verification_schemes(endpoint.server_url)
        openid_request.addExtension(ax.request(account_verified=bool(schemes)))
    asked_for = teams_asked_for() if provider.is_trusted_for(Claim.TEAMS) else ()
    if asked_for:
        openid_request.addExtension(teams.TeamsRequest(asked_for))
    if conf.OPENID_PHYSICAL_MULTIFACTOR_REQUIRED:
        openid_request.addExtension(pape.PolicyRequest())
