"""Storm's side of the shared connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections
from django.db.utils import DatabaseError as DjangoDatabaseError
from storm.database import (
    STATE_CONNECTED,
    STATE_DISCONNECTED,
    STATE_RECONNECT,
    Connection,
    ConnectionWrapper,
    Database,
)
from storm.exceptions import wrap_exceptions
from storm.uri import URI


class BorrowedConnection(Connection):
    """A Storm connection on the raw connection of Django's wrapper for the same database."""

    _no_control = False

    def __init__(self, database: BorrowingDatabase, event: Any = None) -> None:
        super().__init__(database, event)
        lender: Any = connections[database.alias]
        lender.lend_to(self)
        self._lender = lender

    def attach(self, raw_connection: Any) -> None:
        """Use a connection that Django has opened."""
        self._raw_connection = ConnectionWrapper(raw_connection, self._database)
        self._state = STATE_CONNECTED

    def detach(self) -> None:
        """Forget a connection that Django closes; the next use opens another."""
        self._raw_connection = None
        self._state = STATE_RECONNECT

    def close(self) -> None:
        """Give the connection back. Django closes it when it is done with it."""
        self._closed = True
        self._raw_connection = None

    @contextmanager
    def no_transaction_control(self) -> Iterator[None]:
        """Have ``Store.rollback()`` tidy the store only."""
        self._no_control, before = True, self._no_control
        try:
            yield
        finally:
            self._no_control = before

    def commit(self, xid: Any = None) -> None:
        if xid is not None:
            super().commit(xid)
        elif not self._no_control:
            self._ensure_connected()
            with wrap_exceptions(self._database):
                self._lender.end_for_store(failed=False)

    def rollback(self, xid: Any = None) -> None:
        if xid is not None:
            super().rollback(xid)
        elif not self._no_control:
            self._lender.end_for_store(failed=True)
            if self._state == STATE_DISCONNECTED:
                self._lender.close()


class BorrowingDatabase(Database):
    """A Storm database whose connections are those of an alias of Django."""

    def __init__(self, uri: URI, alias: str) -> None:
        # The vendors' classes take the options that they know out of the URI.
        super().__init__(uri.copy())
        self._uri = uri
        self.alias = alias

    def raw_connect(self) -> ConnectionWrapper:
        """This thread's connection to the database, as Django opens and prepares it."""
        wrapper: Any = connections[self.alias]
        try:
            raw_connection = wrapper.open()
        except DjangoDatabaseError as error:
            # Django has wrapped the driver's error, which Storm's users expect.
            with wrap_exceptions(self):
                raise (error.__cause__ or error) from None
        self.adopt(raw_connection)
        return ConnectionWrapper(raw_connection, self)

    def adopt(self, raw_connection: Any) -> None:
        """Note what Storm wants to know of a connection that it has not opened itself."""
