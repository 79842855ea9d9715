"""The ``storm.schema.Schema`` of a store, from settings."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from storm.schema import Schema
from storm.store import Store

from storm_django.conf import StoreSettings
from storm_django.stores import get_store


def load_schema(settings: StoreSettings) -> Any:
    """What ``SCHEMA`` names: a schema, or a function that makes one for a store.

    Raises ``ImproperlyConfigured`` if it names neither.
    """
    path = settings.schema
    if path is None:
        raise ImproperlyConfigured(
            f"STORM_STORES[{settings.name!r}] has no SCHEMA; add the dotted path of a "
            f"storm.schema.Schema"
        )
    try:
        found = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(
            f"STORM_STORES[{settings.name!r}]['SCHEMA'] is {path!r}, which can't be imported: "
            f"{error}"
        ) from error
    if not isinstance(found, Schema) and not callable(found):
        raise ImproperlyConfigured(
            f"STORM_STORES[{settings.name!r}]['SCHEMA'] is {path!r}, which is neither a "
            f"storm.schema.Schema nor a function that returns one"
        )
    return found


def get_schema(settings: StoreSettings, store: Store) -> Schema:
    """The schema of a store. Raises ``ImproperlyConfigured`` as :func:`load_schema` does."""
    found = load_schema(settings)
    return found if isinstance(found, Schema) else found(store)


def upgrade_schema(settings: StoreSettings) -> None:
    """Create the tables of a store, or apply the patches that it lacks, and commit."""
    store = get_store(settings.name)
    try:
        get_schema(settings, store).upgrade(store)
        store.commit()
    except BaseException:
        store.rollback()
        raise
