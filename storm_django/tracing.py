"""One query log for both ORMs: Storm's statements pass through Django's own instrumentation.

While Django's log is on (``DEBUG``, ``force_debug_cursor``), or something watches the connection
(``execute_wrapper()``, a replaced ``cursor()``), Storm executes by way of a cursor of Django's.
Otherwise its statements go straight to the driver.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db.backends.utils import CursorDebugWrapper, CursorWrapper
from django.db.backends.utils import logger as queries_logger
from django.db.transaction import TransactionManagementError
from django.db.utils import Error as DjangoError
from storm.database import ConnectionWrapper
from storm.database import CursorWrapper as StormsCursorWrapper
from storm.exceptions import wrap_exceptions

# What may hold a question mark that is no parameter comes first.
QMARKS = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`|\[[^]]*\]|--[^\n]*|/\*.*?\*/|\?(?!\d)""", re.DOTALL)
FORMATS = re.compile("%([%s])")


class _Issuer(threading.local):
    orm = "django"


_issuer = _Issuer()


def _name_the_orm(record: logging.LogRecord) -> bool:
    record.orm = _issuer.orm
    return True


queries_logger.addFilter(_name_the_orm)


def translated(database: Any, function: Any, *args: Any, **options: Any) -> Any:
    """Call Django's side. Storm's users expect the driver's errors, which Django wraps."""
    try:
        return function(*args, **options)
    except DjangoError as error:
        cause = error.__cause__
        if not isinstance(cause, database._exception_module.Error):
            raise  # it is of Django's own, or of a function that watches statements
        if isinstance(error, TransactionManagementError):
            raise
        with wrap_exceptions(database):
            raise cause from None


class StormCursor(CursorWrapper):
    """Django's wrapper around a cursor of Storm's, which ``execute_wrapper()`` gets.

    It does without what Django does around its own statements only.
    """

    db: Any

    def execute(self, sql: Any, params: Any = None) -> Any:
        try:
            return super().execute(sql, params)
        finally:
            self.db.issued_by_storm = True  # until what wraps this cursor has recorded it

    def _execute(self, sql: Any, params: Any, *ignored: Any) -> Any:
        with self.db.wrap_database_errors:
            return self.cursor.execute(sql) if params is None else self.cursor.execute(sql, params)


class StormDebugCursor(StormCursor, CursorDebugWrapper):
    """The same, in Django's log."""

    @contextmanager
    def debug_sql(self, *args: Any, **options: Any) -> Iterator[None]:
        log = self.db.queries_log
        last = None
        try:
            with super().debug_sql(*args, **options):
                try:
                    yield
                finally:
                    last = log[-1] if log else None
                    _issuer.orm = "storm"
        finally:
            _issuer.orm = "django"
            if log and log[-1] is not last:
                log[-1]["orm"] = "storm"


class _QmarkCursor:
    """A cursor of a driver with question marks, for statements that have Django's marks.

    It has the parameters already, in ``bound``, where Django can't show them in the statement.
    """

    def __init__(self, cursor: Any, bound: Any = None) -> None:
        self._cursor = cursor
        self._bound = bound

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def execute(self, sql: str, params: Any = None) -> Any:
        if params is not None:
            return self._cursor.execute(FORMATS.sub(_as_qmark, sql), params)
        return self._cursor.execute(sql, self._bound)


def _as_qmark(found: re.Match[str]) -> str:
    return "?" if found[1] == "s" else "%"


def _as_format(statement: str, params: Any) -> str | None:
    """The statement with ``%s`` for question marks, if there are as many of these as parameters."""
    pieces = QMARKS.split(statement)
    found = QMARKS.findall(statement)
    if found.count("?") != len(params):
        return None
    marks = ["%s" if mark == "?" else mark.replace("%", "%%") for mark in found]
    texts = [piece.replace("%", "%%") for piece in pieces]
    return texts[0] + "".join(a + b for a, b in zip(marks, texts[1:], strict=True))


class LentCursor(StormsCursorWrapper):
    """Storm's cursor on a connection that is watched."""

    def __init__(self, cursor: Any, database: Any, lender: Any) -> None:
        super().__init__(cursor, database)
        object.__setattr__(self, "_lender", lender)

    def execute(self, statement: str, params: Any = None) -> Any:
        """Execute by way of Django. Raises the driver's errors as Storm's, as without a log."""
        return translated(self._database, self._execute, statement, params)

    def _execute(self, statement: str, params: Any) -> Any:
        cursor = self._cursor
        if params is not None and self._database.connection_factory.param_mark == "?":
            as_format = _as_format(statement, params)
            if as_format is None:
                cursor, params = _QmarkCursor(cursor, bound=params), None
            else:
                cursor, statement = _QmarkCursor(cursor), as_format
        try:
            with wrap_exceptions(self._database):  # to show a statement, Django executes another
                return self._djangos(cursor).execute(statement, params)
        finally:
            self._lender.issued_by_storm = False

    def _djangos(self, cursor: Any) -> CursorWrapper:
        lender: Any = self._lender
        made = (StormDebugCursor if lender.queries_logged else StormCursor)(cursor, lender)
        if "cursor" not in vars(lender):
            return made
        # Replaced, as by django-debug-toolbar, to wrap what the original returns.
        lender.__dict__["_cursor"] = lambda name=None: made
        try:
            wrapped: CursorWrapper = lender.cursor()
            return wrapped
        finally:
            del lender.__dict__["_cursor"]


class LentConnection(ConnectionWrapper):
    """The raw connection of Django's wrapper, which is the lender, in Storm's hands."""

    def __init__(self, connection: Any, database: Any, lender: Any) -> None:
        super().__init__(connection, database)
        self.__dict__["_lender"] = lender

    def cursor(self) -> StormsCursorWrapper:
        """A cursor, whose statements Django's instrumentation sees if there is any.

        Without, it does what Storm's own method does, and looks at ``settings.DEBUG``.
        """
        with wrap_exceptions(self._database):
            cursor = self._connection.cursor()
        lender = self._lender
        if (
            settings.DEBUG
            or lender.force_debug_cursor
            or lender.execute_wrappers
            or "cursor" in vars(lender)
        ):
            return LentCursor(cursor, self._database, lender)
        return StormsCursorWrapper(cursor, self._database)
