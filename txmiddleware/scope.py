"""The explicit scopes of a thread: begin, join, doom, finish."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from transaction._transaction import Status
from transaction.interfaces import ITransaction

from txmiddleware.data_manager import ACTIVE, LOST, DatabaseDataManager
from txmiddleware.databases import enlist_databases
from txmiddleware.guard import (
    UNTOUCHED,
    Guard,
    Untouched,
    current_transaction,
    guard_of,
    is_test_case,
    quietly,
)
from txmiddleware.retryable import retry_reason
from txmiddleware.thread import has_joined, this_thread

if TYPE_CHECKING:
    from txmiddleware.timeout import Budget

logger = logging.getLogger("txmiddleware")


class Scope:
    """One scope of a thread, outermost or nested; ``name`` stands for it in messages.

    If the thread has no transaction yet the scope begins one, and ends it. If somebody else has
    (an outermost ``atomic()`` on a store, Storm code, ``transaction.begin()``), the scope takes
    part in that one: its success leaves the commit to the other, its failure dooms. In a
    ``TestCase`` the transaction is the test's, which wants to see what a request would have
    left behind; so there the scope opens a savepoint. ``budget`` is the time that the statements
    in it have.
    """

    retry_reason: str | None = None  # why another attempt may do better
    is_over = False
    is_held = False  # the body of a response ends it
    guard: Guard | Untouched = UNTOUCHED
    _savepoint: Any = None
    _doomed_before: tuple[bool, BaseException | None] | None = None  # in a TestCase
    _mark = (0, 0)

    def __init__(self, name: str, *, savepoint: bool = False, budget: Budget | None = None) -> None:
        self.name = name
        self.databases = enlist_databases()
        self.members: list[DatabaseDataManager] = []  # that joined since the scope began
        outer = this_thread.scope
        self._outer: tuple[Scope | None, str | None] = outer, None
        # As long as nobody asks for the transaction there is none.
        self.owns = outer is None and this_thread.manager.own(self)
        if not self.owns:
            self._take_part(savepoint)
        this_thread.scope = self
        self._budget = budget
        if budget is not None:
            budget.open()

    def _take_part(self, savepoint: bool) -> None:
        """Begin where the thread has a transaction already, or something that belongs to one."""
        manager = this_thread.manager
        if manager.is_free and this_thread.scope is None:
            self.owns = True
        else:
            txn = current_transaction()
            self.owns = not has_joined(txn) and this_thread.watcher.begun is None
        if self.owns:
            self.admit(manager.begin())
            return
        self.guard = guard_of(txn)
        self._outer = this_thread.scope, self.guard.borrower
        in_test_case = is_test_case(txn)
        if savepoint or in_test_case:
            self._savepoint = make_savepoint(txn)
        if in_test_case:
            self._doomed_before = txn.isDoomed(), self.guard.failure
            self._mark = self.guard.mark()
        self.guard.borrower = self.name

    def admit(self, txn: ITransaction) -> None:
        """Own ``txn``, which somebody has asked for."""
        guard = self.guard = guard_of(txn)
        guard.own(self.name)
        guard.borrower = self.name
        for member in self.members:
            member.guard = guard
            txn.join(member)

    @property
    def is_empty(self) -> bool:
        """Whether nobody has asked for the transaction, and nothing takes part in it."""
        return self.guard is UNTOUCHED and not self.members

    @property
    def transaction(self) -> ITransaction | None:
        """The transaction that the scope owns or takes part in; None if nobody has used one."""
        return self.guard.transaction

    @property
    def resources(self) -> list[Any]:
        """What takes part in the transaction; members that are lost have left it, and count."""
        txn = self.guard.transaction
        return self.members if txn is None else [*self.members, *txn._resources]

    @property
    def is_inner(self) -> bool:
        """Whether other code will end the transaction; a ``TestCase`` only undoes it."""
        return self._outer[0] is not None or not (self.owns or is_test_case(self.transaction))

    def commit(self) -> None:
        """End the scope well.

        Raises :class:`~txmiddleware.exceptions.TransactionDoomed` if the transaction was doomed,
        and ``TransactionManagementError`` if it was aborted by somebody else; nothing is
        committed then. Whatever else the commit of a resource raises is raised too.
        """
        if not self.owns:
            self._end_inner()
            return
        if self.guard is not UNTOUCHED:
            error = self.guard.obstacle()
            if error is not None:
                self.abort()
                raise error
        is_committed = False
        try:
            if not self._commit_alone():
                self._commit_all()
            is_committed = True
        except BaseException as error:
            if self.guard is not UNTOUCHED:
                self.retry_reason = self.guard.retry_reason
            elif not any(member.committed for member in self.members):
                self.retry_reason = retry_reason(error, self.members)
            raise
        finally:
            self._close()
            if self.guard is not UNTOUCHED:
                if is_committed:
                    self._hand_over_callbacks()
                self.guard.run_callbacks()

    def _hand_over_callbacks(self) -> None:
        """Nothing is committed before a block that Django has opened around the scope has ended."""
        for connection in self.databases:
            if vars(connection)["in_atomic_block"]:
                self.guard.hand_over_callbacks(connection)

    def _end_inner(self) -> None:
        try:
            if self._savepoint is not None:
                txn = current_transaction()
                send_pending(txn)
                if self._doomed_before is not None:  # nobody will commit, and ask
                    self._refuse()
                    refuse_unfit(txn)
        except BaseException as failure:
            self._leave(failed=True, failure=failure)
            raise
        self._leave(failed=False)

    def _commit_alone(self) -> bool:
        """Commit the one database that there is, if any; False if others have to be asked."""
        if self.guard is not UNTOUCHED:
            return False
        if not self.members:
            return True
        (member,) = self.members
        try:
            member.tpc_begin(None)  # a flush may make others join
            if self.guard is not UNTOUCHED or member.connection.run_on_commit:
                current_transaction()
            elif member.status == ACTIVE:  # not in a child process
                self._refuse_late()
                member.commit_in_vote()
        except BaseException as error:
            self._abort_failed(error)
            raise
        return self.guard is UNTOUCHED  # others may have joined only now

    def _commit_all(self) -> None:
        try:
            send_pending(current_transaction())
            self._refuse()  # the code that the flush has called may doom
        except BaseException as error:
            self._abort_failed(error)
            raise
        self.guard.commit()

    def _refuse(self) -> None:
        """Raise what keeps the scope from ending well."""
        self._refuse_late()
        self.guard.refuse()

    def _refuse_late(self) -> None:
        """Raise ``TransactionTimeout`` if the last flush came too late, and has hidden it."""
        if self._budget is not None and self._budget.is_exceeded:
            raise self._budget.error()

    def _abort_failed(self, error: BaseException) -> None:
        """Abort what could not be committed."""
        if isinstance(self.guard, Guard) and not self.guard.ended_by_other:
            self.guard.note_failure(error)
        self._abort_own()

    def _abort_own(self) -> None:
        if isinstance(self.guard, Guard):
            self.guard.abort()
        else:
            for member in self.members:
                quietly(member.abort, None)

    def abort(self, failure: BaseException | None = None) -> None:
        """End the scope badly: roll its own transaction back, or doom that of another.

        Nothing happens if it has ended already.
        """
        if self.is_over:
            return
        if self.owns:
            if not self.guard.ended_by_other:
                self.retry_reason = retry_reason(failure, self.resources)
            try:
                self._abort_own()
            finally:
                self._close()
                self.guard.run_callbacks()
        else:
            self._leave(failed=True, failure=failure)

    @property
    def can_undo(self) -> bool:
        """Whether the scope has something that it could roll back: else that is for outer ones."""
        return self.owns or self._savepoint is not None

    def needs_rollback(self) -> str | None:
        """The alias of the first database that asks for a rollback, as by ``set_rollback()``."""
        for member in self.resources:
            if getattr(member, "needs_rollback", False):
                return str(member.connection.alias)
        return None

    def _leave(self, *, failed: bool, failure: BaseException | None = None) -> None:
        try:
            if not failed:
                for member in reversed(self.members):
                    member.leave()
            elif self._savepoint is not None:
                if rollback_to(self._savepoint, self.guard, failure):
                    self._restore_doom()
            else:
                self.guard.doom(failure)
        finally:
            self._close()
            if self._doomed_before is not None and isinstance(self.guard, Guard):
                if not failed:
                    self.guard.keep_since(self._mark)
                self.guard.run_undone()

    def _restore_doom(self) -> None:
        """A ``TestCase`` goes on as if the request had had a transaction of its own."""
        if self._doomed_before is not None and isinstance(self.guard, Guard):
            was_doomed, self.guard.failure = self._doomed_before
            self.guard.ended_by_other = False
            txn = self.guard.transaction
            if txn.isDoomed() and not was_doomed:
                txn.status = Status.ACTIVE

    def _close(self) -> None:
        self.is_over = True
        this_thread.scope, borrower = self._outer
        if isinstance(self.guard, Guard):
            self.guard.borrower = borrower
        else:
            this_thread.manager.disown(self)
        for member in reversed(self.members):
            if member.status == LOST:
                member.unwind()
        if self._budget is not None:
            self._budget.close()


def make_savepoint(txn: ITransaction) -> Any:
    """A savepoint of everything that takes part in ``txn``.

    What has to be sent first is sent before: a resource whose savepoint fails ends the
    transaction, and with it what the flush has nothing to do with.
    """
    send_pending(txn)
    return txn.savepoint(optimistic=True)


def send_pending(txn: ITransaction) -> None:
    """Have the resources of ``txn`` send what they have not sent yet.

    At both ends of a savepoint, so that what fails belongs to the block in which it was made.
    """
    for resource in txn._resources:
        send = getattr(resource, "send_pending", None)
        if send is not None:
            send()


def refuse_unfit(txn: ITransaction) -> None:
    """Raise ``TransactionManagementError`` if a database of ``txn`` would not commit."""
    for resource in txn._resources:
        refuse = getattr(resource, "refuse_unfit", None)
        if refuse is not None:
            refuse()


def rollback_to(savepoint: Any, guard: Guard | Untouched, failure: BaseException | None) -> bool:
    """Undo the work since a savepoint, or else doom the transaction; whether it was undone."""
    try:
        savepoint.rollback()
        return True
    except Exception:
        # The first error is the one to see. Without its savepoint nothing else can undo the
        # inner work alone, so all of it has to go.
        logger.exception("could not roll back to the savepoint of an inner scope")
        guard.doom(failure)
        return False
