"""What the session remembers of the identity that signed in."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

from django.contrib.sessions.backends.base import SessionBase

from openid_auth.assertion import Assertion

SESSION_KEY = "openid_auth_identity"


@dataclass(frozen=True)
class SignedIn:
    """``checked`` is when the provider last vouched for ``claimed_id``, ``tried`` when it was last
    to be asked and could not be reached; both in seconds since 1970.
    """

    provider: str
    claimed_id: str
    checked: int
    tried: int = 0

    @property
    def age(self) -> float:
        """The time since the provider was asked, in seconds; infinite if the clock was set back."""
        age = int(time.time()) - self.checked
        return age if age >= 0 else float("inf")

    def save(self, session: SessionBase) -> None:
        """Keep it in the session."""
        session[SESSION_KEY] = asdict(self)


def remember(session: SessionBase, assertion: Assertion) -> None:
    """Keep who signed in, and that the provider was asked just now."""
    SignedIn(
        provider=assertion.provider.name,
        claimed_id=assertion.identity_url,
        checked=int(time.time()),
    ).save(session)


def read(session: SessionBase) -> SignedIn | None:
    """Return the identity that signed in, None if it was a password or nobody."""
    values = session.get(SESSION_KEY)
    return None if values is None else SignedIn(**values)
