"""Simple Registration 1.1."""

from __future__ import annotations

from openid.extension import Extension
from openid.extensions.sreg import SRegRequest, data_fields, ns_uri_1_0, ns_uri_1_1

from openid_auth.assertion import Assertion
from openid_auth.conf import conf

FIELDS: frozenset[str] = frozenset(data_fields)
DEFAULT_FIELDS = ("email", "fullname", "nickname")


def request() -> Extension:
    """Return the request for the fields of the settings (section 3)."""
    required = conf.OPENID_SREG_REQUIRED_FIELDS
    optional = (*DEFAULT_FIELDS, *conf.OPENID_SREG_EXTRA_FIELDS)
    return SRegRequest(
        required=[name for name in dict.fromkeys(required) if name in FIELDS],
        optional=[
            name for name in dict.fromkeys(optional) if name not in required and name in FIELDS
        ],
    )


def read(assertion: Assertion) -> dict[str, str]:
    """Return the signed fields of the answer (section 4) that Simple Registration knows."""
    answer = assertion.extension(ns_uri_1_1) or assertion.extension(ns_uri_1_0) or {}
    return {name: value for name, value in answer.items() if name in FIELDS and value}
