"""The part of one of Django's connections in a Zope transaction.

It is one of Django's own ``atomic()`` blocks, so that all that Django knows of such a block holds
in a scope too: blocks inside are savepoints, ``commit()`` and ``set_autocommit()`` are refused, a
block that failed without a savepoint asks for a rollback, ``on_commit()`` waits.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import transaction
from django.db import Error
from django.db.transaction import Atomic
from transaction.interfaces import IDataManager, ITransaction
from zope.interface import implementer

from txmiddleware.conf import conf
from txmiddleware.djangos_own import atomic_is_djangos
from txmiddleware.exceptions import DurableInsideTransaction, TransactionManagementError
from txmiddleware.failed_statement import refuse_failed
from txmiddleware.guard import Guard, guard_of
from txmiddleware.one_phase import refuse_several
from txmiddleware.retryable import is_unanswered
from txmiddleware.savepoints import DatabaseSavepoint
from txmiddleware.thread import this_thread

if TYPE_CHECKING:
    from txmiddleware.databases import Participant

logger = logging.getLogger("txmiddleware")


class ScopeAtomic(Atomic):
    """The block that a data manager holds open from the first use to the end of the transaction.

    An outermost one does what Django's does, but does not look for the connection and ask it how
    it is, which in a request with one statement takes as long as all the rest of a block.
    """

    durable = False
    _is_outermost = False

    def __init__(self, connection: Participant, savepoint: bool) -> None:
        self.connection = connection
        self.using = connection.alias
        self.savepoint = savepoint

    @property
    def _from_testcase(self) -> bool:
        # Django asks this of the enclosing block where a durable one is entered, and only there.
        raise DurableInsideTransaction(
            "atomic(durable=True) can't be used inside a transaction that other code ends; leave "
            "out durable, or call it outside of the middleware and of commit_on_success()"
        )

    def __enter__(self) -> None:
        connection = self.connection
        state = connection.__dict__
        if connection.connection is None and not state["in_atomic_block"]:
            connection.ensure_connection()  # which may be in autocommit only then
        if state["in_atomic_block"] or not (connection.autocommit and atomic_is_djangos()):
            super().__enter__()
            return
        connection.commit_on_exit = True
        connection.needs_rollback = False
        connection.begin_in_driver()
        state["in_atomic_block"] = True
        state["atomic_blocks"].append(self)
        self._is_outermost = True

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        connection = self.connection
        if (
            not self._is_outermost
            or exc_type is not None
            or connection.needs_rollback
            or connection.closed_in_transaction
        ):
            super().__exit__(exc_type, exc_value, traceback)
            return
        try:
            connection._commit()
        except BaseException as error:
            try:
                super().__exit__(type(error), error, None)
            except Error:  # must not hide whether COMMIT had an answer
                logger.warning("%s: no connection after a failed commit", connection.alias)
            raise
        connection.errors_occurred = False  # the connection works
        state = connection.__dict__
        state["atomic_blocks"].pop()
        state["in_atomic_block"] = False
        try:
            connection._set_autocommit(True)  # type: ignore[attr-defined]
            connection.autocommit = True
        except Error:  # it is committed all the same
            logger.warning("%s: no connection after a commit", connection.alias)
            callbacks, connection.run_on_commit = connection.run_on_commit, []
            connection.close()
            connection.run_on_commit = callbacks
        if connection.run_on_commit:
            connection.run_and_clear_commit_hooks()


ACTIVE = "active"  # joined, work may be pending
LOST = "lost"  # rolled back by somebody else while blocks of Django were open on top
ENDED = "ended"  # committed, rolled back or left; the connection is free again


@implementer(IDataManager)
class DatabaseDataManager:
    """The part of one connection in one transaction (``transaction.interfaces.IDataManager``).

    It is a one-phase resource: it commits in ``tpc_vote`` and sorts last, so that everybody
    else has agreed by then and only has to finish.
    """

    is_two_phase = False
    transaction_manager = transaction.manager
    status = ACTIVE
    committed = False  # or whether it may be

    def __init__(self, connection: Participant, guard: Guard | None) -> None:
        self.connection = connection
        self._guard = guard
        self._thread_manager = this_thread.manager
        self.atomic: Atomic | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.connection.alias!r} {self.status}>"

    @property
    def is_alone(self) -> bool:
        """Whether there is no transaction, since this is all of a scope that nobody else is in."""
        return self._guard is None

    @property
    def guard(self) -> Guard:
        """The guard of the transaction, which begins if there is none yet."""
        if self._guard is None:
            self.guard = guard_of(self._thread_manager.get())
        assert self._guard is not None
        return self._guard

    @guard.setter
    def guard(self, guard: Guard) -> None:
        self._guard = guard

    def mark(self) -> tuple[int, int]:
        """Where the callbacks of the transaction are now: at none if there is none yet."""
        return (0, 0) if self._guard is None else self._guard.mark()

    def undo_since(self, mark: tuple[int, int]) -> None:
        """The work since :meth:`mark` is undone."""
        if self._guard is not None:
            self._guard.undo_since(mark)

    def begin(self) -> None:
        """Open the block. Raises Django's ``OperationalError`` if the server can't be reached."""
        blocks: list[Any] = self.connection.__dict__["atomic_blocks"]
        # In a block of the application a failure must ask for the rollback of that block; in
        # one of a TestCase it must leave the test's own work alone.
        savepoint = not blocks or blocks[0]._from_testcase
        atomic = ScopeAtomic(self.connection, savepoint)
        atomic.__enter__()
        self.atomic = atomic

    @property
    def is_test_case(self) -> bool:
        """Whether the transaction is that of a ``TestCase``."""
        return False

    @property
    def needs_rollback(self) -> bool:
        """Whether somebody has asked for a rollback.

        Of one that was closed, or that the server has ended, nobody has: that is an error.
        """
        connection = self.connection
        return self.status == LOST or bool(
            connection.needs_rollback
            and not connection.closed_in_transaction
            and connection.ended_by is None
        )

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
        blocks = self.connection.__dict__["atomic_blocks"]
        return bool(blocks) and blocks[-1] is self.atomic

    @property
    def is_covered(self) -> bool:
        """Whether blocks are open that have to end before the transaction can."""
        return self.status == ACTIVE and not self.is_on_top

    def end(self, *, failed: bool) -> None:
        """Commit, or roll back, and let the connection go."""
        connection = self.connection
        self.status = ENDED
        connection._data_manager = None
        assert self.atomic is not None
        connection._no_join += 1
        try:
            self.atomic.__exit__(*((RuntimeError, None, None) if failed else (None, None, None)))
        finally:
            connection._no_join -= 1

    def defer_callbacks(self) -> None:
        """Have what Django would run after this commit wait for that of the other resources."""
        if self.is_outermost:
            callbacks, self.connection.run_on_commit = self.connection.run_on_commit, []
            for entry in callbacks:
                self.guard.on_commit(entry[1])

    def end_early(self, *, failed: bool) -> None:
        """:meth:`end`, and take no part in what the transaction does later."""
        connection = self.connection
        callbacks: list[Any] = []
        if self.is_outermost and not failed:
            # They want to find the connection free.
            callbacks, connection.run_on_commit = connection.run_on_commit, []
        try:
            self.end(failed=failed)
        finally:
            # ITransaction has no public way out.
            self.guard.transaction._unjoin(self)
        if callbacks:
            connection.run_on_commit = callbacks
            connection.run_and_clear_commit_hooks()

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
        self.refuse_unfit()
        if not self.is_on_top:
            raise TransactionManagementError(
                f"transaction.commit() was called inside an atomic() block on database "
                f"{self.connection.alias!r}; call it outside"
            )

    def refuse_unfit(self) -> None:
        """Raise ``TransactionManagementError`` if a commit would be a rollback."""
        connection = self.connection
        refuse_failed(connection)
        if connection.needs_rollback or connection.closed_in_transaction:
            raise TransactionManagementError(
                f"the transaction on database {connection.alias!r} can't be committed: an "
                f"error in an atomic block without savepoint, set_rollback(True) or a closed "
                f"connection asks for a rollback"
            ) from getattr(connection, "rollback_exc", None)

    @property
    def commits_in_one_phase(self) -> bool:
        """Whether this part takes part in the commit, and can't be prepared for it."""
        return self.status == ACTIVE and not self.is_two_phase

    def commit(self, txn: ITransaction) -> None:
        if conf.strict_commit and self.commits_in_one_phase:
            refuse_several(txn)

    def tpc_vote(self, txn: ITransaction) -> None:
        if self.status == ACTIVE:
            self.refuse_unfit()  # other resources may have used the connection
            self.defer_callbacks()
            self.commit_in_vote()

    def commit_in_vote(self) -> None:
        """Commit, when all others have agreed, or where there are none."""
        try:
            self.end(failed=False)
        except Exception as error:
            self.committed = is_unanswered(error)  # then another attempt could do it twice
            raise
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
