"""Logins that were begun in this browser and not answered yet: JSON, in the session."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from django.utils.crypto import get_random_string
from openid.consumer.discover import OPENID_2_0_TYPE, OPENID_IDP_2_0_TYPE, OpenIDServiceEndpoint

SESSION_KEY = "openid_auth_pending"
# In as many tabs may one person begin; the oldest login gives way.
MAX_PENDING = 5
# The time a person has at the provider, in seconds.
MAX_AGE = 60 * 60


class Purpose(str, Enum):
    """What a verified answer is for."""

    LOGIN = "login"
    LINK = "link"  # one more identity of an account
    REFRESH = "refresh"  # of a session, without a click


@dataclass(frozen=True)
class PendingLogin:
    """A login as it began. The answer must be from ``server_url``, to ``return_to``.

    ``claimed_id`` and ``local_id`` are None for directed identity (the provider picks). ``user``
    is the key of the account to link or to refresh, as a string.
    """

    provider: str
    server_url: str
    claimed_id: str | None
    local_id: str | None
    return_to: str
    next: str
    purpose: str = Purpose.LOGIN.value
    user: str = ""
    started: int = field(default_factory=lambda: int(time.time()))

    def endpoint(self) -> OpenIDServiceEndpoint:
        """Return what discovery found when the login began."""
        found = OpenIDServiceEndpoint()
        found.server_url = self.server_url
        found.claimed_id = self.claimed_id
        found.local_id = self.local_id
        directed = self.claimed_id is None
        found.type_uris = [OPENID_IDP_2_0_TYPE if directed else OPENID_2_0_TYPE]
        return found


def new_state() -> str:
    """Return a token that names a pending login in its ``return_to``."""
    return get_random_string(32)


def remember(session: SessionBase, state: str, login: PendingLogin) -> None:
    """Keep ``login`` in the session under ``state``."""
    kept = _fresh(session)
    kept[state] = asdict(login)
    session[SESSION_KEY] = dict(list(kept.items())[-MAX_PENDING:])


def take(session: SessionBase, state: str) -> PendingLogin | None:
    """Remove the login ``state`` from the session and return it; None if it did not begin here."""
    kept = _fresh(session)
    values = kept.pop(state, None)
    if values is None:
        return None
    session[SESSION_KEY] = kept
    return PendingLogin(**values)


def _fresh(session: SessionBase) -> dict[str, dict[str, Any]]:
    since = int(time.time()) - MAX_AGE
    kept: dict[str, dict[str, Any]] = session.get(SESSION_KEY, {})
    return {state: values for state, values in kept.items() if values["started"] >= since}
