"""The endpoints of the providers that the settings name, cached.

Only what a login of a named provider begins with is cached: it says where to send the person, and
the answer has to come from there. Whether that provider may speak for the identifier of the answer
(section 11.2) is looked up for each answer, and is never cached; nor is anything for an identifier
that a visitor typed.
"""

from __future__ import annotations

from typing import Any

from django.core.cache import caches
from openid.consumer.discover import OpenIDServiceEndpoint

from openid_auth.conf import conf
from openid_auth.consumer import RelyingParty
from openid_auth.fields import digest


def discover_provider(relying_party: RelyingParty, url: str) -> list[OpenIDServiceEndpoint]:
    """Return the endpoints at the OP identifier ``url``. Raises DiscoveryFailure."""
    seconds = conf.OPENID_DISCOVERY_SECONDS
    if seconds <= 0:
        return _discover(relying_party, url)
    cache = caches[conf.OPENID_CACHE]
    key = f"openid_auth:discovery:{digest(url)}"
    known: list[dict[str, Any]] | None = cache.get(key)
    if known is not None:
        return [_endpoint(values) for values in known]
    found = _discover(relying_party, url)
    if found:
        cache.set(key, [_values(endpoint) for endpoint in found], timeout=seconds)
    return found


def _discover(relying_party: RelyingParty, url: str) -> list[OpenIDServiceEndpoint]:
    _claimed_id, endpoints = relying_party._discover(url)
    return [endpoint for endpoint in endpoints if endpoint.isOPIdentifier()]


def _values(endpoint: OpenIDServiceEndpoint) -> dict[str, Any]:
    return {"server_url": endpoint.server_url, "type_uris": list(endpoint.type_uris)}


def _endpoint(values: dict[str, Any]) -> OpenIDServiceEndpoint:
    endpoint = OpenIDServiceEndpoint()
    endpoint.server_url = values["server_url"]
    endpoint.type_uris = list(values["type_uris"])
    return endpoint
