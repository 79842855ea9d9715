"""Verify a positive assertion (OpenID 2.0 section 11), the cheap checks first.

``GenericConsumer.complete()`` does discovery on whatever the message claims before it looks at the
signature, so anybody could make the site fetch any address. Here the order is: form, the login it
belongs to, time, signature, nonce, and discovery last. Before the signature was found good nothing
is fetched but, from the endpoint the login began with, its word on an unknown association.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urldefrag, urlsplit

from openid.consumer.consumer import ProtocolError
from openid.consumer.discover import OPENID_2_0_TYPE, DiscoveryFailure, OpenIDServiceEndpoint
from openid.message import OPENID_NS, Message
from openid.store.interface import OpenIDStore
from openid.store.nonce import checkTimestamp
from openid.store.nonce import split as split_nonce

from openid_auth.assertion import Assertion
from openid_auth.consumer import MALFORMED, RelyingParty
from openid_auth.discovery import normalize
from openid_auth.exceptions import AssertionRefused, LoginCancelled, SetupNeeded
from openid_auth.models import MAX_HANDLE_LENGTH, MAX_NONCE_LENGTH, MAX_URL_LENGTH
from openid_auth.pending import PendingLogin
from openid_auth.providers import Provider
from openid_auth.store import NONCE_SKEW

# Section 10.1, and claimed_id and identity: a login without an identity is of no use here.
SIGNED = ("op_endpoint", "return_to", "response_nonce", "assoc_handle", "claimed_id", "identity")
REQUIRED = (*SIGNED, "signed", "sig")
# Sections 8.2.1 and 10.1; a URL is printable ASCII too.
LONGEST = {
    "claimed_id": MAX_URL_LENGTH,
    "identity": MAX_URL_LENGTH,
    "assoc_handle": MAX_HANDLE_LENGTH,
    "response_nonce": MAX_NONCE_LENGTH,
}
PRINTABLE = re.compile(r"[!-~]+")
# More than any provider sends; each field costs time before the signature is known to be good.
MAX_FIELDS = 200
MAX_SIZE = 64 * 1024


def verify(
    fields: Mapping[str, str],
    *,
    pending: PendingLogin,
    provider: Provider,
    current_url: str,
    store: OpenIDStore,
    relying_party: RelyingParty,
) -> Assertion:
    """Return the assertion in ``fields``, the callback's parameters with their prefix ``openid.``.

    ``pending`` is the login it claims to answer, ``current_url`` the address it came to. Raises
    AssertionRefused, LoginCancelled or SetupNeeded.
    """
    message = parse(fields)
    _check_mode(message)
    signed = _signed_fields(fields)
    _check_belongs(signed, pending, current_url)
    timestamp, salt = _check_time(signed["response_nonce"])
    _check_signature(message, pending, relying_party)
    if not store.useNonce(pending.server_url, timestamp, salt):
        raise AssertionRefused("nonce used before")
    endpoint = _check_discovery(signed, pending, relying_party)
    return Assertion(provider=provider, endpoint=endpoint, message=message, signed=signed)


def parse(fields: Mapping[str, str]) -> Message:
    """Return the message (section 4.1). Raises AssertionRefused if it is malformed."""
    if len(fields) > MAX_FIELDS or sum(map(len, fields.values())) > MAX_SIZE:
        raise AssertionRefused("too large")
    if any(":" not in uri for name, uri in fields.items() if name.startswith("openid.ns.")):
        # Section 12: a namespace is a URI. The library only warns, about each argument in it.
        raise AssertionRefused("malformed: a namespace is not a URI")
    try:
        message = Message.fromPostArgs(fields)
    except MALFORMED as error:
        raise AssertionRefused(f"malformed: {error!r}") from error
    if not message.isOpenID2():
        raise AssertionRefused("not an OpenID 2.0 message")
    return message


def _check_mode(message: Message) -> None:
    mode = message.getArg(OPENID_NS, "mode")
    if mode == "cancel":
        raise LoginCancelled
    if mode == "setup_needed":
        raise SetupNeeded
    if mode == "error":
        raise AssertionRefused(f"the provider says: {message.getArg(OPENID_NS, 'error')!r:.300}")
    if mode != "id_res":
        raise AssertionRefused(f"mode {mode!r:.100}")


def _signed_fields(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the fields that the signature covers, without their prefix (section 10.1)."""
    missing = [name for name in REQUIRED if not fields.get(f"openid.{name}")]
    if missing:
        raise AssertionRefused(f"missing: {', '.join(missing)}")
    names = fields["openid.signed"].split(",")
    if len(names) != len(set(names)):
        raise AssertionRefused("a field is signed twice")
    unsigned = [name for name in SIGNED if name not in names]
    if unsigned:
        raise AssertionRefused(f"not signed: {', '.join(unsigned)}")
    absent = [name for name in names if f"openid.{name}" not in fields]
    if absent:
        raise AssertionRefused(f"signed but absent: {', '.join(absent):.300}")
    return {name: fields[f"openid.{name}"] for name in names}


def _check_belongs(signed: Mapping[str, str], pending: PendingLogin, current_url: str) -> None:
    """Check return_to (section 11.1), and that the endpoint is the one the login began with."""
    if signed["return_to"] != pending.return_to:
        raise AssertionRefused("return_to is of another login")
    if urlsplit(pending.return_to)[:3] != urlsplit(current_url)[:3]:
        raise AssertionRefused(f"return_to is not at {current_url.partition('?')[0]}")
    if signed["op_endpoint"] != pending.server_url:
        raise AssertionRefused(f"from {signed['op_endpoint']!r:.300}, not {pending.server_url}")
    for name, longest in LONGEST.items():
        if len(signed[name]) > longest or not PRINTABLE.fullmatch(signed[name]):
            raise AssertionRefused(f"{name} is too long, or not printable ASCII")


def _check_time(nonce: str) -> tuple[int, str]:
    """Return the nonce's time and salt if it is recent (section 11.3)."""
    if not checkTimestamp(nonce, allowed_skew=NONCE_SKEW):
        raise AssertionRefused(f"nonce {nonce!r:.100} is malformed, too old, or in the future")
    timestamp, salt = split_nonce(nonce)
    return timestamp, salt


def _check_signature(message: Message, pending: PendingLogin, relying_party: RelyingParty) -> None:
    """Check the signature with the association, or let its provider do it (section 11.4)."""
    try:
        relying_party._idResCheckSignature(message, pending.server_url)
    except ProtocolError as error:
        raise AssertionRefused(f"signature: {error}") from error
    except MALFORMED as error:
        raise AssertionRefused(f"signature cannot be checked: {error!r}") from error


def _check_discovery(
    signed: Mapping[str, str], pending: PendingLogin, relying_party: RelyingParty
) -> OpenIDServiceEndpoint:
    """Check that the claimed identifier names this provider (section 11.2)."""
    claim = OpenIDServiceEndpoint()
    claim.type_uris = [OPENID_2_0_TYPE]
    claim.claimed_id = signed["claimed_id"]
    claim.local_id = signed["identity"]
    claim.server_url = signed["op_endpoint"]
    endpoint = pending.endpoint()
    try:
        if normalize(claim.claimed_id) != urldefrag(claim.claimed_id).url:
            # Discovery would find the normal form, which is not this identifier.
            raise DiscoveryFailure("it is not a normalized URL", None)
        if pending.claimed_id is not None:
            try:
                relying_party._verifyDiscoverySingle(endpoint, claim)
            except ProtocolError:
                endpoint = relying_party._discoverAndVerify(claim.claimed_id, [claim])
        else:
            endpoint = relying_party._discoverAndVerify(claim.claimed_id, [claim])
    except (DiscoveryFailure, ProtocolError) as error:
        raise AssertionRefused(f"discovery of the claimed identifier: {error}") from error
    # Discovery does not see the fragment, which tells apart two owners of one address.
    endpoint.claimed_id = claim.claimed_id
    return endpoint
