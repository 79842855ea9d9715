"""Django's databases as resources of a Zope transaction.

A connection joins at its first use in a scope. Its part of the transaction is one of Django's own
``atomic()`` blocks, so that all that Django knows of such a block holds in a scope too: blocks
inside are savepoints, ``commit()`` and ``set_autocommit()`` are refused, a block that failed
without a savepoint asks for a rollback, ``on_commit()`` waits.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

import transaction
from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic
from django.utils.connection import ConnectionDoesNotExist
from transaction.interfaces import IDataManager, IDataManagerSavepoint, ITransaction
from zope.interface import implementer

from txmiddleware.conf import conf
from txmiddleware.exceptions import DurableInsideTransaction, TransactionManagementError
from txmiddleware.guard import Guard, current_transaction, guard_of
from txmiddleware.scope import current_scope, is_managed, watch

logger = logging.getLogger("txmiddleware")


class ScopeAtomic(Atomic):
    """The block that a data manager holds open from the first use to the end of the transaction."""

    def __init__(self, using: str, savepoint: bool) -> None:
        super().__init__(using, savepoint, durable=False)

    @property
    def _from_testcase(self) -> bool:
        # Django asks this of the enclosing block where a durable one is entered, and only there.
        raise DurableInsideTransaction(
            "atomic(durable=True) can't be used inside a transaction that other code ends; leave "
            "out durable, or call it outside of the middleware and of commit_on_success()"
        )

    @_from_testcase.setter
    def _from_testcase(self, value: bool) -> None:
        pass  # Atomic.__init__ sets it


ACTIVE = "active"  # joined, work may be pending
LOST = "lost"  # rolled back by somebody else while blocks of Django were open on top
ENDED = "ended"  # committed, rolled back or left; the connection is free again


@implementer(IDataManager)
class DatabaseDataManager:
    """The part of one connection in one transaction (``transaction.interfaces.IDataManager``).

    It is a one-phase resource: it commits in ``tpc_vote`` and sorts last, so that everybody
    else has agreed by then and only has to finish.
    """

    def __init__(self, connection: Participant, guard: Guard) -> None:
        self.connection = connection
        self.guard = guard
        self.transaction_manager = transaction.manager
        self.status = ACTIVE
        self.atomic: Atomic | None = None
        self.committed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.connection.alias!r} {self.status}>"

    def begin(self) -> None:
        """Open the block. Raises Django's ``OperationalError`` if the server can't be reached."""
        blocks: list[Any] = self.connection.atomic_blocks
        # In a block of the application a failure must ask for the rollback of that block; in
        # one of a TestCase it must leave the test's own work alone.
        savepoint = not blocks or blocks[0]._from_testcase
        atomic = ScopeAtomic(self.connection.alias, savepoint)
        atomic.__enter__()
        self.atomic = atomic

    @property
    def is_test_case(self) -> bool:
        """Whether the transaction is that of a ``TestCase``."""
        return False

    @property
    def needs_rollback(self) -> bool:
        """Whether the connection can't commit any more."""
        return self.status == LOST or bool(self.connection.needs_rollback)

    def leave(self) -> None:
        """End this part well, inside a block that goes on; nothing to do in the outermost one."""
        if self.status == ACTIVE and not self.is_outermost:
            self.end_early(failed=False)

    def unwind(self) -> None:
        """Close the block that could not be closed while others were open on top of it."""
        if self.status == LOST:
            self.end(failed=True)

    @property
    def is_outermost(self) -> bool:
        """Whether no block was open when the connection joined."""
        return self.connection.atomic_blocks[0] is self.atomic

    @property
    def is_on_top(self) -> bool:
        """Whether all blocks that were opened since the connection joined have ended."""
        return self.connection.atomic_blocks[-1:] == [self.atomic]

    @property
    def is_covered(self) -> bool:
        """Whether blocks are open that have to end before the transaction can."""
        return self.status == ACTIVE and not self.is_on_top

    def end(self, *, failed: bool) -> None:
        """Commit, or roll back, and let the connection go."""
        connection = self.connection
        self.status = ENDED
        connection._data_manager = None
        with connection._joining_suspended():
            assert self.atomic is not None
            self.atomic.__exit__(*((RuntimeError, None, None) if failed else (None, None, None)))

    def defer_callbacks(self) -> None:
        """Have what Django would run after this commit wait for that of the other resources."""
        if self.is_outermost:
            callbacks, self.connection.run_on_commit = self.connection.run_on_commit, []
            for entry in callbacks:
                self.guard.on_commit(entry[1])

    def end_early(self, *, failed: bool) -> None:
        """:meth:`end`, and take no part in what the transaction does later."""
        try:
            self.end(failed=failed)
        finally:
            # ITransaction has no public way out.
            self.guard.transaction._unjoin(self)

    def abort(self, txn: ITransaction) -> None:
        if self.status != ACTIVE:
            return
        if not self.is_on_top:
            self.status = LOST
            self.connection._restart_transaction()
            return
        try:
            self.end(failed=True)
        except Error:
            # The block reconnects when it has dropped a dead connection. That the server is
            # still away is for the next one to find, and must not hide why this one failed.
            logger.warning("%s: no connection after a rollback", self.connection.alias)

    def tpc_begin(self, txn: ITransaction) -> None:
        if self.status == LOST:
            raise TransactionManagementError("the transaction was aborted by other code")
        if self.status == ENDED:
            return
        if self.connection.needs_rollback or self.connection.closed_in_transaction:
            raise TransactionManagementError(
                f"the transaction on database {self.connection.alias!r} can't be committed: an "
                f"error in an atomic block without savepoint, set_rollback(True) or a closed "
                f"connection asks for a rollback"
            ) from getattr(self.connection, "rollback_exc", None)
        if not self.is_on_top:
            raise TransactionManagementError(
                f"transaction.commit() was called inside an atomic() block on database "
                f"{self.connection.alias!r}; call it outside"
            )

    def commit(self, txn: ITransaction) -> None:
        pass

    def tpc_vote(self, txn: ITransaction) -> None:
        if self.status == ACTIVE:
            self.defer_callbacks()
            self.end(failed=False)
            self.committed = True

    def tpc_finish(self, txn: ITransaction) -> None:
        pass

    def tpc_abort(self, txn: ITransaction) -> None:
        self.abort(txn)

    def sortKey(self) -> str:
        """Last of all, and the same order in every process."""
        return f"~txmiddleware:{self.connection.alias}"

    def savepoint(self) -> DatabaseSavepoint:
        """A savepoint on this connection, for ``transaction.savepoint()``."""
        return DatabaseSavepoint(self)


@implementer(IDataManagerSavepoint)
class DatabaseSavepoint:
    """The part of one connection in a ``transaction.savepoint()``."""

    def __init__(self, manager: DatabaseDataManager) -> None:
        self.manager = manager
        connection = manager.connection
        self.needs_rollback = connection.needs_rollback
        self.callbacks = list(connection.run_on_commit)
        # As in atomic(): where a rollback is due anyway there is nothing to save.
        self.sid = None if self.needs_rollback else connection.savepoint()

    def rollback(self) -> None:
        """Undo what was done since. Raises Django's ``DatabaseError`` if the savepoint is gone."""
        if self.sid is None:
            return
        connection = self.manager.connection
        connection.needs_rollback = False
        try:
            connection.savepoint_rollback(self.sid)
        except Error:
            connection.needs_rollback = True
            raise
        connection.needs_rollback = self.needs_rollback
        connection.run_on_commit = [
            entry for entry in connection.run_on_commit if entry in self.callbacks
        ]


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
    _no_join = 0

    # Atomic.__enter__ reads these two before anything else of the connection. A block that is the
    # first use in a scope has to find the scope's block open already.

    @property
    def in_atomic_block(self) -> bool:
        self._join_if_due()
        return bool(self.__dict__["in_atomic_block"])

    @in_atomic_block.setter
    def in_atomic_block(self, value: bool) -> None:
        self.__dict__["in_atomic_block"] = value

    @property
    def atomic_blocks(self) -> list[Atomic]:
        self._join_if_due()
        blocks: list[Atomic] = self.__dict__["atomic_blocks"]
        return blocks

    @atomic_blocks.setter
    def atomic_blocks(self, value: list[Atomic]) -> None:
        self.__dict__["atomic_blocks"] = value

    def get_autocommit(self) -> bool:
        self._join_if_due()
        return super().get_autocommit()

    def _cursor(self, name: str | None = None) -> Any:
        self._join_if_due()
        return super()._cursor(name)  # type: ignore[misc]

    def close(self) -> None:
        with self._joining_suspended():
            super().close()

    def connect(self) -> None:
        with self._joining_suspended():
            super().connect()

    def _join_if_due(self) -> None:
        if self._no_join:
            return
        manager = self._data_manager
        if manager is None:
            if is_managed():
                self.join()
        elif manager.status is LOST and not is_managed():
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
        """Take part in the thread's transaction, if this is the thread's connection."""
        if self._no_join or not self.is_current():
            return
        with self._joining_suspended():
            guard = guard_of(current_transaction())
            manager = self.data_manager_class(self, guard)
            try:
                manager.begin()
            except Error:
                if not self.atomic_blocks:
                    self.close()  # a dead connection must not fail the next transaction too
                raise
            self._enter(manager)

    def _enter(self, manager: DatabaseDataManager) -> None:
        self._data_manager = manager
        self.rollback_exc = None  # Django keeps that of an earlier transaction
        try:
            manager.guard.transaction.join(manager)
        except BaseException:
            manager.abort(manager.guard.transaction)
            raise
        scope = current_scope()
        if scope is not None:
            scope.members.append(manager)

    def _restart_transaction(self) -> None:
        """Roll back in the server and go on in a new transaction, which will be rolled back too."""
        with self._joining_suspended(), self.wrap_database_errors:
            assert self.connection is not None
            self.connection.rollback()
            if hasattr(self, "_start_transaction_under_autocommit"):
                self._start_transaction_under_autocommit()


@functools.cache
def _participant_class(wrapper_class: Any) -> type[Participant]:
    return type(wrapper_class.__name__, (Participant, wrapper_class), {})


def enlist(connection: Any) -> None:
    """Make the thread's ``connection`` join scopes from now on.

    The object stays the same, since others may hold it: it gets a subclass of its own class.
    """
    if not isinstance(connection, Participant):
        connection.__class__ = _participant_class(connection.__class__)


def enlist_databases() -> None:
    """:func:`enlist` the databases named by ``TX_DATABASES`` in this thread."""
    watch()
    for alias in conf.databases:
        enlist(connections[alias])
