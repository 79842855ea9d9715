"""python3-openid's consumer, with the parts replaced that trust the network too much."""

from __future__ import annotations

from typing import Any

from openid.association import Association, SessionNegotiator
from openid.consumer.consumer import (
    GenericConsumer,
    ProtocolError,
    ServerError,
    _httpResponseToMessage,
)
from openid.consumer.discover import OpenIDServiceEndpoint
from openid.fetchers import HTTPFetchingError
from openid.message import OPENID_NS, Message
from openid.store.interface import OpenIDStore

from openid_auth.discovery import discover
from openid_auth.fetcher import Fetcher

# What Message() and its parsers raise on malformed input, assertions included.
MALFORMED = (AssertionError, KeyError, TypeError, ValueError)


class RelyingParty(GenericConsumer):  # type: ignore[misc]
    """Direct communication with a provider: discovery, associations, check_authentication."""

    def __init__(self, store: OpenIDStore | None, fetcher: Fetcher) -> None:
        """``store`` None is stateless mode (OpenID 2.0 section 11.4.2)."""
        super().__init__(store)
        self.fetcher = fetcher
        # The library prefers HMAC-SHA1, and takes a secret that crossed the network in the clear.
        self.negotiator = SessionNegotiator(
            [("HMAC-SHA256", "DH-SHA256"), ("HMAC-SHA1", "DH-SHA1")]
        )

    def _discover(self, identifier: str) -> tuple[str, list[OpenIDServiceEndpoint]]:
        return discover(identifier, self.fetcher)

    def _makeKVPost(self, message: Message, server_url: str) -> Message:
        """Send a direct request (section 5.1). The library would use the process-wide fetcher,
        and lets what a malformed answer raises go through to the visitor."""
        response = self.fetcher.fetch(server_url, body=message.toURLEncoded())
        try:
            answer = _httpResponseToMessage(response, server_url)
            refused = answer.getArg(OPENID_NS, "error_code") is not None
        except MALFORMED as error:
            raise HTTPFetchingError(f"malformed answer of {server_url}: {error!r}") from error
        if refused:
            # Section 8.2.4. Section 5.1.2.2 wants status 400 with it, which several do not send.
            raise ServerError.fromMessage(answer)
        return answer

    def _extractAssociation(self, response: Message, session: Any) -> Association:
        """Refuse an OpenID 1 answer: for one, the library accepts an unencrypted secret."""
        if not response.isOpenID2():
            raise ProtocolError("the answer to an association request has no openid.ns")
        return super()._extractAssociation(response, session)
