"""Test databases have Storm's tables as well as Django's."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.creation import BaseDatabaseCreation

from storm_django.schemas import upgrade_schema


class SchemaCreationMixin(BaseDatabaseCreation):
    """Applies the store's ``SCHEMA`` to a test database, after ``migrate``."""

    def create_test_db(self, *args: Any, **kwargs: Any) -> str:
        name = super().create_test_db(*args, **kwargs)
        wrapper: Any = self.connection
        store = wrapper.store_settings
        if store.schema is not None:
            upgrade_schema(store)
        return name
