"""The engine for SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Context
from typing import Any

from django.db import connections
from django.db.backends.sqlite3 import base, creation, features, schema
from storm.database import ConnectionWrapper
from storm.databases.sqlite import SQLite, SQLiteConnection, SQLiteResult
from storm.variables import DecimalVariable, Variable

from storm_django.backend.creation import SchemaCreationMixin
from storm_django.backend.data_manager import StoreDataManager
from storm_django.backend.features import SharedFeatures
from storm_django.backend.shared import StoreWrapper
from storm_django.backend.storm_side import BorrowingConnection, BorrowingDatabase

DIGITS = Context(prec=15)  # that a float has
PRAGMAS = ("synchronous", "journal_mode", "foreign_keys")


class StoreResult(SQLiteResult):
    """Storm's result."""

    @staticmethod
    def set_variable(variable: Variable, value: Any) -> None:
        if isinstance(value, float) and isinstance(variable, DecimalVariable):
            # A column of Django's DecimalField has numeric affinity: SQLite keeps a float. Storm
            # takes text only, and these are the digits that Django takes too.
            value = str(DIGITS.create_decimal_from_float(value))
        SQLiteResult.set_variable(variable, value)


class StoreConnection(BorrowingConnection, SQLiteConnection):
    """Storm's connection. Whether a transaction is open is the driver's to say."""

    result_factory = StoreResult

    def to_database(self, params: Iterable[Any]) -> Iterator[Any]:
        if self._lender is not None:
            params = map(self._in_djangos_form, params)
        yield from SQLiteConnection.to_database(params)

    def _in_djangos_form(self, param: Any) -> Any:
        """Leave out the offset of a time zone where it is that of the alias's, as Django does.

        Otherwise one moment would be two different texts, and unequal. (Storm can't read an offset
        on a connection of its own.)
        """
        value = param.get(to_db=True) if isinstance(param, Variable) else param
        if not isinstance(value, datetime) or value.tzinfo is None:
            return param
        naive = value.replace(tzinfo=None)
        zone = self._lender.timezone
        # Without USE_TZ there is none, and Django writes, and expects, no offset at all.
        if zone is None or naive.replace(tzinfo=zone).utcoffset() == value.utcoffset():
            return naive
        return value

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

    def raw_connect(self) -> ConnectionWrapper:
        wrapper: Any = connections[self.alias]
        name = str(wrapper.settings_dict["NAME"])
        if not name.startswith("file:"):
            return super().raw_connect()
        # A test database in memory, which Storm has no way to name.
        return ConnectionWrapper(wrapper.get_new_connection(wrapper.get_connection_params()), self)


class DatabaseCreation(SchemaCreationMixin, creation.DatabaseCreation):
    """Makes and destroys test databases."""


class DatabaseFeatures(SharedFeatures, features.DatabaseFeatures):
    """What is otherwise than in the stock engine."""


class DatabaseSchemaEditor(schema.DatabaseSchemaEditor):
    """Django's schema editor."""

    def _alter_field(
        self,
        model: Any,
        old_field: Any,
        new_field: Any,
        old_type: Any,
        new_type: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        before, after = (field.db_type_suffix(self.connection) for field in (old_field, new_field))
        if before != after and old_type == new_type:
            # Django compares columns without it, and would only rename the column.
            self._remake_table(model, alter_fields=[(old_field, new_field)])  # type: ignore[attr-defined]
            return
        super()._alter_field(model, old_field, new_field, old_type, new_type, *args, **kwargs)  # type: ignore[misc]


class DatabaseWrapper(StoreWrapper, base.DatabaseWrapper):
    """Django's wrapper."""

    store_database_class = StoreDatabase
    SchemaEditorClass = DatabaseSchemaEditor
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
