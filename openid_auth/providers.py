"""The providers that a person can sign in with, and what each is trusted for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from openid_auth.conf import conf


class Claim(str, Enum):
    """A kind of statement that is used only if it comes from a provider trusted for it."""

    TEAMS = "teams"  # team membership, and with it groups and staff
    EMAIL = "email"
    USERNAME = "username"
    MULTIFACTOR = "multifactor"


@dataclass(frozen=True)
class Provider:
    """A provider. ``url`` is its OP identifier (section 7.3.1), None for a typed identifier."""

    name: str
    url: str | None
    label: str
    trusted: frozenset[Claim]
    icon: str | None = None

    def is_trusted_for(self, claim: Claim) -> bool:
        return claim in self.trusted


# An identifier that somebody typed can lead to any provider, so nothing but the identity counts.
TYPED = Provider(name="", url=None, label="", trusted=frozenset())
SSO = "sso"


def get_providers() -> dict[str, Provider]:
    """Return the providers of the settings by name, in their order."""
    url = conf.OPENID_SSO_SERVER_URL
    if url is not None:
        return {SSO: Provider(name=SSO, url=url, label="", trusted=frozenset(Claim))}
    return {
        name: Provider(
            name=name,
            url=options["url"],
            label=str(options.get("label", name)),
            trusted=frozenset(Claim(claim) for claim in options.get("trusted", ())),
            icon=options.get("icon"),
        )
        for name, options in conf.OPENID_PROVIDERS.items()
    }


def get_provider(name: str) -> Provider | None:
    """Return the provider ``name``; ``""`` is the typed identifier, where that is allowed."""
    if name == TYPED.name:
        return TYPED if conf.OPENID_ALLOW_TYPED_IDENTIFIER else None
    return get_providers().get(name)
