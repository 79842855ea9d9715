"""Find the provider's endpoint for an identifier (OpenID 2.0 section 7.3).

python3-openid's ``discover()`` uses one fetcher for the whole process and resolves i-names through
a proxy that no longer exists. Its parsers are used here, with the fetcher of this login.
"""

from __future__ import annotations

from urllib.parse import urldefrag, urlsplit

from openid.consumer.discover import (
    OPENID_2_0_TYPE,
    OPENID_IDP_2_0_TYPE,
    DiscoveryFailure,
    OpenIDServiceEndpoint,
)
from openid.fetchers import HTTPFetchingError, HTTPResponse
from openid.urinorm import urinorm
from openid.yadis.constants import YADIS_ACCEPT_HEADER, YADIS_CONTENT_TYPE
from openid.yadis.etxrd import XRDSError

from openid_auth.fetcher import Fetcher
from openid_auth.html_head import Head, read_head
from openid_auth.models import MAX_URL_LENGTH


def is_iname(identifier: str) -> bool:
    """Say whether ``identifier`` is an XRI (section 7.2)."""
    return identifier.startswith(("xri://", "=", "@", "+", "$", "!", "("))


def normalize(identifier: str) -> str:
    """Return ``identifier`` as the URL to discover (section 7.2), without a fragment.

    Raises DiscoveryFailure for an i-name or another thing that is not a URL.
    """
    identifier = identifier.strip()
    if is_iname(identifier):
        raise DiscoveryFailure("i-names are not supported", None)
    if "://" not in identifier:
        identifier = "http://" + identifier
    try:
        if urlsplit(identifier).scheme not in ("http", "https"):
            raise ValueError("not an http or https address")
        normalized: str = urldefrag(urinorm(identifier)).url
    except ValueError as error:  # UnicodeError, from a host name, is one too.
        raise DiscoveryFailure(f"not an address: {error}", None) from error
    if len(normalized) > MAX_URL_LENGTH:
        raise DiscoveryFailure(f"longer than {MAX_URL_LENGTH} characters", None)
    return normalized


def discover(identifier: str, fetcher: Fetcher) -> tuple[str, list[OpenIDServiceEndpoint]]:
    """Return the claimed identifier and its OpenID 2.0 endpoints, the best first.

    Endpoints of a provider (directed identity) come before those of a person; OpenID 1 endpoints
    are left out. Raises DiscoveryFailure, FetchError among its causes.
    """
    url = normalize(identifier)
    try:
        return _discover(url, fetcher)
    except HTTPFetchingError as error:
        raise DiscoveryFailure(str(error), None) from error
    except (AssertionError, LookupError, RecursionError, ValueError) as error:
        # What the parsers raise on a strange document, such as one in an unknown encoding.
        raise DiscoveryFailure(f"{url} cannot be read: {error!r}", None) from error


def _discover(url: str, fetcher: Fetcher) -> tuple[str, list[OpenIDServiceEndpoint]]:
    response = _get(url, fetcher, {"Accept": YADIS_ACCEPT_HEADER})
    claimed_id = normalize(response.final_url)
    document = response.body
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    head = Head()
    if media_type != YADIS_CONTENT_TYPE:
        # The attributes that count are addresses, so the encoding of the page does not.
        head = read_head(document.decode("utf-8", "replace"))
        location = response.headers.get("x-xrds-location") or head.xrds_location
        if location and location != response.final_url:
            document = _get(location, fetcher, {"Accept": YADIS_CONTENT_TYPE}).body
    named = _parse_xrds(claimed_id, document) or _parse_links(claimed_id, head)
    endpoints = [found for found in named if _is_address(found.server_url)]
    providers = [found for found in endpoints if OPENID_IDP_2_0_TYPE in found.type_uris]
    people = [found for found in endpoints if OPENID_2_0_TYPE in found.type_uris]
    return claimed_id, providers or people


def _is_address(url: str | None) -> bool:
    """Say whether a browser may be sent to ``url``: ``javascript:`` and the like are none."""
    if url is None or not url.startswith(("http://", "https://")):
        return False
    try:
        normalize(url)
    except DiscoveryFailure:
        return False
    return True


def _parse_xrds(url: str, document: bytes) -> list[OpenIDServiceEndpoint]:
    try:
        found: list[OpenIDServiceEndpoint] = OpenIDServiceEndpoint.fromXRDS(url, document)
    except XRDSError:
        return []
    return found


def _parse_links(url: str, head: Head) -> list[OpenIDServiceEndpoint]:
    """Return the endpoint that the head of a page names (section 7.3.3)."""
    if "openid2.provider" not in head.links:
        return []
    found = OpenIDServiceEndpoint()
    found.claimed_id = url
    found.server_url = head.links["openid2.provider"]
    found.local_id = head.links.get("openid2.local_id")
    found.type_uris = [OPENID_2_0_TYPE]
    return [found]


def _get(url: str, fetcher: Fetcher, headers: dict[str, str]) -> HTTPResponse:
    response = fetcher.fetch(url, headers=headers)
    if response.status != 200:
        raise DiscoveryFailure(f"{url} answers with status {response.status}", None)
    return response
