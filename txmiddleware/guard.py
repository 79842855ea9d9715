"""Who may end a Zope transaction, and what runs once it has ended."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import transaction
from transaction._transaction import Savepoint
from transaction.interfaces import ITransaction, NoTransaction

from txmiddleware.exceptions import TransactionDoomed, TransactionManagementError
from txmiddleware.one_phase import may_be_committed
from txmiddleware.retryable import retry_reason

logger = logging.getLogger("txmiddleware")

Callback = Callable[[], Any]

# The key under which a transaction keeps its guard: Transaction.data() goes by identity.
_KEY = object()


class _GuardedSavepoint(Savepoint):  # type: ignore[misc]
    """One that takes back the callbacks too."""

    guard: Guard
    mark: tuple[int, int]

    def rollback(self) -> None:
        super().rollback()
        self.guard.undo_since(self.mark)


class Guard:
    """Stands before ``commit()``, ``abort()`` and ``savepoint()`` of one transaction.

    The transaction's own methods are covered by the guard's on that one instance, because
    none of its hooks serves: a hook before commit is forgotten once it has raised, a synchronizer
    can't tell a commit from an abort, and all that run after a commit run while the transaction
    is still the thread's current one, so that a callback couldn't use a database.
    """

    def __init__(self, txn: ITransaction) -> None:
        self.transaction = txn
        self._manager = txn._manager  # of the thread that the transaction belongs to
        self.owner: str | None = None  # what ends the transaction; None: whoever calls commit()
        self.borrower: str | None = None  # a scope inside that of somebody else
        self.ended_by_other = False  # abort() was called by somebody who is not the owner
        self.retry_reason: str | None = None  # why a failed commit may succeed the next time
        self.failure: BaseException | None = None  # of the first inner scope that doomed it
        self.ending = False
        self._committing = False
        self._explicit: bool | None = None  # the manager's mode before refuse_begin()
        self._on_commit: list[tuple[Callback, bool]] = []
        self._on_abort: list[tuple[Callback, bool]] = []
        self._undone: list[tuple[Callback, bool]] = []  # for an abort, of a savepoint's work
        self._due: list[tuple[Callback, bool]] = []
        txn.set_data(_KEY, self)
        txn.commit = self._commit
        txn.abort = self._abort
        txn.savepoint = self._savepoint

    def own(self, owner: str) -> None:
        """Let nobody but the caller end the transaction from now on.

        ``owner`` names the caller in errors.
        """
        self.owner = owner
        self.refuse_begin()

    def refuse_begin(self) -> None:
        """Have a second ``transaction.begin()`` raise ``AlreadyInTransaction``, not abort this one.

        That is the manager's explicit mode. It lasts until the transaction has ended and, if
        :meth:`own` was called, the owner is done with it.
        """
        if self._explicit is None:
            self._explicit = self._manager.explicit
            self._manager.explicit = self._manager.is_guarded = True

    def _allow_begin(self) -> None:
        if self.owner is None and self._explicit is not None:
            self._manager.explicit, self._explicit = self._explicit, None
            self._manager.is_guarded = False

    def commit(self) -> None:
        """Commit as the owner. What fails is aborted before the error is raised again.

        The callbacks wait for :meth:`run_callbacks`.
        """
        self.ending = True
        try:
            self.transaction.commit()
        except BaseException as error:
            self.note_failure(error)
            quietly(self.transaction.abort)
            raise
        finally:
            self.disown()

    def note_failure(self, error: BaseException) -> None:
        """Remember why another transaction may do better, if that could do nothing twice.

        To be called before the abort, after which the resources are forgotten.
        """
        txn = self.transaction
        if not may_be_committed(txn, error):
            self.retry_reason = retry_reason(error, txn._resources)

    def abort(self) -> None:
        """Abort as the owner. A resource that can't be rolled back is logged.

        The callbacks wait for :meth:`run_callbacks`.
        """
        self.ending = True
        try:
            quietly(self.transaction.abort)
        finally:
            self.disown()

    def doom(self, failure: BaseException | None = None) -> None:
        """Make the transaction uncommittable, and remember the first ``failure`` that did."""
        if self.failure is None:
            self.failure = failure
        # A transaction whose commit or savepoint failed can't be committed anyway.
        if self.transaction.status == "Active":
            self.transaction.doom()

    def obstacle(self) -> TransactionManagementError | None:
        """Why the owner can't commit, as an error to raise; None if it can."""
        if self.ended_by_other:
            return TransactionManagementError(
                f"transaction.abort() was called inside {self.owner}; nothing was committed. Raise "
                f"an exception instead of aborting a transaction that other code began"
            )
        # A savepoint that can't be rolled back to leaves the transaction failed, not doomed.
        if self.failure is None and not self.transaction.isDoomed():
            return None
        error = TransactionDoomed(
            "the transaction is doomed and nothing was committed: "
            + (
                "transaction.doom() was called"
                if self.failure is None
                else f"an inner scope failed with {self.failure!r}, and that exception was caught "
                f"outside of it; use commit_on_success(savepoint=True) there to undo only its work"
            )
        )
        error.__cause__ = self.failure
        return error

    def refuse(self) -> None:
        """Raise the :meth:`obstacle`, if there is one."""
        error = self.obstacle()
        if error is not None:
            raise error

    def on_commit(self, callback: Callback, *, robust: bool = True) -> None:
        """Run ``callback`` after the commit; unless ``robust``, its error reaches the committer."""
        self._on_commit.append((callback, robust))

    def on_abort(self, callback: Callback) -> None:
        """Run ``callback`` after an abort or a failed commit."""
        self._on_abort.append((callback, True))

    def mark(self) -> tuple[int, int]:
        """Where the callbacks are now, for :meth:`undo_since`."""
        return len(self._on_commit), len(self._on_abort)

    def undo_since(self, mark: tuple[int, int]) -> None:
        """The work since :meth:`mark` is undone, so its callbacks are those of an abort."""
        commits, aborts = mark
        del self._on_commit[commits:]
        self._undone += self._on_abort[aborts:]
        del self._on_abort[aborts:]

    def keep_since(self, mark: tuple[int, int]) -> None:
        """The work since :meth:`mark` counts as committed, so nothing of it waits for an abort."""
        del self._on_abort[mark[1] :]

    def _savepoint(self, optimistic: bool = False) -> Any:
        mark = self.mark()
        point = type(self.transaction).savepoint(self.transaction, optimistic)
        point.__class__ = _GuardedSavepoint
        point.guard, point.mark = self, mark
        return point

    def _commit(self) -> None:
        if self.owner is not None and not self.ending:
            raise TransactionManagementError(
                f"transaction.commit() was called inside {self.owner}, which ends the transaction "
                f"itself; remove the call, or make it outside"
            )
        self._refuse_inside("commit")
        self._refuse_meanwhile("commit")
        self._committing = True
        try:
            type(self.transaction).commit(self.transaction)
        except BaseException:
            self._allow_begin()  # which gives up what could not be committed
            raise
        finally:
            self._committing = False
        self._ended(self._on_commit)

    def before_completion(self) -> None:
        """Raise what keeps a commit from going on, when the hooks before it have run."""
        if self._committing:
            self.refuse()

    def _abort(self) -> None:
        if self.owner is not None and not self.ending:
            if is_test_case(self.transaction):
                self._abort_in_test_case()
                return
            self.ended_by_other = True
        self._refuse_inside("abort() or begin")
        self._refuse_meanwhile("abort() or begin")
        # What a database has committed, or may have, nobody must tidy up after.
        is_kept = any(getattr(one, "committed", False) for one in self.transaction._resources)
        try:
            type(self.transaction).abort(self.transaction)
        finally:
            self._ended([] if is_kept else self._on_abort)

    def _abort_in_test_case(self) -> None:
        """Leave the work of the test, and of its class, alone."""
        if self.borrower is None:
            raise TransactionManagementError(
                "transaction.abort() was called in a TestCase, whose transaction holds what is "
                "there for all tests of the class; remove the call, since the work of a test is "
                "rolled back anyway, or use a TransactionTestCase"
            )
        self.ended_by_other = True
        self.doom()  # at its end the scope undoes its own work

    def _refuse_inside(self, verb: str) -> None:
        """Keep whoever ends the transaction outside of scopes and blocks from doing so inside."""
        if self.owner is not None or self.ending:
            return
        inside = self.borrower
        for resource in self.transaction._resources:
            if getattr(resource, "is_covered", False):
                inside = f"an atomic() block on database {resource.connection.alias!r}"
        if inside is not None:
            if verb != "commit":
                self.doom()  # the caller wants none of it committed
            raise TransactionManagementError(
                f"transaction.{verb}() was called inside {inside}, whose work it would end too; "
                f"call it outside, or raise an exception to roll back"
            )

    def _refuse_meanwhile(self, verb: str) -> None:
        """Keep a hook, or what a flush calls, from ending what is being committed."""
        if self._committing:
            raise TransactionManagementError(
                f"transaction.{verb}() was called while the transaction was being committed; raise "
                f"an exception to have it rolled back"
            )

    def run_callbacks(self) -> None:
        """Call what waits for the end, once the owner has left the thread idle."""
        self.run_undone()
        due, self._due = self._due, []
        run(due)

    def run_undone(self) -> None:
        """Call what waits for an abort, of work that was undone."""
        undone, self._undone = self._undone, []
        run(undone)

    def hand_over_callbacks(self, connection: Any) -> None:
        """Have Django call what waits for the end, when a block around all of it has committed."""
        due, self._due = self._due, []
        for callback, robust in due:
            connection.on_commit(callback, robust=robust)

    def _ended(self, callbacks: list[tuple[Callback, bool]]) -> None:
        self._release()
        self._allow_begin()
        self._due = callbacks
        self._on_commit, self._on_abort = [], []
        if not self.ending:
            self.run_callbacks()

    def _release(self) -> None:
        # The methods and the guard hold each other: without this each transaction would wait for
        # the garbage collector, and its resources with it.
        for name in ("commit", "abort", "savepoint"):
            self.transaction.__dict__.pop(name, None)

    def forget(self) -> None:
        """Let go of the transaction for good, in a process that has only inherited it."""
        self.owner = None
        self._ended([])

    def disown(self) -> None:
        """Let go of a transaction that :meth:`own` was called for, without ending it."""
        if self.owner is not None:
            self.owner = None
            self._allow_begin()


def quietly(abort: Callable[..., Any], *args: Any) -> None:
    """Call ``abort(*args)``; an error must not hide why."""
    try:
        abort(*args)
    except Exception:
        logger.exception("a resource could not be rolled back")


def run(callbacks: list[tuple[Callback, bool]]) -> None:
    """Call each callback once, also those that one of them adds."""
    while callbacks:
        callback, robust = callbacks.pop(0)
        try:
            callback()
        except Exception:
            if not robust:
                raise
            name = getattr(callback, "__qualname__", repr(callback))
            logger.exception("%s failed after the transaction had ended", name)


def guard_of(txn: ITransaction) -> Guard:
    """The guard of ``txn``, made at the first call."""
    return existing_guard(txn) or Guard(txn)


def existing_guard(txn: ITransaction) -> Guard | None:
    """The guard of ``txn``, if it has been made."""
    try:
        guard: Guard = txn.data(_KEY)
    except KeyError:
        return None
    return guard


def is_test_case(txn: ITransaction) -> bool:
    """Whether ``txn`` is that of a ``TestCase``."""
    return any(getattr(resource, "is_test_case", False) for resource in txn._resources)


def current_transaction() -> ITransaction:
    """The thread's transaction.

    Raises ``TransactionManagementError`` if it was aborted by code that had not begun it, and if
    the site has switched on ``transaction.manager.explicit`` and nobody has begun one.
    """
    try:
        return transaction.manager.get()
    except NoTransaction:
        if transaction.manager.manager.has_to_begin:
            raise TransactionManagementError(
                "there is no transaction, and transaction.manager.explicit is on, so that none "
                "begins by its use; use commit_on_success(), or call transaction.begin() first"
            ) from None
        raise TransactionManagementError(
            "transaction.abort() was called inside a scope that had not ended; nothing more can "
            "be done in that scope: raise an exception instead of aborting"
        ) from None


class Untouched:
    """The guard of a scope in which nobody has asked for the transaction."""

    transaction = None
    ended_by_other = False
    failure = None
    retry_reason = None

    def obstacle(self) -> None:
        pass

    def refuse(self) -> None:
        pass

    def doom(self, failure: BaseException | None = None) -> None:
        guard_of(current_transaction()).doom(failure)  # now somebody has asked

    def commit(self) -> None:
        pass

    def run_callbacks(self) -> None:
        pass

    def hand_over_callbacks(self, connection: Any) -> None:
        pass


UNTOUCHED = Untouched()
