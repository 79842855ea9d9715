"""Attribute Exchange 1.0, fetch requests only."""

from __future__ import annotations

from openid.extension import Extension
from openid.extensions.ax import AttrInfo, AXError, FetchRequest, FetchResponse

from openid_auth.assertion import Assertion

NS_URI: str = FetchRequest.ns_uri
ACCOUNT_VALIDATION = "http://ns.login.ubuntu.com/2013/validation/account"

# The attribute types (section 3.1) by our name. The schema.openid.net ones are of a draft, and
# are still sent by some providers; only the first of each is asked for.
TYPES: dict[str, tuple[str, ...]] = {
    "email": ("http://axschema.org/contact/email", "http://schema.openid.net/contact/email"),
    "fullname": ("http://axschema.org/namePerson", "http://schema.openid.net/namePerson"),
    "first_name": ("http://axschema.org/namePerson/first",),
    "last_name": ("http://axschema.org/namePerson/last",),
    "nickname": (
        "http://axschema.org/namePerson/friendly",
        "http://schema.openid.net/namePerson/friendly",
    ),
    "account_verified": (ACCOUNT_VALIDATION,),
}


def request(*, account_verified: bool) -> Extension:
    """Return the request for all of ``TYPES``; for the verification scheme only if told to."""
    fetch = FetchRequest()
    for name, types in TYPES.items():
        if name != "account_verified" or account_verified:
            # Some providers ignore what is not required.
            fetch.add(AttrInfo(types[0], alias=name, required=True))
    return fetch


def read(assertion: Assertion) -> dict[str, str]:
    """Return the signed attributes of the answer (section 5.2) by our name."""
    arguments = assertion.extension(NS_URI)
    if not arguments:
        return {}
    answer = FetchResponse()
    try:
        answer.parseExtensionArgs(arguments)
    except (AssertionError, AXError, KeyError, ValueError):
        # Malformed, or an attribute of which one part is not signed: nothing of it is used.
        return {}
    found: dict[str, str] = {}
    for name, types in TYPES.items():
        for type_uri in types:
            values = answer.data.get(type_uri)
            if values and values[0]:
                found[name] = values[0]
                break
    return found
