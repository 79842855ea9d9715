"""Transactions that nobody ended."""

from __future__ import annotations

import logging
from typing import Any

import transaction
from transaction.interfaces import NoTransaction

from txmiddleware.guard import guard_of
from txmiddleware.scope import current_scope, has_joined, is_managed

logger = logging.getLogger("txmiddleware")


def abort_leftovers(**kwargs: Any) -> None:
    """Abort what the thread has begun and nobody has ended, and log it.

    Connected to ``request_started`` and ``request_finished``; call it at the end of a task in a
    worker that Django does not manage. A transaction that a scope or an ``atomic()`` block will
    still end is left alone.
    """
    if current_scope() is not None:
        return
    try:
        txn = transaction.manager.get()
    except NoTransaction:
        return
    # One that was begun and not used yet would make the next request a part of it.
    if not (has_joined(txn) or is_managed()):
        return
    guard = guard_of(txn)
    if guard.owner is not None:
        return
    logger.warning("aborted a transaction that nobody had ended: %r", txn._resources)
    guard.abort()
    guard.run_callbacks()
