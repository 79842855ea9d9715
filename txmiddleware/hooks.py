"""Callbacks that run once a transaction has ended."""

from __future__ import annotations

from django.utils.asyncio import async_unsafe
from transaction.interfaces import ITransaction

from txmiddleware.guard import Callback, current_transaction, guard_of, run
from txmiddleware.manager import ASYNC_UNSAFE
from txmiddleware.thread import has_joined, has_scope


def _is_idle(txn: ITransaction) -> bool:
    return not has_joined(txn) and not has_scope()


@async_unsafe(ASYNC_UNSAFE)
def on_commit(callback: Callback, *, robust: bool = True) -> None:
    """Call ``callback()`` once, after the current transaction has been committed in every resource.

    It runs outside the transaction, in the same thread, where it can use the databases. If no
    transaction is open it runs at once, as with Django's ``on_commit``. If the transaction is
    aborted it does not run. An error is logged and stops nobody, unless ``robust`` is false:
    then it reaches the code that committed. Raises Django's ``SynchronousOnlyOperation`` where an
    event loop runs.
    """
    txn = current_transaction()
    if _is_idle(txn):
        run([(callback, robust)])
    else:
        guard_of(txn).on_commit(callback, robust=robust)


@async_unsafe(ASYNC_UNSAFE)
def on_abort(callback: Callback) -> None:
    """Call ``callback()`` once, after the current transaction has been aborted or failed to commit.

    It runs outside the transaction, in the same thread; an error in it is logged. If no
    transaction is open there is nothing that could be aborted, and it never runs. Raises Django's
    ``SynchronousOnlyOperation`` where an event loop runs.
    """
    txn = current_transaction()
    if not _is_idle(txn):
        guard_of(txn).on_abort(callback)
