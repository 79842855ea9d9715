"""Launchpad's teams extension: ``query_membership`` out, ``is_member`` back."""

from __future__ import annotations

from collections.abc import Iterable

from openid.extension import Extension

from openid_auth.assertion import Assertion

NS_URI = "http://ns.launchpad.net/2007/openid-teams"


class TeamsRequest(Extension):  # type: ignore[misc]
    """Asks in which of ``teams`` the person is."""

    ns_uri = NS_URI
    ns_alias = "lp"

    def __init__(self, teams: Iterable[str]) -> None:
        self.teams = tuple(dict.fromkeys(teams))

    def getExtensionArgs(self) -> dict[str, str]:
        return {"query_membership": ",".join(self.teams)}


def read(assertion: Assertion) -> frozenset[str]:
    """Return the teams of the signed answer; an answer without them means: in none.

    The request went through the browser, where the person could have taken the question out; so
    a missing answer must not let somebody keep what a team once gave them.
    """
    answer = assertion.extension(NS_URI) or {}
    return frozenset(team for team in answer.get("is_member", "").split(",") if team)
