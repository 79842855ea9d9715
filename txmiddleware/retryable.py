"""Which failures a new transaction may not meet again."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from transaction.interfaces import TransientError

# PostgreSQL, appendix A of its manual; a class stands for all of its codes.
SQLSTATES = {
    "40001": "serialization failure",
    "40P01": "deadlock",
    "25P03": "idle transaction ended by the server",
    "57P01": "connection ended by the server",
    "57P02": "server crashed",
    "57P03": "server is starting or stopping",
    "57P05": "idle connection ended by the server",
    "08": "lost connection",
}
# MySQL and MariaDB, their server and client error references.
MYSQL_CODES = {
    1020: "row changed since it was read",
    1053: "server is stopping",
    1205: "lock wait timeout",
    1213: "deadlock",
    1927: "connection ended by the server",
    2002: "lost connection",
    2003: "lost connection",
    2006: "lost connection",
    2013: "lost connection",
    2055: "lost connection",
    4031: "idle connection ended by the server",
}
# Integrity errors because of a row that the transaction may not see, or still sees: of unique
# indexes, exclusion constraints and foreign keys.
RACES: frozenset[str | int] = frozenset(
    {"23001", "23503", "23505", "23P01", 1062, 1216, 1217, 1451, 1452, 1586, 1761, 1762}
)
UNANSWERED = (2013, 2055)
# Drivers that have no code for it, by the beginning of the message.
CUT = (
    "server closed the connection unexpectedly",
    "terminating connection",
    "SSL connection has been closed unexpectedly",
    "could not receive data from server",
    "could not send data to server",
    "SSL SYSCALL error",
    "consuming input failed",
)
MESSAGES = {
    "database is locked": "locked",
    "database table is locked": "locked",
    "connection already closed": "lost connection",
    "the connection is closed": "lost connection",
    "the connection is lost": "lost connection",
    "no connection to the server": "lost connection",
    "connection timeout expired": "lost connection",
    **dict.fromkeys(CUT, "lost connection"),
}
# libpq has no code for a connection that it can't open: by the beginning of the message and what
# the server, or the network, says further on. A wrong password stays one.
CONNECTING = (
    "connection to server",
    "could not connect to server",
    "connection failed",
    "Multiple connection attempts failed",
)
UNREACHABLE = (
    "the database system is",  # starting up, shutting down, in recovery mode, ...
    "Connection refused",
    "Connection reset by peer",
    "Connection timed out",
    "No such file or directory",
    "server closed the connection unexpectedly",
    "timeout expired",
)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    # Django's errors and ours have the driver's as their cause.
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__


def sqlstate_of(error: BaseException | None) -> str | None:
    """PostgreSQL's code of an error of psycopg2, or of psycopg 3."""
    state = getattr(error, "pgcode", None) or getattr(error, "sqlstate", None)
    return state if isinstance(state, str) else None


def _text_of(error: BaseException) -> str:
    text = str(error)
    if type(error).__module__.partition(".")[0] != "psycopg" or text.startswith(
        (*CONNECTING, *CUT)
    ):
        return text
    return text.partition(" failed: ")[2] or text  # psycopg 3 says first what it was about


def _reason_of(error: BaseException) -> str | None:
    state = sqlstate_of(error)
    if state is not None:
        return SQLSTATES.get(state) or SQLSTATES.get(state[:2])
    code = error.args[0] if error.args else None
    if isinstance(code, int):
        return MYSQL_CODES.get(code) if _is_mysql(error) else None
    text = _text_of(error)
    for message, reason in MESSAGES.items():
        if text.startswith(message):
            return reason
    if text.startswith(CONNECTING) and any(reason in text for reason in UNREACHABLE):
        return "lost connection"
    storm = sys.modules.get("storm.exceptions")
    if storm is not None and isinstance(error, storm.DisconnectionError):
        return "lost connection"
    return None


def is_unanswered(error: BaseException) -> bool:
    """Whether the connection was lost after a statement was sent: it may have been carried out."""
    for cause in _chain(error):
        if _reason_of(cause) is None:
            continue
        state = sqlstate_of(cause)
        if state is not None:
            return state.startswith("08") or state == "57P02"  # the others the server has said
        code = cause.args[0] if cause.args else None
        if isinstance(code, int):
            return code in UNANSWERED
        return _text_of(cause).startswith(CUT)
    return False


def _may_be_a_race(error: BaseException) -> bool:
    # At these levels a transaction can't see the row that it clashes with, so code that looked
    # before it wrote was right, and will see the row the next time.
    state = sqlstate_of(error)
    if state is not None:
        return state in RACES
    code = error.args[0] if error.args else None
    return isinstance(code, int) and code in RACES and _is_mysql(error)


def _is_mysql(error: BaseException) -> bool:
    return type(error).__module__.startswith("MySQLdb")


def _connections_of(resources: Iterable[Any] | None) -> Iterator[BaseDatabaseWrapper]:
    if resources is None:
        yield from connections.all()
        return
    for resource in resources:
        connection = getattr(resource, "connection", None)
        if isinstance(connection, BaseDatabaseWrapper):
            yield connection


def _has_snapshot(connection: BaseDatabaseWrapper) -> bool:
    options: dict[str, Any] = connection.settings_dict["OPTIONS"]
    if connection.vendor == "mysql":
        # Django's default; None is the server's, which is repeatable read.
        level = options.get("isolation_level", "read committed")
        return level is None or str(level).lower() in ("repeatable read", "serializable")
    if connection.vendor == "postgresql":
        from django.db.backends.postgresql.psycopg_any import IsolationLevel  # of either psycopg

        return options.get("isolation_level") in (
            IsolationLevel.REPEATABLE_READ,
            IsolationLevel.SERIALIZABLE,
        )
    return False


def retry_reason(error: BaseException | None, resources: Iterable[Any] | None = None) -> str | None:
    """Why ``error`` may not happen again in a new transaction; None if it would.

    ``resources`` are the data managers of the transaction that failed, which forgets them in its
    abort. They have a say, by their ``should_retry()``, as has
    ``transaction.interfaces.TransientError``; and whether a database among them could not see all
    rows decides on integrity errors. None: they are not known, and it may be any database.
    """
    if not isinstance(error, Exception):
        return None
    for cause in _chain(error):
        reason = _reason_of(cause)
        if reason is not None:
            return reason
    if any(map(_may_be_a_race, _chain(error))) and any(
        map(_has_snapshot, _connections_of(resources))
    ):
        return "integrity error in a snapshot"
    if isinstance(error, TransientError) or any(
        resource.should_retry(error)
        for resource in resources or ()
        if getattr(resource, "should_retry", None) is not None
    ):
        return "transient"
    return None
