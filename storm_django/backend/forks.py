"""Stores without an alias, and connections that none shares, in a process that was forked."""

from __future__ import annotations

import weakref

from storm.database import STATE_RECONNECT, Connection
from storm.databases.sqlite import SQLite
from storm.store import Store
from storm.zope.zstorm import global_zstorm, register_store_with_transaction

from txmiddleware.forks import disown


def forget_plain_connection(connection: Connection) -> None:
    """Forget what the parent has opened; the next use opens another."""
    raw_connection = connection._raw_connection
    database = connection._database
    if raw_connection is None or (
        isinstance(database, SQLite) and ":memory:" in database._filename
    ):
        return  # what is in memory is a copy
    disown(raw_connection._connection)
    connection._raw_connection = None
    connection._state = STATE_RECONNECT
    connection._two_phase_transaction = False
    connection._in_transaction = False  # SQLite's own note


def forget_plain_store(store: Store) -> None:
    """Forget the connection, and in the thread's own store what was read and is pending."""
    forget_plain_connection(store._connection)
    if global_zstorm.get_name(store) is None:
        return
    store.rollback()
    if store._register_for_txn:
        # Its part in the parent's transaction has unhooked it.
        store._event.hook(
            "register-transaction", register_store_with_transaction, weakref.ref(global_zstorm)
        )
