"""Savepoints of ``transaction.savepoint()`` on Django's connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import Error
from transaction.interfaces import IDataManagerSavepoint
from zope.interface import implementer

if TYPE_CHECKING:
    from txmiddleware.data_manager import DatabaseDataManager


@implementer(IDataManagerSavepoint)
class DatabaseSavepoint:
    """The part of one connection in a ``transaction.savepoint()``."""

    def __init__(self, manager: DatabaseDataManager) -> None:
        self.manager = manager
        connection = manager.connection
        self.needs_rollback = connection.needs_rollback
        self.callbacks = len(connection.run_on_commit)
        # As in atomic(): where a rollback is due anyway there is nothing to save.
        self.sid = None if self.needs_rollback else connection.savepoint()

    def rollback(self) -> None:
        """Undo what was done since. Raises Django's ``DatabaseError`` if the savepoint is gone."""
        if self.sid is None:
            return
        connection = self.manager.connection
        connection.needs_rollback = False
        try:
            connection.savepoint_rollback(self.sid)
        except Error:
            connection.needs_rollback = True
            raise
        connection.needs_rollback = self.needs_rollback
        del connection.run_on_commit[self.callbacks :]
