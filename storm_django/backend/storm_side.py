"""Storm's side of the shared connection.

A store that ZStorm knows by the name of an alias's store borrows the raw connection of Django's
wrapper. Any other connection of the same ``Database`` is as plain Storm's, with a raw connection
of its own: one from ``database.connect()``, that of a second ``Store(database)``, and that of a
store that was removed from ZStorm, once its last shared transaction has ended.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections
from storm.database import (
    STATE_CONNECTED,
    STATE_DISCONNECTED,
    STATE_RECONNECT,
    Connection,
    ConnectionWrapper,
    Database,
)
from storm.exceptions import DatabaseError, DisconnectionError, InterfaceError
from storm.store import Store
from storm.tracer import trace
from storm.uri import URI

from storm_django.backend.forks import forget_plain_connection
from storm_django.tracing import LentConnection, translated
from txmiddleware.forks import watch_fork


class BorrowingConnection(Connection):
    """A Storm connection on the raw connection of Django's wrapper for the same database.

    Without a lender, which is the wrapper, it is a plain connection.
    """

    _no_control = False
    _closed: bool
    _leaving: weakref.ref[Store] | None = None
    writes = 0  # how often Django may have changed what a result has still to give

    def __init__(self, database: BorrowingDatabase, event: Any = None, lender: Any = None) -> None:
        self._lender = lender
        if lender is None:
            super().__init__(database, event)
            watch_fork(self, BorrowingConnection.after_fork)
            return
        self._database = database
        self._event = event
        self._raw_connection: Any = None
        lender.lend_to(self)
        self._borrow()
        watch_fork(self, BorrowingConnection.after_fork)

    def __del__(self) -> None:
        if self._lender is None:
            super().__del__()

    # Borrowing.

    def _borrow(self) -> None:
        self.attach(translated(self._database, self._lender.open))

    def attach(self, raw_connection: Any) -> None:
        """Use a connection that Django has opened."""
        self._database.adopt(raw_connection)
        self._raw_connection = LentConnection(raw_connection, self._database, self._lender)
        self._state = STATE_CONNECTED

    def after_fork(self) -> None:
        """Forget a connection of the parent's, in a child process. Django forgets what it lends."""
        if self._lender is None:
            forget_plain_connection(self)
        self._two_phase_transaction = False

    def detach(self) -> None:
        """Forget a connection that Django closes; the next use opens another."""
        self._raw_connection = None
        self._state = STATE_RECONNECT
        self._two_phase_transaction = False

    def leave(self, store: Store) -> None:
        """Have a raw connection of its own, once the shared transaction of its store has ended."""
        if self._lender is not None and not self._closed:
            self._leaving = weakref.ref(store)
            self._leave_if_idle()

    def _leave_if_idle(self) -> None:
        if self._leaving is not None and self._lender.is_left(self._leaving()):
            self._lender.take_back(self)
            self._lender = None
            self._leaving = None
            self.detach()

    def join(self) -> bool:
        """The store is about to be used. True if its connection is now in a transaction."""
        reconnecting = self._state == STATE_RECONNECT
        try:
            joined: bool = self._check_disconnect(
                translated, self._database, self._lender.join_store
            )
        except DatabaseError as error:
            if not reconnecting:
                raise
            # As _ensure_connected() does, which comes too late: the join connects.
            self._state = STATE_DISCONNECTED
            raise DisconnectionError(str(error)) from error
        return joined

    def is_disconnection_error(self, exc: Exception, extra_disconnection_errors: Any = ()) -> bool:
        # All of the driver's errors pass here.
        if self._lender is not None:
            self._lender.note_error(exc)
        if self._raw_connection is None and isinstance(exc, (DatabaseError, InterfaceError)):
            return True  # Django's side has noticed and dropped it
        found: bool = super().is_disconnection_error(exc, extra_disconnection_errors)
        return found

    def _ensure_connected(self) -> None:
        self._leave_if_idle()
        if self._lender is not None and self._lender.ended_by is not None:
            self._lender.refuse_ended()
        if self._lender is None or self._state != STATE_RECONNECT or self._blocked:
            super()._ensure_connected()
            return
        try:
            self._borrow()
        except DatabaseError as error:
            self._state = STATE_DISCONNECTED
            raise DisconnectionError(str(error)) from error

    def close(self) -> None:
        """Give the connection back. Django closes it when it is done with it.

        What the store has not committed is rolled back, unless other code ends the transaction.
        """
        if self._lender is None:
            super().close()
        elif not self._closed:
            self._closed = True
            self._lender.abandon()
            self._lender.take_back(self)
            self._raw_connection = None

    def execute(self, statement: Any, params: Any = None, noresult: bool = False) -> Any:
        writes = self.writes
        result = super().execute(statement, params, noresult)
        if result is not None:
            result.writes_before = writes
        return result

    # Transactions.

    @contextmanager
    def no_transaction_control(self) -> Iterator[None]:
        """Have ``Store.rollback()`` tidy the store only."""
        self._no_control, before = True, self._no_control
        try:
            yield
        finally:
            self._no_control = before

    def begin(self, xid: Any) -> None:
        if self._lender is not None and not self._two_phase_transaction:
            self.join()
        super().begin(xid)

    def commit(self, xid: Any = None) -> None:
        self._leave_if_idle()
        if self._no_control:
            return
        if self._lender is None or xid is not None:
            super().commit(*([] if xid is None else [xid]))
            return
        try:
            if self._two_phase_transaction:
                self._with_lender(self._lender.refuse_end_for_store)
                super().commit()
            else:
                self._ensure_connected()
            self._with_lender(self._lender.end_for_store)
        finally:
            self._check_disconnect(trace, "connection_commit", self, xid)

    def _with_lender(self, method: Callable[..., None]) -> None:
        self._check_disconnect(translated, self._database, method, failed=False)

    def rollback(self, xid: Any = None) -> None:
        self._leave_if_idle()
        if self._no_control:
            return
        if self._lender is None or xid is not None:
            super().rollback(*([] if xid is None else [xid]))
            return
        if self._two_phase_transaction:
            self._lender.refuse_end_for_store(failed=True)
            super().rollback()
        try:
            self._lender.end_for_store(failed=True)
            if self._state != STATE_CONNECTED:
                self._lender.close()
                self._state = STATE_RECONNECT
        finally:
            self._check_disconnect(trace, "connection_rollback", self, xid)


class BorrowingDatabase(Database):
    """A Storm database, of which one store in each thread borrows the connection of an alias."""

    plain_class: type[Database]

    def __init__(self, uri: URI, alias: str) -> None:
        # The vendors' classes take the options that they know out of the URI.
        super().__init__(uri.copy())
        self._uri = uri
        self.alias = alias
        self._local = threading.local()

    @contextmanager
    def lending(self) -> Iterator[None]:
        """Have the connection that is made inside, in this thread, be a borrowed one."""
        self._local.lender = connections[self.alias]
        try:
            yield
        finally:
            del self._local.lender

    def connect(self, event: Any = None) -> Connection:
        return self.connection_factory(self, event, getattr(self._local, "lender", None))

    def raw_connect(self) -> ConnectionWrapper:
        """A connection as plain Storm opens it, to the test database while tests run."""
        wrapper: Any = connections[self.alias]
        raw_connection = self.plain_class(wrapper.store_uri()).raw_connect()
        self.adopt(raw_connection)
        return raw_connection

    def adopt(self, raw_connection: Any) -> None:
        """Note what Storm wants to know of a connection."""
