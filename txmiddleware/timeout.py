"""``TX_TIMEOUT``: how long the statements of a request may take, all of them together.

The deadline is the server's to keep: each statement begins with a limit there of about the time
that is left. A limit belongs to the server's session and outlives the transaction, so that the
next request finds it, and a request that needs less than a tenth of its time sends nothing for it.
Where a pool gives the session to others, the limit belongs to the transaction, and each sets it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from txmiddleware.conf import conf
from txmiddleware.exceptions import TransactionTimeout
from txmiddleware.retryable import sqlstate_of

STEPS = 10
"""In how many steps the limit in the server follows the time that is left, rounded up."""

CONTROL = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT")
"""How statements begin that take no time, and that must work once the time is over."""

UNKNOWN = -1.0
"""The limit of a session in which a rollback has taken back the one that was set."""

INSTRUCTIONS = 20_000
"""Of SQLite's virtual machine, between two looks at the clock: about a millisecond."""


class Budget:
    """The time of one request, over all of its attempts. ``seconds`` is at least 0.001."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds
        self.is_exceeded = False  # a statement has been refused or cancelled
        self._limits: list[tuple[_Limit, Budget | None]] = []

    @property
    def left(self) -> float:
        """Seconds until the deadline; negative after it."""
        return self.deadline - time.monotonic()

    def open(self) -> None:
        """Limit the statements of this thread's databases from now on."""
        for alias in conf.databases:
            limit = _limit_of(connections[alias])
            self._limits.append((limit, limit.budget))
            limit.budget = self

    def close(self, *, committed: bool) -> None:
        """Limit them no longer."""
        while self._limits:
            limit, outer = self._limits.pop()
            limit.leave(outer, committed)

    def is_behind(self, error: BaseException) -> bool:
        """Whether ``error`` comes of a statement that was refused or cancelled for its deadline."""
        return self.is_exceeded or (self.left <= 0 and _is_cancelled(error))

    def error(self) -> TransactionTimeout:
        """What to raise past the deadline."""
        self.is_exceeded = True
        return TransactionTimeout(
            f"the statements of the request took longer than TX_TIMEOUT ({self.seconds:g} s); "
            f"nothing was committed"
        )


class _Limit:
    """The limit of one connection: one of Django's execute wrappers."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.budget: Budget | None = None
        self._raw: Any = None  # the driver's connection that the rest is about
        self._set: float | None = None  # seconds; None: the server's own
        self._set_here = False  # since the budget was opened
        self._is_transactions = connection.vendor == "postgresql" and _is_pooled(connection)
        self._apply: Callable[[float | None], None] = getattr(
            self, f"_on_{connection.vendor}", self._on_others
        )

    def __call__(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        if isinstance(sql, str) and sql.startswith(CONTROL):
            if sql.startswith("ROLLBACK"):
                self._forget()
            return execute(sql, params, many, context)
        budget = self.budget
        self._adjust(budget)
        try:
            return execute(sql, params, many, context)
        except Exception as error:
            if budget is not None and budget.is_behind(error):
                raise budget.error() from error
            raise

    def leave(self, outer: Budget | None, committed: bool) -> None:
        """The budget is closed, and ``outer`` the one that is open again."""
        self.budget = outer
        if self.connection.vendor == "sqlite":
            self._set_here = False
            if self._raw is not None and self._raw is self.connection.connection:
                self._raw.set_progress_handler(None, 0)
            self._raw = self._set = None
        elif self._is_transactions and not vars(self.connection)["in_atomic_block"]:
            self._set_here = False
            self._set = None
        if not committed:
            self._forget()
        self._set_here = False
        self._go_if_unused()

    def _go_if_unused(self) -> None:
        # While one is there, each statement passes through Django's instrumentation.
        if self.budget is None and self._set is None:
            self.connection.execute_wrappers.remove(self)

    def _forget(self) -> None:
        # PostgreSQL takes back with a transaction what was set in it.
        if self._set_here:
            self._set = UNKNOWN

    def _adjust(self, budget: Budget | None) -> None:
        """Have the server's limit be about what is left."""
        raw = self.connection.connection
        if raw is not self._raw:
            self._raw, self._set, self._set_here = raw, None, False
        if budget is None:
            if self._set is not None:
                self._apply(None)
                self._set = None
            self._go_if_unused()
            return
        left = budget.left
        if left <= 0:
            raise budget.error()
        step = budget.seconds / STEPS
        limit = math.ceil(left / step) * step
        if self._set != limit:
            self._apply(limit)
            self._set = limit
            self._set_here = True

    def _execute(self, sql: str) -> None:
        # Not by Django's cursor, which would count it, log it, and bring it here again.
        with self.connection.wrap_database_errors, self._raw.cursor() as cursor:
            cursor.execute(sql)

    def _on_postgresql(self, seconds: float | None) -> None:
        value = "DEFAULT" if seconds is None else str(round(seconds * 1000) or 1)
        extent = "LOCAL" if self._is_transactions else "SESSION"
        self._execute(f"SET {extent} statement_timeout TO {value}")

    def _on_mysql(self, seconds: float | None) -> None:
        if self.connection.mysql_is_mariadb:  # type: ignore[attr-defined]
            value = "DEFAULT" if seconds is None else f"{seconds:.3f}"
            self._execute(f"SET SESSION max_statement_time = {value}")
        else:  # which limits SELECT only
            value = "DEFAULT" if seconds is None else str(round(seconds * 1000) or 1)
            self._execute(f"SET SESSION max_execution_time = {value}")

    def _on_sqlite(self, seconds: float | None) -> None:
        budget = self.budget
        if budget is not None:
            self._raw.set_progress_handler(lambda: budget.left <= 0, INSTRUCTIONS)

    def _on_others(self, seconds: float | None) -> None:
        pass  # no limit that we know of; statements past the deadline are refused


def _limit_of(connection: BaseDatabaseWrapper) -> _Limit:
    """The limit of ``connection``, which stays there to take back what the server was told."""
    for wrapper in connection.execute_wrappers:
        if isinstance(wrapper, _Limit):
            return wrapper
    limit = _Limit(connection)
    # In front: connection.execute_wrapper() takes the last one away at its end.
    connection.execute_wrappers.insert(0, limit)
    return limit


def _is_pooled(connection: BaseDatabaseWrapper) -> bool:
    """Whether others have the server's session between two transactions of ``connection``."""
    settings = connection.settings_dict
    # By Django's own pool, or one like PgBouncer, for which Django wants this setting.
    return bool(settings["OPTIONS"].get("pool") or settings.get("DISABLE_SERVER_SIDE_CURSORS"))


def _is_cancelled(error: BaseException) -> bool:
    """Whether the server has ended the statement because of its limit."""
    cause = error.__cause__ if isinstance(error, DatabaseError) else error
    if sqlstate_of(cause) == "57014":
        return True
    args = getattr(cause, "args", None) or (None,)
    return args[0] in (1969, 3024) or str(args[0]) == "interrupted"
