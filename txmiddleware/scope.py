"""The explicit scopes of a thread: begin, join, doom, finish."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import transaction
from transaction.interfaces import ITransaction

from txmiddleware.guard import Guard, current_transaction, guard_of
from txmiddleware.retryable import retry_reason

if TYPE_CHECKING:
    from txmiddleware.databases import DatabaseDataManager

logger = logging.getLogger("txmiddleware")


class _Watcher:
    """Notes which transaction of its thread was begun explicitly (``ISynchronizer``)."""

    def __init__(self) -> None:
        self.begun: ITransaction | None = None

    def newTransaction(self, txn: ITransaction) -> None:
        # Called for begin() only, not where get() makes a transaction by itself.
        self.begun = txn
        guard_of(txn).refuse_begin()

    def beforeCompletion(self, txn: ITransaction) -> None:
        pass

    def afterCompletion(self, txn: ITransaction) -> None:
        self.begun = None


class _Thread(threading.local):
    """What txmiddleware knows of the current thread."""

    def __init__(self) -> None:
        self.scope: Scope | None = None  # the outermost scope that is open
        self.watcher = _Watcher()  # the manager holds it weakly
        transaction.manager.registerSynch(self.watcher)


_thread = _Thread()


def watch() -> None:
    """Note from now on which transactions of this thread are begun explicitly."""
    _thread.watcher  # noqa: B018  (the first access in a thread registers its watcher)


def is_managed() -> bool:
    """Whether an explicit scope is open in this thread.

    That is :class:`~txmiddleware.middleware.TransactionMiddleware`, :func:`commit_on_success`,
    ``with transaction.manager`` or ``transaction.begin()``: somebody has promised to commit or
    abort what is done now.
    """
    return _thread.scope is not None or _thread.watcher.begun is not None


def has_joined(txn: ITransaction) -> bool:
    """Whether any resource takes part in ``txn``."""
    # ITransaction has no public way to ask.
    return bool(txn._resources)


def current_scope() -> Scope | None:
    """The outermost scope that is open in this thread."""
    return _thread.scope


class Scope:
    """The outermost scope of a thread. Use :func:`begin`.

    If the thread has no transaction yet the scope begins one, and ends it. If somebody else has
    (an outermost ``atomic()`` on a store, Storm code, ``transaction.begin()``), the scope takes
    part in that one: its success leaves the commit to the other, its failure dooms. In a
    ``TestCase`` the transaction is the test's, which wants to see what a request would have
    left behind; so there the scope opens a savepoint.
    """

    def __init__(self, name: str, *, savepoint: bool = False) -> None:
        self.name = name
        self.members: list[DatabaseDataManager] = []  # that joined since the scope began
        self.retry_reason: str | None = None  # why another attempt may do better
        self.is_over = False
        self._savepoint: Any = None
        txn = current_transaction()
        self.owns = not has_joined(txn) and _thread.watcher.begun is None
        if self.owns:
            txn = transaction.manager.begin()
        self.guard: Guard = guard_of(txn)
        self._outer = _thread.scope, self.guard.borrower
        if self.owns:
            self.guard.own(name)
        elif savepoint or _is_test_case(txn):
            self._savepoint = txn.savepoint(optimistic=True)
        self.guard.borrower = name
        _thread.scope = self

    @property
    def transaction(self) -> ITransaction:
        """The transaction that the scope began or takes part in."""
        return self.guard.transaction

    def commit(self) -> None:
        """End the scope well.

        Raises :class:`~txmiddleware.exceptions.TransactionDoomed` if the transaction was doomed,
        and ``TransactionManagementError`` if it was aborted by somebody else; nothing is
        committed then. Whatever else the commit of a resource raises is raised too.
        """
        if not self.owns:
            self._leave(failed=False)
            return
        error = self.guard.obstacle()
        if error is not None:
            self.abort()
            raise error
        try:
            self.guard.commit()
        except BaseException:
            if not any(member.committed for member in self.members):
                self.retry_reason = self.guard.retry_reason
            raise
        finally:
            self._close()
            self.guard.run_callbacks()

    def abort(self, failure: BaseException | None = None) -> None:
        """End the scope badly: roll its own transaction back, or doom that of another."""
        if self.owns:
            if not self.guard.ended_by_other:
                self.retry_reason = retry_reason(failure, self.transaction)
            try:
                self.guard.abort()
            finally:
                self._close()
                self.guard.run_callbacks()
        else:
            self._leave(failed=True, failure=failure)

    def needs_rollback(self) -> str | None:
        """The alias of the first database that asks for a rollback, as by ``set_rollback()``.

        None where the scope has nothing that it could roll back: that is for the outer ones.
        """
        if self.owns or self._savepoint is not None:
            return self.asks_for_rollback()
        return None

    def asks_for_rollback(self) -> str | None:
        """The alias of the first database of the transaction that asks for a rollback."""
        # Those that are lost have left the transaction.
        for member in (*self.members, *self.transaction._resources):
            if getattr(member, "needs_rollback", False):
                return str(member.connection.alias)
        return None

    def _leave(self, *, failed: bool, failure: BaseException | None = None) -> None:
        try:
            if not failed:
                for member in reversed(self.members):
                    member.leave()
            elif self._savepoint is not None:
                rollback_to(self._savepoint, self.guard, failure)
            else:
                self.guard.doom(failure)
        finally:
            self._close()

    def _close(self) -> None:
        self.is_over = True
        _thread.scope, self.guard.borrower = self._outer
        for member in reversed(self.members):
            member.unwind()


def _is_test_case(txn: ITransaction) -> bool:
    return any(getattr(resource, "is_test_case", False) for resource in txn._resources)


def rollback_to(savepoint: Any, guard: Guard, failure: BaseException | None) -> None:
    """Undo the work since a savepoint; where that fails, doom the transaction instead."""
    try:
        savepoint.rollback()
    except Exception:
        # The first error is the one to see. Without its savepoint nothing else can undo the
        # inner work alone, so all of it has to go.
        logger.exception("could not roll back to the savepoint of an inner scope")
        guard.doom(failure)


def begin(name: str, *, savepoint: bool = False) -> Scope:
    """Open the outermost scope of this thread; ``name`` stands for it in messages."""
    from txmiddleware.databases import enlist_databases

    enlist_databases()
    return Scope(name, savepoint=savepoint)
