"""Django's cursors, which keep the two ORMs in step, statement by statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.backends.utils import CursorDebugWrapper, CursorWrapper

if TYPE_CHECKING:
    from storm_django.backend.shared import StoreWrapper

# How a statement begins that changes no row. Some are what Django executes when a flush of Storm
# has it connect or begin: to invalidate what is being flushed would lose it.
READS = (
    *("SELECT", "EXPLAIN", "SHOW", "PRAGMA", "DECLARE", "FETCH"),
    *("BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET"),
)


def only_reads(sql: Any) -> bool:
    """Whether a statement certainly changes no row."""
    return isinstance(sql, str) and sql.lstrip(" \n\t(")[:10].upper().startswith(READS)


class CoherentCursorMixin:
    """A cursor of Django that keeps the two ORMs in step, statement by statement."""

    db: StoreWrapper

    def execute(self, sql: Any, params: Any = None) -> Any:
        self.db.before_statement()
        result = super().execute(sql, params)  # type: ignore[misc]
        self.db.after_statement(sql)
        return result

    def executemany(self, sql: Any, param_list: Any) -> Any:
        self.db.before_statement()
        result = super().executemany(sql, param_list)  # type: ignore[misc]
        self.db.after_statement(sql)
        return result

    def callproc(self, *args: Any, **kwargs: Any) -> Any:
        self.db.before_statement()
        result = super().callproc(*args, **kwargs)  # type: ignore[misc]
        self.db.after_statement("CALL")
        return result


class CoherentCursor(CoherentCursorMixin, CursorWrapper):
    """Django's cursor."""


class CoherentDebugCursor(CoherentCursorMixin, CursorDebugWrapper):
    """Django's cursor that logs."""
