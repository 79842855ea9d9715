"""What a child process inherits when it is forked: no transaction, and no connection.

A connection that two processes use is broken for both, and one that the child closes, or drops,
ends the session of its parent. So the child forgets what it has inherited and opens its own.
"""

from __future__ import annotations

import ctypes
import logging
import os
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from txmiddleware.guard import guard_of
from txmiddleware.thread import forget_scope, this_thread

logger = logging.getLogger("txmiddleware")

_watched: weakref.WeakKeyDictionary[Any, Callable[[Any], None]] = weakref.WeakKeyDictionary()
_kept: list[tuple[Any, Callable[[Any], None]]] = []


def watch_fork(owner: Any, forget: Callable[[Any], None]) -> None:
    """Have ``forget(owner)`` called in each child that is forked while ``owner`` exists."""
    _watched[owner] = forget


def disown(raw_connection: Any) -> None:
    """Have nothing that this process does with a driver's connection reach the server or file."""
    # Freed, mysqlclient would say goodbye to the server and SQLite roll the parent's work back. At
    # the interpreter's end everything is freed that is not referred to from outside.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(raw_connection))
    # The parent alone has the socket from now on, so that the server sees when that is gone.
    with suppress(AttributeError, OSError, *_errors_of(raw_connection)):
        nowhere = os.open(os.devnull, os.O_RDWR)
        try:
            os.dup2(nowhere, raw_connection.fileno())
        finally:
            os.close(nowhere)


def _errors_of(raw_connection: Any) -> tuple[type[Exception], ...]:
    # PEP 249: an optional attribute of connections. It is closed, then.
    error = getattr(raw_connection, "Error", None)
    return () if error is None else (error,)


def forget_connection(wrapper: Any) -> bool:
    """Have a Django wrapper be as before it connected; a database in memory keeps its copy.

    Returns whether the parent has locks on a file that this process would take for its own.
    """
    raw_connection = wrapper.connection
    is_sqlite = wrapper.vendor == "sqlite"
    in_memory = is_sqlite and wrapper.creation.is_in_memory_db(wrapper.settings_dict["NAME"])
    is_locked = False
    if raw_connection is not None:
        with suppress(*_errors_of(raw_connection)):  # it is closed if its thread has ended
            if in_memory:
                raw_connection.rollback()
            elif is_sqlite:
                is_locked = raw_connection.in_transaction
        if not in_memory:
            disown(raw_connection)
            wrapper.connection = None
    wrapper.autocommit = wrapper.connection is not None
    wrapper.in_atomic_block = wrapper.closed_in_transaction = wrapper.needs_rollback = False
    wrapper.atomic_blocks = []
    wrapper.savepoint_ids = []
    wrapper.run_on_commit = []
    return is_locked


def _forget_transaction() -> None:
    forget_scope()
    manager = this_thread.manager
    manager.forget()
    txn = manager.current
    if txn is not None:
        guard_of(txn).forget()
        manager.free(txn)
        txn._manager = None  # a child that leaves the parent's scopes ends nothing


def _before() -> None:
    # Python drops the other threads in the child, and with them what only they refer to, before
    # it calls us.
    for reference in _watched.keyrefs():
        owner = reference()
        if owner is not None:
            _kept.append((owner, _watched[owner]))


def _in_child() -> None:
    _forget_transaction()
    for owner, forget in _kept:
        try:
            forget(owner)
        except Exception:
            logger.exception("%r may still use what the parent process opened", owner)
    _kept.clear()


os.register_at_fork(before=_before, after_in_parent=_kept.clear, after_in_child=_in_child)
