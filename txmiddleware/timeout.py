"""``TX_TIMEOUT``: how long the statements of a request may take, all of them together."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from django.db import DatabaseError, connections

from txmiddleware.exceptions import TransactionTimeout
from txmiddleware.limit import Limit
from txmiddleware.retryable import sqlstate_of
from txmiddleware.thread import this_thread

if TYPE_CHECKING:
    from txmiddleware.databases import Participant


class Budget:
    """The time of one request, over all of its attempts. ``seconds`` is at least 0.001."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds
        self.is_exceeded = False  # a statement was refused or cancelled, or ended too late
        self._limits: set[Limit] = set()
        self._outer: Budget | None = None

    @property
    def left(self) -> float:
        """Seconds until the deadline; negative after it."""
        return self.deadline - time.monotonic()

    def open(self) -> None:
        """Limit from now on the statements of this thread's databases that join, or have joined."""
        self._outer, this_thread.budget = this_thread.budget, self
        for connection in connections.all(initialized_only=True):
            if getattr(connection, "_data_manager", None) is not None:
                self.limit(connection)  # type: ignore[arg-type]

    def limit(self, connection: Participant) -> None:
        """Limit the statements of ``connection``, which has joined."""
        if connection._limit is None:
            connection._limit = Limit(connection)
        self._limits.add(connection._limit)

    def close(self) -> None:
        """Limit them no longer."""
        outer = this_thread.budget = self._outer
        limits, self._limits = self._limits, set()
        for limit in limits:
            limit.leave()
        if outer is not None:
            outer._limits |= limits

    def is_behind(self, error: BaseException) -> bool:
        """Whether ``error`` comes of a statement that was refused or cancelled for its deadline."""
        return self.is_exceeded or (self.left <= 0 and _is_cancelled(error))

    def interrupt(self) -> bool:
        """Whether the statement that runs now in this process has to end."""
        if self.left > 0:
            return False
        self.is_exceeded = True  # whatever becomes of the error
        return True

    def error(self) -> TransactionTimeout:
        """What to raise past the deadline."""
        self.is_exceeded = True
        return TransactionTimeout(
            f"the statements of the request took longer than TX_TIMEOUT ({self.seconds:g} s); "
            f"nothing was committed"
        )


def _is_cancelled(error: BaseException) -> bool:
    """Whether the server has ended the statement because of its limit."""
    cause = error.__cause__ if isinstance(error, DatabaseError) else error
    if sqlstate_of(cause) == "57014":
        return True
    args = getattr(cause, "args", None) or (None,)
    return args[0] in (1969, 3024) or str(args[0]) == "interrupted"
