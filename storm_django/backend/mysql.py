"""The engine for MySQL and MariaDB, on mysqlclient."""

from __future__ import annotations

from typing import Any

from django.db.backends.mysql import base, creation, features, schema
from storm.databases.mysql import MySQL, MySQLConnection

from storm_django.backend.creation import SchemaCreationMixin
from storm_django.backend.features import SharedFeatures
from storm_django.backend.shared import StoreWrapper
from storm_django.backend.storm_side import BorrowingConnection, BorrowingDatabase
from storm_django.conf import SERVERS_LEVEL
from storm_django.constraints import ReferenceSchemaEditor


class StoreConnection(BorrowingConnection, MySQLConnection):
    """Storm's connection."""


class StoreDatabase(BorrowingDatabase, MySQL):
    """Storm's database."""

    connection_factory = StoreConnection
    plain_class = MySQL


class DatabaseCreation(SchemaCreationMixin, creation.DatabaseCreation):
    """Makes and destroys test databases."""


class DatabaseFeatures(SharedFeatures, features.DatabaseFeatures):
    """What is otherwise than in the stock engine."""


class DatabaseSchemaEditor(ReferenceSchemaEditor, schema.DatabaseSchemaEditor):
    """Changes tables."""


class DatabaseWrapper(StoreWrapper, base.DatabaseWrapper):
    """Django's wrapper."""

    store_database_class = StoreDatabase
    creation_class = DatabaseCreation
    features_class = DatabaseFeatures
    SchemaEditorClass = DatabaseSchemaEditor

    def options_of_uri(self, options: dict[str, str]) -> dict[str, Any]:
        # Storm leaves the isolation to the server (repeatable read unless it is configured).
        isolation = options.pop("isolation", SERVERS_LEVEL)
        if isolation == SERVERS_LEVEL:
            return {**options, "isolation_level": None}
        return {**options, "isolation_level": isolation.replace("-", " ")}
