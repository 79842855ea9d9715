"""The engine for PostgreSQL, on psycopg2."""

from __future__ import annotations

import json
from typing import Any

import psycopg2.extensions
from django.core.exceptions import ImproperlyConfigured
from django.db.backends.postgresql import base, creation, features, schema
from django.db.backends.postgresql.psycopg_any import is_psycopg3
from django.utils.functional import cached_property
from storm.databases.postgres import PostgresConnection, PostgresResult
from storm.variables import JSONVariable, Variable

from storm_django.backend import cursors
from storm_django.backend.creation import SchemaCreationMixin
from storm_django.backend.cursors import CoherentCursorMixin
from storm_django.backend.features import SharedFeatures
from storm_django.backend.shared import StoreWrapper
from storm_django.backend.storm_side import BorrowingConnection, BorrowingDatabase
from storm_django.conf import SERVERS_LEVEL
from storm_django.constraints import ReferenceSchemaEditor
from storm_django.isolation import LEVELS, STORMS_LEVEL, LevelledPostgres


class DecodedText(str):
    """A JSON string that the driver has decoded, to tell it from the text of a document."""


def decode_json(value: str | None, cursor: Any) -> Any:
    """What the driver does with json and jsonb by itself."""
    decoded = None if value is None else json.loads(value)
    return DecodedText(decoded) if isinstance(decoded, str) else decoded


# Django has the driver return jsonb as text on its connections, to decode it itself, and UUIDs and
# arrays of UUIDs and addresses as objects everywhere. Storm expects the driver's own ways, so its
# cursors say so.
DECODED_JSON = psycopg2.extensions.new_type((114, 3802), "STORM_JSON", decode_json)
STORM_TYPES = (
    DECODED_JSON,
    psycopg2.extensions.new_array_type((199, 3807), "STORM_JSONARRAY", DECODED_JSON),
    psycopg2.extensions.new_type((2950, 2951, 1041), "STORM_TEXT", psycopg2.extensions.UNICODE),
)


class StoreResult(PostgresResult):
    """Storm's result."""

    @staticmethod
    def set_variable(variable: Variable, value: Any) -> None:
        if isinstance(value, DecodedText) and isinstance(variable, JSONVariable):
            # Storm takes all text for a document that is to be decoded.
            value = json.dumps(value)
        PostgresResult.set_variable(variable, value)


class StoreConnection(BorrowingConnection, PostgresConnection):
    """Storm's connection."""

    result_factory = StoreResult

    def build_raw_cursor(self) -> Any:
        cursor = super().build_raw_cursor()
        for storm_type in STORM_TYPES:
            psycopg2.extensions.register_type(storm_type, cursor._cursor)
        return cursor


class StoreDatabase(BorrowingDatabase, LevelledPostgres):
    """Storm's database."""

    connection_factory = StoreConnection
    plain_class = LevelledPostgres

    def adopt(self, raw_connection: Any) -> None:
        self._version = raw_connection.server_version


class DatabaseCreation(SchemaCreationMixin, creation.DatabaseCreation):
    """Makes and destroys test databases."""


class CopyMixin(CoherentCursorMixin):
    """COPY by the driver's own methods, which Django's cursor only passes on."""

    def copy_expert(self, *args: Any, **kwargs: Any) -> Any:
        return self._copy("copy_expert", *args, **kwargs)

    def copy_to(self, *args: Any, **kwargs: Any) -> Any:
        return self._copy("copy_to", *args, **kwargs)

    def copy_from(self, *args: Any, **kwargs: Any) -> Any:
        return self._copy("copy_from", *args, **kwargs)

    def _copy(self, name: str, *args: Any, **kwargs: Any) -> Any:
        method = getattr(super(), name, None) or getattr(self.cursor, name)
        with self.in_step("COPY"):
            return method(*args, **kwargs)


class CoherentCursor(CopyMixin, cursors.CoherentCursor):
    """Django's cursor."""


class CoherentDebugCursor(CopyMixin, base.CursorDebugWrapper):
    """Django's cursor that logs, COPY too."""


class DatabaseFeatures(SharedFeatures, features.DatabaseFeatures):
    """What is otherwise than in the stock engine."""

    @cached_property
    def django_test_skips(self) -> dict[str, set[str]]:  # type: ignore[override]
        level = "backends.postgresql.tests.Tests"
        return {
            **super().django_test_skips,
            "The isolation level is that of the store's URI, which states one.": {
                f"{level}.test_connect_isolation_level",
                f"{level}.test_connect_invalid_isolation_level",
            },
        }


class DatabaseSchemaEditor(ReferenceSchemaEditor, schema.DatabaseSchemaEditor):
    """Changes tables."""


class DatabaseWrapper(StoreWrapper, base.DatabaseWrapper):
    """Django's wrapper."""

    store_database_class = StoreDatabase
    creation_class = DatabaseCreation
    features_class = DatabaseFeatures
    SchemaEditorClass = DatabaseSchemaEditor
    cursor_class = CoherentCursor
    debug_cursor_class = CoherentDebugCursor

    def __init__(self, settings_dict: dict[str, Any], alias: str) -> None:
        if is_psycopg3:
            raise ImproperlyConfigured(
                "Django uses psycopg 3 where it is installed, and Storm needs psycopg2: they "
                "can't share a connection; uninstall the package 'psycopg'"
            )
        super().__init__(settings_dict, alias)

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        connection.isolation_level = None
        return connection

    def switch_driver(self, autocommit: bool) -> None:
        # psycopg2 puts a level that is stated into BEGIN. In autocommit it would SET and reset the
        # server's default each time the mode changes, so there the level is left out.
        connection: Any = self.connection
        level = self.settings_dict["OPTIONS"].get("isolation_level")
        with self.wrap_database_errors:
            if level is not None and autocommit:
                connection.isolation_level = None
            connection.autocommit = autocommit
            if level is not None and not autocommit:
                connection.isolation_level = level

    def options_of_uri(self, options: dict[str, str]) -> dict[str, Any]:
        isolation = options.pop("isolation", STORMS_LEVEL)
        if isolation == SERVERS_LEVEL:
            return dict(options)
        if isolation not in LEVELS:
            raise ImproperlyConfigured(
                f"STORM_STORES[{self.store_settings.name!r}]: isolation is {isolation!r}; use one "
                f"of {', '.join([*LEVELS, SERVERS_LEVEL])}"
            )
        return {**options, "isolation_level": LEVELS[isolation]}
