"""The engine for SQLite."""

from __future__ import annotations

from typing import Any

from django.db.backends.sqlite3 import base, creation, features
from storm.databases.sqlite import SQLite, SQLiteConnection

from storm_django.backend.creation import SchemaCreationMixin
from storm_django.backend.data_manager import StoreDataManager
from storm_django.backend.features import SharedFeatures
from storm_django.backend.shared import StoreWrapper
from storm_django.backend.storm_side import BorrowingConnection, BorrowingDatabase

PRAGMAS = ("synchronous", "journal_mode", "foreign_keys")


class StoreConnection(BorrowingConnection, SQLiteConnection):
    """Storm's connection. Whether a transaction is open is the driver's to say."""

    @property
    def _in_transaction(self) -> bool:
        return self._raw_connection is not None and self._raw_connection.in_transaction

    @_in_transaction.setter
    def _in_transaction(self, value: bool) -> None:
        pass


class StoreDatabase(BorrowingDatabase, SQLite):
    """Storm's database."""

    connection_factory = StoreConnection
    plain_class = SQLite


class DatabaseCreation(SchemaCreationMixin, creation.DatabaseCreation):
    """Makes and destroys test databases."""


class DatabaseFeatures(SharedFeatures, features.DatabaseFeatures):
    """What is otherwise than in the stock engine."""


class DatabaseWrapper(StoreWrapper, base.DatabaseWrapper):
    """Django's wrapper."""

    store_database_class = StoreDatabase
    creation_class = DatabaseCreation
    features_class = DatabaseFeatures

    def options_of_uri(self, options: dict[str, str]) -> dict[str, Any]:
        pragmas = [f"PRAGMA {name} = {options.pop(name)}" for name in PRAGMAS if name in options]
        found: dict[str, Any] = dict(options)
        if "timeout" in found:
            found["timeout"] = float(found["timeout"])
        if pragmas:
            found["init_command"] = ";".join(pragmas)
        return found

    def fill_in(self, settings_dict: dict[str, Any], uri: Any) -> None:
        super().fill_in(settings_dict, uri)
        settings_dict["NAME"] = settings_dict["NAME"] or ":memory:"

    def _start_transaction_under_autocommit(self) -> None:
        super()._start_transaction_under_autocommit()  # type: ignore[misc]
        self._join_for_django()

    def end_part(self, manager: StoreDataManager, *, failed: bool) -> None:
        if not failed and manager.is_outermost:
            # It fails while another connection has a lock, and can be tried again, which Storm's
            # users do. Django would roll back.
            with self.wrap_database_errors:
                self.connection.commit()
        super().end_part(manager, failed=failed)
