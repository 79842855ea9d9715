"""A verified positive assertion."""

from __future__ import annotations

from collections.abc import Mapping

from openid.consumer.consumer import SuccessResponse
from openid.consumer.discover import OpenIDServiceEndpoint
from openid.message import Message

from openid_auth.providers import Provider


class Assertion(SuccessResponse):  # type: ignore[misc]
    """What a provider signed, after every check of ``openid_auth.verification``.

    It is python3-openid's ``SuccessResponse``, so code that takes one (a receiver of
    ``openid_login_complete``) still works. ``provider`` is the one the login began with;
    ``signed`` holds the signed fields, without their prefix ``openid.``.
    """

    identity_url: str

    def __init__(
        self,
        *,
        provider: Provider,
        endpoint: OpenIDServiceEndpoint,
        message: Message,
        signed: Mapping[str, str],
    ) -> None:
        super().__init__(endpoint, message, [f"openid.{name}" for name in signed])
        self.provider = provider
        self.signed = dict(signed)

    @property
    def op_endpoint(self) -> str:
        """The endpoint that signed it."""
        return self.signed["op_endpoint"]

    def extension(self, ns_uri: str) -> dict[str, str] | None:
        """Return the signed arguments in the namespace ``ns_uri``, None if it is not signed.

        Section 12: an extension is named by ``openid.ns.<alias>``. If that field is not signed,
        anybody between the provider and here can say what the arguments mean.
        """
        for name, value in self.signed.items():
            if value == ns_uri and name.startswith("ns."):
                prefix = f"{name[3:]}."
                return {
                    field[len(prefix) :]: argument
                    for field, argument in self.signed.items()
                    if field.startswith(prefix)
                }
        return None
