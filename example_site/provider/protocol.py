"""The provider's side of the protocol, on ``openid.server``: signing, and the extensions."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from openid.extension import Extension
from openid.extensions import ax, sreg
from openid.server.server import CheckIDRequest, OpenIDResponse, Server
from openid.store.memstore import MemoryStore

from example_site.provider.identities import Identity

TEAMS_NS = "http://ns.launchpad.net/2007/openid-teams"
EXTENSION_TYPES = (sreg.ns_uri_1_1, ax.AXMessage.ns_uri, TEAMS_NS)

# The library uses what it deprecated, in every answer.
warnings.filterwarnings("ignore", 'The "namespace" attribute', DeprecationWarning)

# Associations live as long as the process; relying parties notice when one is gone.
store = MemoryStore()


def make_server(op_endpoint: str) -> Server:
    """Return the server whose endpoint is at ``op_endpoint``."""
    return Server(store, op_endpoint=op_endpoint)


class TeamsResponse(Extension):
    """Says which of the teams that were asked for the person is in."""

    ns_uri = TEAMS_NS
    ns_alias = "lp"

    def __init__(self, teams: tuple[str, ...]) -> None:
        self.teams = teams

    def getExtensionArgs(self) -> dict[str, str]:
        return {"is_member": ",".join(self.teams)}


def asked_teams(request: CheckIDRequest) -> list[str] | None:
    """Return the teams a request asks about, None if it does not ask."""
    asked: str | None = request.message.getArg(TEAMS_NS, "query_membership")
    return None if asked is None else asked.split(",")


def asked_attributes(request: CheckIDRequest) -> dict[str, str]:
    """Return the attribute types a request asks for, with the name of each in ``attributes()``."""
    known = {
        "http://axschema.org/contact/email": "email",
        "http://axschema.org/namePerson": "fullname",
        "http://axschema.org/namePerson/friendly": "nickname",
    }
    try:
        fetch = ax.FetchRequest.fromOpenIDRequest(request)
    except ax.AXError:
        fetch = None
    if fetch is None:
        return {}
    return {type_uri: known[type_uri] for type_uri in fetch if type_uri in known}


def asked_fields(request: CheckIDRequest) -> list[str]:
    """Return the Simple Registration fields a request asks for."""
    fields: list[str] = sreg.SRegRequest.fromOpenIDRequest(request).allRequestedFields()
    return fields


def attributes(identity: Identity) -> Mapping[str, str]:
    """Return what there is to tell about a person."""
    return {
        "nickname": identity.nickname,
        "fullname": identity.fullname,
        "email": identity.email,
    }


def approve(request: CheckIDRequest, identity: Identity, claimed_id: str) -> OpenIDResponse:
    """Return the positive answer to ``request``, extensions included."""
    response = request.answer(True, identity=claimed_id, claimed_id=claimed_id)
    values = attributes(identity)
    if asked_fields(request):
        wanted = sreg.SRegRequest.fromOpenIDRequest(request)
        response.addExtension(sreg.SRegResponse.extractResponse(wanted, values))
    types = asked_attributes(request)
    if types:
        # With the request the answer reuses its aliases.
        fetched = ax.FetchResponse(request=ax.FetchRequest.fromOpenIDRequest(request))
        for type_uri, name in types.items():
            fetched.addValue(type_uri, values[name])
        response.addExtension(fetched)
    teams = asked_teams(request)
    if teams is not None:
        response.addExtension(TeamsResponse(tuple(t for t in identity.teams if t in teams)))
    return response
