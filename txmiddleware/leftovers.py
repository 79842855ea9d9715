"""Transactions that nobody ended."""

from __future__ import annotations

import logging
from typing import Any

from txmiddleware.conf import conf
from txmiddleware.guard import guard_of
from txmiddleware.streaming import note_handler
from txmiddleware.thread import has_joined, has_scope, this_thread

logger = logging.getLogger("txmiddleware")


def abort_leftovers(**kwargs: Any) -> None:
    """Abort what the thread has begun and nobody has ended, and log it.

    Connected to ``request_started`` and ``request_finished``; call it at the end of a task in a
    worker that Django does not manage. A transaction that a scope or an ``atomic()`` block will
    still end is left alone; one that waits for the body of a response is not: the response has
    been lost.
    """
    if conf.holds_streams:
        note_handler(kwargs.get("sender"))
    scope = this_thread.scope
    if scope is not None:
        if scope.is_held:
            logger.warning(
                "%s: aborted: the body of the response was neither read nor closed", scope.name
            )
            scope.abort()
        return
    txn = this_thread.manager.current
    # One that was begun and not used yet would make the next request a part of it, and one that
    # was doomed could not be committed by it.
    if txn is None or not (has_joined(txn) or has_scope() or txn.isDoomed()):
        return
    guard = guard_of(txn)
    if guard.owner is not None:
        return
    logger.warning("aborted a transaction that nobody had ended: %r", txn._resources)
    guard.abort()
    guard.run_callbacks()
