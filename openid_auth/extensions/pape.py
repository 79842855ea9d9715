"""Provider Authentication Policy Extension 1.0: only what a second factor needs."""

from __future__ import annotations

from openid.extension import Extension

from openid_auth.assertion import Assertion

NS_URI = "http://specs.openid.net/extensions/pape/1.0"
MULTI_FACTOR_PHYSICAL = "http://schemas.openid.net/pape/policies/2007/06/multi-factor-physical"


class PolicyRequest(Extension):  # type: ignore[misc]
    """Asks the provider for a physical second factor (section 5.1)."""

    ns_uri = NS_URI
    ns_alias = "pape"

    def getExtensionArgs(self) -> dict[str, str]:
        return {"preferred_auth_policies": MULTI_FACTOR_PHYSICAL}


def read(assertion: Assertion) -> frozenset[str]:
    """Return the policies that the signed answer says were met (section 5.2)."""
    answer = assertion.extension(NS_URI) or {}
    return frozenset(answer.get("auth_policies", "").split())
