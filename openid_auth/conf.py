"""The settings, one typed property each, read when they are used."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string

from openid_auth.addresses import IPNetwork

if TYPE_CHECKING:
    from openid.store.interface import OpenIDStore

# Ten times what a person needs, and nothing for somebody who tries addresses out.
THROTTLE = {"begun": (60, 60), "failed": (30, 300)}


class Conf:
    """Typed access to the settings. Values are checked by ``openid_auth.checks``."""

    @property
    def OPENID_SSO_SERVER_URL(self) -> str | None:
        """The one provider of the site, trusted for everything it says."""
        return getattr(settings, "OPENID_SSO_SERVER_URL", None)

    @property
    def OPENID_SSO_SKIP_PAGE(self) -> bool:
        """With ``OPENID_SSO_SERVER_URL``: a GET of the sign-in page begins the login."""
        return bool(getattr(settings, "OPENID_SSO_SKIP_PAGE", False))

    @property
    def OPENID_PROVIDERS(self) -> Mapping[str, Mapping[str, Any]]:
        """Providers by name: ``{"url": str, "label": str, "trusted": ("teams", ...)}``."""
        return getattr(settings, "OPENID_PROVIDERS", {})

    @property
    def OPENID_ALLOW_TYPED_IDENTIFIER(self) -> bool:
        """Whether an identifier may be typed; by default only if no provider is named."""
        named = self.OPENID_SSO_SERVER_URL is not None or bool(self.OPENID_PROVIDERS)
        return bool(getattr(settings, "OPENID_ALLOW_TYPED_IDENTIFIER", not named))

    @property
    def OPENID_ALLOW_PRIVATE_NETWORKS(self) -> bool | tuple[IPNetwork, ...]:
        """True, False or the private networks in which providers may be, ``["10.2.0.0/16"]``."""
        value = getattr(settings, "OPENID_ALLOW_PRIVATE_NETWORKS", False)
        if isinstance(value, bool):
            return value
        return tuple(ipaddress.ip_network(network) for network in value)

    @property
    def OPENID_CREATE_USERS(self) -> bool:
        """Create an account for an identity that has none."""
        return bool(getattr(settings, "OPENID_CREATE_USERS", False))

    @property
    def OPENID_UPDATE_DETAILS_FROM_SREG(self) -> bool:
        """Take name and email over at each login, not only when the account is created."""
        return bool(getattr(settings, "OPENID_UPDATE_DETAILS_FROM_SREG", False))

    @property
    def OPENID_SREG_REQUIRED_FIELDS(self) -> tuple[str, ...]:
        """Fields without which no account is created."""
        return tuple(getattr(settings, "OPENID_SREG_REQUIRED_FIELDS", ()))

    @property
    def OPENID_SREG_EXTRA_FIELDS(self) -> tuple[str, ...]:
        """Fields to ask for, on top of email, fullname and nickname."""
        return tuple(getattr(settings, "OPENID_SREG_EXTRA_FIELDS", ()))

    @property
    def OPENID_STRICT_USERNAMES(self) -> bool:
        """Refuse a login without a nickname, or with one that another account has."""
        return bool(getattr(settings, "OPENID_STRICT_USERNAMES", False))

    @property
    def OPENID_FOLLOW_RENAMES(self) -> bool:
        """Rename the account when the nickname changes at the provider."""
        return bool(getattr(settings, "OPENID_FOLLOW_RENAMES", False))

    @property
    def OPENID_USE_EMAIL_FOR_USERNAME(self) -> bool:
        """Make a name of the email address when there is no nickname."""
        return bool(getattr(settings, "OPENID_USE_EMAIL_FOR_USERNAME", False))

    @property
    def OPENID_VALID_VERIFICATION_SCHEMES(self) -> Mapping[str | None, Sequence[str]]:
        """By endpoint, the schemes that earn the permission ``openid_auth.account_verified``."""
        return getattr(settings, "OPENID_VALID_VERIFICATION_SCHEMES", {})

    @property
    def OPENID_PHYSICAL_MULTIFACTOR_REQUIRED(self) -> bool:
        """Refuse a login for which the provider did not check a physical second factor."""
        return bool(getattr(settings, "OPENID_PHYSICAL_MULTIFACTOR_REQUIRED", False))

    @property
    def OPENID_LAUNCHPAD_TEAMS_MAPPING(self) -> Mapping[str, str]:
        """The group that the members of a team are in, by the name of the team."""
        return getattr(settings, "OPENID_LAUNCHPAD_TEAMS_MAPPING", {})

    @property
    def OPENID_LAUNCHPAD_TEAMS_MAPPING_AUTO(self) -> bool:
        """Map each group to the team of the same name; the mapping is not used then."""
        return bool(getattr(settings, "OPENID_LAUNCHPAD_TEAMS_MAPPING_AUTO", False))

    @property
    def OPENID_LAUNCHPAD_TEAMS_MAPPING_AUTO_BLACKLIST(self) -> tuple[str, ...]:
        """Groups that the automatic mapping leaves alone."""
        return tuple(getattr(settings, "OPENID_LAUNCHPAD_TEAMS_MAPPING_AUTO_BLACKLIST", ()))

    @property
    def OPENID_LAUNCHPAD_TEAMS_REQUIRED(self) -> tuple[str, ...]:
        """Teams of which a person has to be in one to sign in."""
        return tuple(getattr(settings, "OPENID_LAUNCHPAD_TEAMS_REQUIRED", ()))

    @property
    def OPENID_EMAIL_WHITELIST_REGEXP_LIST(self) -> tuple[str, ...]:
        """Patterns of whole email addresses that need no required team."""
        return tuple(getattr(settings, "OPENID_EMAIL_WHITELIST_REGEXP_LIST", ()))

    @property
    def OPENID_LAUNCHPAD_STAFF_TEAMS(self) -> tuple[str, ...] | None:
        """Teams whose members, and nobody else, are staff; None leaves the flag alone."""
        teams = getattr(settings, "OPENID_LAUNCHPAD_STAFF_TEAMS", None)
        return None if teams is None else tuple(teams)

    @property
    def OPENID_USE_AS_ADMIN_LOGIN(self) -> bool:
        """Sign in to the admin by the sign-in page here, not by the admin's own form."""
        return bool(getattr(settings, "OPENID_USE_AS_ADMIN_LOGIN", False))

    @property
    def OPENID_DISALLOW_INAMES(self) -> bool:
        """Only True means something: i-names are refused, whatever it says."""
        return bool(getattr(settings, "OPENID_DISALLOW_INAMES", True))

    @property
    def OPENID_TRUST_ROOT(self) -> str | None:
        """The realm (section 9.2) shown to the person; by default the root of the site."""
        return getattr(settings, "OPENID_TRUST_ROOT", None)

    @property
    def OPENID_RENDER_FAILURE(self) -> Callable[..., HttpResponse] | None:
        """``f(request, message, status=, template_name=, exception=)``, or its dotted path."""
        value = getattr(settings, "OPENID_RENDER_FAILURE", None)
        found: Callable[..., HttpResponse] | None
        found = import_string(value) if isinstance(value, str) else value
        return found

    @property
    def ALLOWED_EXTERNAL_OPENID_REDIRECT_DOMAINS(self) -> tuple[str, ...]:
        """Other hosts that ``next`` may lead to, as ``host`` or ``host:port``."""
        return tuple(getattr(settings, "ALLOWED_EXTERNAL_OPENID_REDIRECT_DOMAINS", ()))

    @property
    def OPENID_REFRESH_SECONDS(self) -> int:
        """After how many seconds ``SessionRefreshMiddleware`` asks the provider again."""
        return int(getattr(settings, "OPENID_REFRESH_SECONDS", 15 * 60))

    @property
    def OPENID_CACHE(self) -> str:
        """The alias in ``CACHES`` of what is cached, counted, and kept by ``CacheStore``."""
        return str(getattr(settings, "OPENID_CACHE", "default"))

    @property
    def OPENID_DISCOVERY_SECONDS(self) -> int:
        """For how many seconds the endpoint of a provider of the settings is cached; 0: not."""
        return int(getattr(settings, "OPENID_DISCOVERY_SECONDS", 60 * 60))

    @property
    def OPENID_STORE(self) -> Callable[[], OpenIDStore]:
        """The class of the store of associations and nonces, or its dotted path."""
        value = getattr(settings, "OPENID_STORE", "openid_auth.store.DatabaseStore")
        found: Callable[[], OpenIDStore]
        found = import_string(value) if isinstance(value, str) else value
        return found

    @property
    def OPENID_THROTTLE(self) -> Mapping[str, tuple[int, int]]:
        """How many logins an address may begin, and fail: ``{"begun": (number, seconds)}``."""
        return getattr(settings, "OPENID_THROTTLE", THROTTLE)

    @property
    def OPENID_CLIENT_ADDRESS(self) -> Callable[[HttpRequest], str] | None:
        """``f(request)`` that returns the visitor's address behind a proxy, or its path."""
        value = getattr(settings, "OPENID_CLIENT_ADDRESS", None)
        found: Callable[[HttpRequest], str] | None
        found = import_string(value) if isinstance(value, str) else value
        return found


conf = Conf()
