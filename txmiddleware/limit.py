"""The limit of a connection's statements in its server, which is to keep the deadline.

Each statement begins with a limit there of about the time that is left. A limit belongs to the
server's session and outlives the transaction, so that the next request finds it, and a request
that needs less than a tenth of its time sends nothing for it. Where a pool gives the session to
others, the limit belongs to the transaction, and each sets it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from txmiddleware.exceptions import TransactionTimeout
from txmiddleware.thread import this_thread

if TYPE_CHECKING:
    from txmiddleware.databases import Participant
    from txmiddleware.timeout import Budget

STEPS = 10
"""In how many steps the limit in the server follows the time that is left, rounded up."""

CONTROL = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT")
"""How statements begin that take no time, and that must work once the time is over."""

SETTING = ("SET", "RESET", "DISCARD")
"""How statements begin that may change the limit."""

UNKNOWN = -1.0
"""The limit of a session where a rollback, or the application, may have taken back ours."""

INSTRUCTIONS = 20_000
"""Of SQLite's virtual machine, between two looks at the clock: about a millisecond."""


class Limit:
    """The limit of one connection: one of Django's execute wrappers.

    It is there while a budget is open, and until the server has its own limit again.
    """

    def __init__(self, connection: Participant) -> None:
        self.connection = connection
        self._raw: Any = None  # the driver's connection that the rest is about
        self._set: float | None = None  # seconds; None: the server's own
        self._is_new = False  # set in a transaction that may still be rolled back
        self._is_undone = connection.vendor == "postgresql"  # by a rollback
        self._is_transactions = self._is_undone and _is_pooled(connection)
        # Asks the server, if nobody has yet, and so has to be before the connection is limited.
        self._is_mariadb = getattr(connection, "mysql_is_mariadb", False)
        self._apply: Callable[[float | None], None] = getattr(
            self, f"_on_{connection.vendor}", self._on_others
        )
        # In front: connection.execute_wrapper() takes the last one away at its end.
        connection.execute_wrappers.insert(0, self)

    def __call__(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        if isinstance(sql, str) and sql.startswith(CONTROL):
            if sql.startswith("ROLLBACK"):
                self._forget()
            return execute(sql, params, many, context)
        try:
            result = self.limited(execute, sql, params, many, context)
        except TransactionTimeout:
            # One that ended too late has rows that nobody will read, and on SQLite a lock with them
            # for as long as the error refers to the cursor.
            with suppress(self.connection.Database.Error):  # type: ignore[attr-defined]
                context["cursor"].close()
            raise
        if isinstance(sql, str) and sql.lstrip()[:7].upper().startswith(SETTING):
            self._set = UNKNOWN
        return result

    def limited(self, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call what has a statement executed.

        Raises :class:`~txmiddleware.exceptions.TransactionTimeout` if the deadline passes before
        its end: a server that counts otherwise than we do must not have the last word.
        """
        budget = this_thread.budget
        self._adjust(budget)
        try:
            result = call(*args, **options)
        except Exception as error:
            self._forget()  # PostgreSQL will roll back, at COMMIT too
            if budget is not None and budget.is_behind(error):
                raise budget.error() from error
            raise
        if budget is not None and budget.left <= 0:
            raise budget.error()
        return result

    def cursor(self, cursor: Any, *, is_in_server: bool) -> Any:
        """Have ``cursor``, one of Django's, be limited in what passes no execute wrapper too."""
        if self.connection.vendor != "sqlite":
            kind = _ServerSideCursor if is_in_server else _LimitedCursor
            cursor.__class__ = _limited_class(kind, cursor.__class__)
        return cursor

    def leave(self) -> None:
        """A budget is closed."""
        if self.connection.vendor == "sqlite":
            if self._raw is not None and self._raw is self.connection.connection:
                self._raw.set_progress_handler(None, 0)
            self._raw = self._set = None
        self._go_if_unused()

    def end_transaction(self, *, committed: bool) -> None:
        """The driver has committed, or has been told to roll back."""
        if not committed:
            self._forget()
        if self._is_transactions:
            self._set = None
        self._is_new = False
        self._go_if_unused()

    def _forget(self) -> None:
        # PostgreSQL takes back with a transaction, or up to a savepoint, what was set in it.
        if self._is_new:
            self._set = UNKNOWN

    def _go_if_unused(self) -> None:
        # While one is there, each statement passes through Django's instrumentation.
        connection = self.connection
        is_used = this_thread.budget is not None or self._set is not None or self._is_new
        if not is_used and connection._limit is self:
            connection._limit = None
            connection.execute_wrappers.remove(self)

    def _adjust(self, budget: Budget | None) -> None:
        """Have the server's limit be about what is left."""
        raw = self.connection.connection
        if raw is not self._raw:
            self._raw, self._set, self._is_new = raw, None, False
        limit = None
        if budget is not None:
            left = budget.left
            if left <= 0:
                raise budget.error()
            step = budget.seconds / STEPS
            limit = math.ceil(left / step) * step
        if self._set != limit:
            self._apply(limit)
            self._set = limit
            self._is_new = self._is_undone and not self.connection.autocommit
        if budget is None:
            self._go_if_unused()

    def _execute(self, sql: str) -> None:
        # Not by Django's cursor, which would count it, log it, and bring it here again.
        with self.connection.wrap_database_errors, self._raw.cursor() as cursor:
            cursor.execute(sql)

    def _on_postgresql(self, seconds: float | None) -> None:
        value = "DEFAULT" if seconds is None else str(round(seconds * 1000) or 1)
        extent = "LOCAL" if self._is_transactions else "SESSION"
        self._execute(f"SET {extent} statement_timeout TO {value}")

    def _on_mysql(self, seconds: float | None) -> None:
        if self._is_mariadb:
            value = "DEFAULT" if seconds is None else f"{seconds:.3f}"
            self._execute(f"SET SESSION max_statement_time = {value}")
        else:  # which limits SELECT only
            value = "DEFAULT" if seconds is None else str(round(seconds * 1000) or 1)
            self._execute(f"SET SESSION max_execution_time = {value}")

    def _on_sqlite(self, seconds: float | None) -> None:
        budget = this_thread.budget
        if budget is not None:
            self._raw.set_progress_handler(budget.interrupt, INSTRUCTIONS)

    def _on_others(self, seconds: float | None) -> None:
        pass  # no limit that we know of; statements past the deadline are refused


class _LimitedCursor(CursorWrapper):
    """A cursor of Django, limited in what Django only passes on to the driver."""

    limited_names = frozenset({"callproc", "copy", "copy_expert", "copy_from", "copy_to", "stream"})
    # Not nextset(): with results that wait to be read MySQL takes no statement of ours.

    # Some of them are methods, and the others come out of __getattr__().

    def __getattribute__(self, name: str) -> Any:
        return _limited(self, name, super().__getattribute__(name))

    def __getattr__(self, name: str) -> Any:
        return _limited(self, name, super().__getattr__(name))


class _ServerSideCursor(_LimitedCursor):
    """One whose rows come by statements of their own."""

    limited_names = _LimitedCursor.limited_names | {"fetchone", "fetchmany", "fetchall", "scroll"}

    def __iter__(self) -> Iterator[Any]:
        rows, end = super().__iter__(), object()
        while (row := _limit(self, next)(rows, end)) is not end:
            yield row


def _limited(cursor: _LimitedCursor, name: str, found: Any) -> Any:
    return _limit(cursor, found) if name in type(cursor).limited_names else found


def _limit(cursor: _LimitedCursor, call: Callable[..., Any]) -> Callable[..., Any]:
    limit: Limit | None = cursor.db._limit  # none any more, if the cursor has outlived it
    return call if limit is None else functools.partial(limit.limited, call)


@functools.cache
def _limited_class(kind: type[_LimitedCursor], cursor_class: Any) -> type[_LimitedCursor]:
    return type(cursor_class.__name__, (kind, cursor_class), {})


def _is_pooled(connection: BaseDatabaseWrapper) -> bool:
    """Whether others have the server's session between two transactions of ``connection``."""
    settings = connection.settings_dict
    # By Django's own pool, or one like PgBouncer, for which Django wants this setting.
    return bool(settings["OPTIONS"].get("pool") or settings.get("DISABLE_SERVER_SIDE_CURSORS"))
