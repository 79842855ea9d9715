"""Callbacks that run once a transaction has ended."""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.utils.asyncio import async_unsafe
from transaction.interfaces import ITransaction

from txmiddleware.data_manager import ScopeAtomic
from txmiddleware.guard import Callback, current_transaction, guard_of, is_test_case, run
from txmiddleware.manager import ASYNC_UNSAFE
from txmiddleware.thread import has_joined, has_scope, this_thread


def _open_transaction() -> ITransaction | None:
    if this_thread.manager.has_to_begin:
        return None
    txn = current_transaction()
    return txn if has_joined(txn) or has_scope() else None


def _connection_in_block() -> Any:
    """The connection that has the innermost ``atomic()`` block open, as far as one can tell.

    That is the one with the most blocks of the application's own. None if no block is open.
    """

    def depth(connection: Any) -> int:
        blocks = vars(connection)["atomic_blocks"]
        return sum(not (isinstance(one, ScopeAtomic) or one._from_testcase) for one in blocks)

    inside = (
        each for each in connections.all(initialized_only=True) if vars(each)["in_atomic_block"]
    )
    return max(inside, key=depth, default=None)


@async_unsafe(ASYNC_UNSAFE)
def on_commit(callback: Callback, *, robust: bool = True) -> None:
    """Call ``callback()`` once, after the current transaction has been committed in every resource.

    It runs outside the transaction, in the same thread, where it can use the databases. If no
    transaction is open it runs at once, as with Django's ``on_commit``. If the transaction is
    aborted, or a savepoint from before the call is rolled back to, it does not run. In a
    ``TestCase``, and in an ``atomic()`` block that no scope is around, it is Django's to run. An
    error is logged and stops nobody, unless ``robust`` is false: then it reaches the code that
    committed. Raises Django's ``SynchronousOnlyOperation`` where an event loop runs.
    """
    txn = _open_transaction()
    if txn is not None and not is_test_case(txn):
        guard_of(txn).on_commit(callback, robust=robust)
        return
    connection = _connection_in_block()
    if connection is None:
        run([(callback, robust)])
    else:
        connection.on_commit(callback, robust=robust)


@async_unsafe(ASYNC_UNSAFE)
def on_abort(callback: Callback) -> None:
    """Call ``callback()`` once, after the current transaction has been aborted or failed to commit.

    It runs outside the transaction, in the same thread; an error in it is logged. What was
    registered since a savepoint that was rolled back to runs then too, however the transaction
    ends. If no transaction is open there is nothing that could be aborted, and it never runs; nor
    does it where a database has committed although the commit failed. Raises Django's
    ``SynchronousOnlyOperation`` where an event loop runs.
    """
    txn = _open_transaction()
    if txn is not None:
        guard_of(txn).on_abort(callback)
