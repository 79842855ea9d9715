"""What txmiddleware knows of the current thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import transaction
from django.utils.asyncio import async_unsafe
from transaction import ThreadTransactionManager
from transaction.interfaces import ITransaction

from txmiddleware.guard import existing_guard, guard_of
from txmiddleware.manager import ASYNC_UNSAFE, WaitedForManager

if TYPE_CHECKING:
    from txmiddleware.scope import Scope
    from txmiddleware.timeout import Budget


class _Watcher:
    """Notes which transaction of its thread was begun explicitly (``ISynchronizer``)."""

    def __init__(self) -> None:
        self.begun: ITransaction | None = None
        self.is_watching = False

    def newTransaction(self, txn: ITransaction) -> None:
        # Called for begin(), not where get() makes a transaction by itself; and at registration,
        # for one that there is, however it came to be.
        if self.is_watching:
            self.begun = txn
            guard_of(txn).refuse_begin()

    def beforeCompletion(self, txn: ITransaction) -> None:
        guard = existing_guard(txn)
        if guard is not None:
            guard.before_completion()

    def afterCompletion(self, txn: ITransaction) -> None:
        self.begun = None


class _Managers(ThreadTransactionManager):  # type: ignore[misc]
    """``transaction.manager``, with a manager of ours for each thread that asks from now on."""

    def __init__(self) -> None:
        self.manager = WaitedForManager()


# The object stays the same, since others may hold it, and so does that of a thread below.
transaction.manager.__class__ = _Managers


class _Thread(threading.local):
    """The first access in a thread begins to watch its transactions."""

    def __init__(self) -> None:
        manager: Any = transaction.manager.manager
        if not isinstance(manager, WaitedForManager):
            manager.__class__ = WaitedForManager
            manager.waiting = []
        self.manager: WaitedForManager = manager
        self.scope: Scope | None = None  # the innermost that is open
        self.budget: Budget | None = None  # of the innermost that has one
        self.watcher = _Watcher()  # the manager holds it weakly
        transaction.manager.registerSynch(self.watcher)
        self.watcher.is_watching = True


this_thread = _Thread()


def watch() -> None:
    """Note from now on which transactions of this thread are begun explicitly."""
    this_thread.watcher  # noqa: B018


@async_unsafe(ASYNC_UNSAFE)
def is_managed() -> bool:
    """Whether an explicit scope is open in this thread.

    That is :class:`~txmiddleware.middleware.TransactionMiddleware`, :func:`commit_on_success`,
    ``with transaction.manager`` or ``transaction.begin()``: somebody has promised to commit or
    abort what is done now. Raises Django's ``SynchronousOnlyOperation`` where an event loop runs.
    """
    return has_scope()


def has_scope() -> bool:
    """:func:`is_managed`, for code that knows its thread."""
    return this_thread.scope is not None or this_thread.watcher.begun is not None


def has_joined(txn: ITransaction) -> bool:
    """Whether any resource takes part in ``txn``."""
    # ITransaction has no public way to ask.
    return bool(txn._resources)


def current_scope() -> Scope | None:
    """The innermost scope that is open in this thread."""
    return this_thread.scope


def forget_scope() -> None:
    """Have this thread be in no scope, in a process that has only inherited it."""
    this_thread.scope = this_thread.budget = None
    this_thread.watcher.begun = None
