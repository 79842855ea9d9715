"""Django's cursors, which keep the two ORMs in step, statement by statement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.db.backends.utils import CursorDebugWrapper, CursorWrapper

if TYPE_CHECKING:
    from storm_django.backend.shared import StoreWrapper


class CoherentCursorMixin:
    """A cursor of Django that keeps the two ORMs in step, statement by statement."""

    db: StoreWrapper
    cursor: Any

    def execute(self, sql: Any, params: Any = None) -> Any:
        db = self.db
        manager = db._data_manager
        # Between transactions, and in one of Django alone, Storm has nothing to send and believes
        # nothing.
        if not (db.autocommit or db._no_join) if manager is None else manager.involves_store:
            db.before_statement(sql)
        try:
            result = super().execute(sql, params)  # type: ignore[misc]
        except BaseException:
            db.after_statement(sql, failed=True)
            raise
        manager = db._data_manager
        if manager is not None and manager.uses_store:
            db.after_statement(sql, params, self.cursor.rowcount)
        return result

    def executemany(self, sql: Any, param_list: Any) -> Any:
        with self.in_step(sql):
            return super().executemany(sql, param_list)  # type: ignore[misc]

    def callproc(self, *args: Any, **kwargs: Any) -> Any:
        with self.in_step("CALL"):
            return super().callproc(*args, **kwargs)  # type: ignore[misc]

    @contextmanager
    def in_step(self, sql: Any) -> Iterator[None]:
        """Keep the ORMs in step about ``sql``, which is done inside, once or more often."""
        self.db.before_statement(sql)
        try:
            yield
        finally:
            self.db.after_statement(sql)


class CoherentCursor(CoherentCursorMixin, CursorWrapper):
    """Django's cursor."""


class CoherentDebugCursor(CoherentCursorMixin, CursorDebugWrapper):
    """Django's cursor that logs."""
