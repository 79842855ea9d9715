"""Django's connections, which join the thread's transaction at their first use in a scope."""

from __future__ import annotations

import functools
from operator import methodcaller
from types import MethodType
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic
from django.utils.connection import ConnectionDoesNotExist
from django.utils.functional import cached_property

from txmiddleware.conf import conf
from txmiddleware.data_manager import ENDED, LOST, DatabaseDataManager
from txmiddleware.djangos_own import BASE, is_of
from txmiddleware.exceptions import TransactionManagementError
from txmiddleware.failed_statement import NotingErrorWrapper, has_ended
from txmiddleware.forks import forget_connection, watch_fork
from txmiddleware.guard import current_transaction, guard_of
from txmiddleware.thread import has_scope, this_thread

if TYPE_CHECKING:
    from txmiddleware.limit import Limit


class _Suspension:
    """Keeps a wrapper from joining while it is busy with its own state."""

    __slots__ = ("wrapper",)

    def __init__(self, wrapper: Participant) -> None:
        self.wrapper = wrapper

    def __enter__(self) -> None:
        self.wrapper._no_join += 1

    def __exit__(self, *exc_info: object) -> None:
        self.wrapper._no_join -= 1


class Participant(BaseDatabaseWrapper):
    """A database wrapper that joins the thread's transaction at its first use in a scope."""

    data_manager_class: type[DatabaseDataManager] = DatabaseDataManager
    _data_manager: DatabaseDataManager | None = None
    health_check_enabled: bool
    _no_join = 0
    _marks: dict[str, tuple[int, int]]
    """By savepoint, where the callbacks of the transaction were when it was made."""
    _limit: Limit | None = None  # of its statements, in a request with TX_TIMEOUT
    _forked_inside = False
    ended_by: BaseException | None = None  # the server has rolled back the transaction, unasked
    notes_alone = False  # whether also in transactions that only Django knows of

    # Atomic.__enter__ reads these two before anything else of the connection. A block that is the
    # first use in a scope has to find the scope's block open already.

    @property
    def in_atomic_block(self) -> bool:
        if not self._no_join and (
            # The common cases of _join_if_due(), without the call: Django asks often.
            self._data_manager is not None
            or this_thread.scope is not None
            or this_thread.watcher.begun is not None
        ):
            self._join_if_due()
        is_inside: bool = self.__dict__["in_atomic_block"]
        return is_inside

    @in_atomic_block.setter
    def in_atomic_block(self, value: bool) -> None:
        self.__dict__["in_atomic_block"] = value

    @property
    def atomic_blocks(self) -> list[Atomic]:
        if not self._no_join:
            self._join_if_due()
        blocks: list[Atomic] = self.__dict__["atomic_blocks"]
        return blocks

    @atomic_blocks.setter
    def atomic_blocks(self, value: list[Atomic]) -> None:
        self.__dict__["atomic_blocks"] = value

    def get_autocommit(self) -> bool:
        if not self._no_join:
            self._join_if_due()
        elif self.connection is not None:
            return self.autocommit  # each request has Django ask twice whether to close it
        return super().get_autocommit()

    def _cursor(self, name: str | None = None) -> Any:
        if not self._no_join:
            self._join_if_due()
        cursor = super()._cursor(name)  # type: ignore[misc]
        limit = self._limit
        return cursor if limit is None else limit.cursor(cursor, is_in_server=name is not None)

    # Both ends of a transaction are those of Django's base class. Where nothing is logged they do
    # not open what would log them: for a request with one statement that is 1 % of its time.

    def begin_in_driver(self) -> None:
        """Begin a transaction, as Django does for an outermost block."""
        if self.queries_logged or not is_of(BASE, self.set_autocommit):
            self.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
            return
        if self.health_check_enabled:
            self.close_if_health_check_failed()
        self.ensure_connection()
        if hasattr(self, "_start_transaction_under_autocommit"):
            self._start_transaction_under_autocommit()
        else:
            self._set_autocommit(False)  # type: ignore[attr-defined]
        self.autocommit = False

    def _commit(self) -> None:
        if self.ended_by is not None:
            self.refuse_ended()
        commit = super()._commit  # type: ignore[misc]
        if self.queries_logged or not is_of(BASE, commit):
            commit()
        elif self.connection is not None:
            with self.wrap_database_errors:
                self.connection.commit()
        self._end_in_limit(committed=True)

    def _rollback(self) -> None:
        self.ended_by = None
        self._end_in_limit(committed=False)
        super()._rollback()  # type: ignore[misc]

    def _end_in_limit(self, *, committed: bool) -> None:
        if self._limit is not None:
            self._limit.end_transaction(committed=committed)

    # An error can end the transaction in the server. What followed would be committed without
    # what came before, so nothing follows, whichever savepoints there were.

    @cached_property
    def wrap_database_errors(self) -> NotingErrorWrapper:
        return NotingErrorWrapper(self)

    def note_error(self, error: BaseException) -> None:
        """Note if ``error``, of a statement, has ended the transaction in the server."""
        if (
            self.ended_by is None
            and (self.notes_alone or self._data_manager is not None)
            and has_ended(self, error)
        ):
            self.ended_by = error

    def refuse_ended(self) -> None:
        """Raise ``TransactionManagementError`` if the server has ended the transaction."""
        if self.ended_by is not None and self.connection is not None:  # and not closed since
            raise TransactionManagementError(
                f"the server has rolled back the transaction on database {self.alias!r} by itself "
                f"when a statement failed, and the error was caught: {self.ended_by}; let such an "
                f"error leave the transaction, so that it can be tried again"
            ) from self.ended_by

    def validate_no_broken_transaction(self) -> None:
        if self.ended_by is not None:
            self.refuse_ended()
        if self.needs_rollback:
            super().validate_no_broken_transaction()

    def _savepoint(self, sid: str) -> None:
        super()._savepoint(sid)  # type: ignore[misc]
        if self._data_manager is not None:
            self._marks[sid] = self._data_manager.mark()

    def _savepoint_rollback(self, sid: str) -> None:
        if self.ended_by is None:
            super()._savepoint_rollback(sid)  # type: ignore[misc]
        if self._data_manager is not None:
            # One that is older than the data manager is older than all callbacks.
            self._data_manager.undo_since(self._marks.get(sid, (0, 0)))

    def _savepoint_commit(self, sid: str) -> None:
        if self._data_manager is not None:
            self._marks.pop(sid, None)
        if self.ended_by is None:
            super()._savepoint_commit(sid)  # type: ignore[misc]

    def close(self) -> None:
        with self._joining_suspended():
            super().close()

    def close_if_unusable_or_obsolete(self) -> None:
        self._no_join += 1  # each request calls this: no context manager
        try:
            super().close_if_unusable_or_obsolete()
        finally:
            self._no_join -= 1

    def connect(self) -> None:
        if self._forked_inside:
            raise TransactionManagementError(
                f"this process was forked while a transaction was open on the SQLite database "
                f"{self.alias!r}, whose locks SQLite can't tell from its own; fork outside of "
                f"transactions, or use the start method 'spawn'"
            )
        if self.connection is not None and self._data_manager is not None and not self._no_join:
            return  # ensure_connection() has read in_atomic_block, and so joined, which connects
        watch_fork(self, _forget_connection)
        self.ended_by = None
        with self._joining_suspended():
            super().connect()

    def after_fork(self) -> None:
        """Forget, in a child process, the connection and the transaction of its parent."""
        if self._data_manager is not None:
            self._data_manager.status = ENDED
            self._data_manager = None
        self._forked_inside = forget_connection(self)

    def _join_if_due(self) -> None:
        manager = self._data_manager
        if manager is None:
            if this_thread.scope is not None or this_thread.watcher.begun is not None:
                self.join()  # has_scope(), without the call
        elif manager.status is LOST and not has_scope():
            # Its blocks had to end first, and nobody else will clear up.
            with self._joining_suspended():
                if manager.is_on_top:
                    manager.unwind()

    def _joining_suspended(self) -> _Suspension:
        return _Suspension(self)

    def is_current(self) -> bool:
        """Whether this is the thread's wrapper for its alias, and not a copy of one."""
        try:
            return connections[self.alias] is self
        except ConnectionDoesNotExist:  # the one that creates and destroys test databases
            return False

    def join(self) -> None:
        """Take part in the thread's transaction, if this is the thread's connection.

        Raises ``ImproperlyConfigured`` if the alias has ``AUTOCOMMIT`` off, and
        ``TransactionManagementError`` after ``set_autocommit(False)``.
        """
        scope = this_thread.scope
        if self._no_join or not (
            (scope is not None and self in scope.databases) or self.is_current()
        ):
            return
        if not self.settings_dict["AUTOCOMMIT"]:
            raise ImproperlyConfigured(
                f"DATABASES[{self.alias!r}]['AUTOCOMMIT'] is off, so that Django would not commit "
                f"what is done in a scope; remove it, or leave {self.alias!r} out of TX_DATABASES"
            )
        if not (self.autocommit or self.connection is None or self.__dict__["in_atomic_block"]):
            raise TransactionManagementError(
                f"set_autocommit(False) was called on database {self.alias!r}, so that Django "
                f"would not commit what is done in a scope; call set_autocommit(True) before it"
            )
        manager_class = self.data_manager_class
        alone = scope is not None and scope.is_empty and not manager_class.is_two_phase
        self._no_join += 1
        try:
            manager = manager_class(self, None if alone else guard_of(current_transaction()))
            try:
                manager.begin()
            except Error:
                if not self.atomic_blocks:
                    self.in_atomic_block = False  # where a savepoint failed Django leaves it
                    self.close()  # a dead connection must not fail the next transaction too
                raise
            self._enter(manager)
        finally:
            self._no_join -= 1

    def _enter(self, manager: DatabaseDataManager) -> None:
        self._data_manager = manager
        self._marks = {}
        self.rollback_exc = None  # Django keeps that of an earlier transaction
        scope = this_thread.scope
        if scope is None or not (manager.is_alone and scope.is_empty):
            try:
                manager.guard.transaction.join(manager)
            except BaseException:
                manager.abort(manager.guard.transaction)
                raise
        if scope is not None:
            scope.members.append(manager)
        if this_thread.budget is not None:
            this_thread.budget.limit(self)

    def _restart_transaction(self) -> None:
        """Roll back in the server and go on in a new transaction, which will be rolled back too."""
        with self._joining_suspended(), self.wrap_database_errors:
            assert self.connection is not None
            self._end_in_limit(committed=False)
            self.connection.rollback()
            self.ended_by = None
            if hasattr(self, "_start_transaction_under_autocommit"):
                self._start_transaction_under_autocommit()


_forget_connection = methodcaller("after_fork")


@functools.cache
def _participant_class(wrapper_class: Any) -> type[Participant]:
    return type(wrapper_class.__name__, (Participant, wrapper_class), {})


def enlist(connection: Any) -> None:
    """Make the thread's ``connection`` join scopes from now on.

    The object stays the same, since others may hold it: it gets a subclass of its own class.
    """
    if not isinstance(connection, Participant):
        connection.__class__ = _participant_class(connection.__class__)
        connection.__dict__.pop("wrap_database_errors", None)  # Django's, which it keeps there
        watch_fork(connection, _forget_connection)
    if isinstance(vars(connection).get("connect"), MethodType):
        # Left behind by a TestCase that had this database locked, and of the class from before.
        del connection.connect


def enlist_databases() -> list[Any]:
    """:func:`enlist` this thread's connections to the databases named by ``TX_DATABASES``."""
    found = []
    for alias in conf.databases:
        connection: Any = connections[alias]
        found.append(connection)
        if not isinstance(connection, Participant) or "connect" in connection.__dict__:
            enlist(connection)
    return found
