"""The alias of ``DATABASES`` of a store, and the store of an alias."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from storm.store import Store

from storm_django.backend.storm_side import BorrowingDatabase
from storm_django.conf import ENGINE
from storm_django.stores import existing_store, get_store


def store_of_alias(alias: str) -> Store:
    """This thread's store that shares the connection of an alias.

    Raises ``ImproperlyConfigured`` if the alias has another engine.
    """
    wrapper: Any = connections[alias]
    settings = getattr(wrapper, "store_settings", None)
    if settings is None:
        raise ImproperlyConfigured(
            f"DATABASES[{alias!r}] has no store, so no Storm object is read or written there; its "
            f"ENGINE has to be {ENGINE!r}"
        )
    return get_store(settings.name)


def alias_of_store(store: Store) -> str | None:
    """The alias whose connection this thread's store shares. None for any other store."""
    database = store.get_database()
    if not isinstance(database, BorrowingDatabase):
        return None
    wrapper: Any = connections[database.alias]
    alias: str = database.alias
    return alias if existing_store(wrapper.store_settings.name) is store else None
