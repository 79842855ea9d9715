"""Stores by name: those of ``storm.zope.zstorm.global_zstorm``, one for each thread."""

from __future__ import annotations

import threading
import weakref
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections
from storm.database import Database, _database_schemes, register_scheme
from storm.store import Store
from storm.uri import URI
from storm.zope.interfaces import ZStormError
from storm.zope.zstorm import ZStorm, global_zstorm, register_store_with_transaction

from storm_django.backend.forks import forget_plain_store
from storm_django.backend.store import CoherentStore
from storm_django.backend.storm_side import BorrowingConnection, BorrowingDatabase
from storm_django.conf import ENGINE, conf
from storm_django.signals import SignallingStore
from txmiddleware.forks import watch_fork


def _postgres(uri: URI) -> Database:
    try:
        from storm_django.isolation import LevelledPostgres
    except ImportError:  # there is no driver, and Storm says so
        from storm.databases.postgres import Postgres

        return Postgres(uri)
    return LevelledPostgres(uri)


# Whoever is given the URI of a store can use it, also where Storm alone would not understand it.
if "postgres" not in _database_schemes:  # else the application has a class of its own
    register_scheme("postgres", _postgres)


class SharedZStorm(ZStorm):
    """The global ZStorm, whose stores join the transaction together with Django's connection."""

    def create(self, name: str | None, uri: Any = None) -> Store:
        database = self._default_databases.get(name) if uri is None else None
        if not isinstance(database, BorrowingDatabase):
            store = super().create(name, uri)
            store.__class__ = SignallingStore
            watch_fork(store, forget_plain_store)
            return store
        with database.lending():
            store = super().create(name)
        store.__class__ = CoherentStore
        # ZStorm's own data manager knows no savepoints and nothing of Django.
        store._event.unhook(
            "register-transaction", register_store_with_transaction, weakref.ref(self)
        )
        watch_store(store, database.alias)
        return store

    def remove(self, store: Store) -> None:
        super().remove(store)
        if isinstance(store._connection, BorrowingConnection):
            store._connection.leave(store)


def watch_store(store: Store, alias: str) -> None:
    """Have Django's connection join the transaction as soon as Storm uses the store."""
    store._event.hook("register-transaction", _store_is_used, alias)


def _store_is_used(store: Store, alias: str) -> bool | None:
    if not store._register_for_txn:  # ZStorm.remove() lets it go
        return False
    if global_zstorm.get_name(store) is None:
        raise ZStormError(
            "the store belongs to another thread; call get_store() in the thread that uses it"
        )
    joined: bool = store._connection.join()
    # Unhooked until the transaction has ended.
    return False if joined else None


_lock = threading.Lock()
_configured: set[str] = set()


def _is_configured(name: str) -> bool:
    # ZStorm forgets its stores where Storm's test support has it reset.
    return name in _configured and name in global_zstorm._default_databases


def _configure(name: str) -> None:
    """Tell ZStorm of a store, once in a process."""
    with _lock:
        if _is_configured(name):
            return
        stores = conf.stores
        alias = conf.aliases().get(name)
        if alias is not None:
            # Making the wrapper fills in settings.DATABASES[alias].
            wrapper: Any = connections[alias]
            database = wrapper.make_store_database()
            uri = str(database.get_uri())
        elif name in stores:
            uri = stores[name].uri
            database = None
            if stores[name].two_phase:
                global_zstorm.set_default_tpc(name, True)
        else:
            raise ImproperlyConfigured(
                f"there is no store {name!r}; STORM_STORES has {', '.join(stores) or 'none'}"
            )
        global_zstorm.__class__ = SharedZStorm
        global_zstorm.set_default_uri(name, uri)
        if database is not None:
            # The one that opens its connection through Django's wrapper.
            global_zstorm._default_databases[name] = database
        _configured.add(name)


def _default_name() -> str:
    database = connections.settings[DEFAULT_DB_ALIAS]
    if database["ENGINE"] != ENGINE:
        raise ImproperlyConfigured(
            f"get_store() without a name is the store of DATABASES['default'], whose ENGINE is "
            f"{database['ENGINE']!r}, not {ENGINE!r}; name the store"
        )
    if "STORE" in database:  # the wrapper has been made: each get_store() comes here
        name: str = database["STORE"]["name"]
        return name
    return conf.store_of_alias(DEFAULT_DB_ALIAS, database).name


def get_store(name: str | None = None) -> Store:
    """This thread's store called ``name``, made and connected at the first call.

    Without a name it is the store behind the ``default`` alias. The store joins the thread's
    transaction when it is used; never call its ``commit()`` in code that did not begin the
    transaction. Raises ``ImproperlyConfigured`` for an unknown name, and Storm's
    ``DatabaseError`` if the server can't be reached.
    """
    if name is None:
        name = _default_name()
    if not _is_configured(name):
        _configure(name)
    return global_zstorm.get(name)


def existing_store(name: str) -> Store | None:
    """This thread's store called ``name`` if it has been made."""
    # ZStorm's own property, without the call: each statement of Django asks.
    try:
        named: dict[str, Store] = global_zstorm._local.named
    except AttributeError:  # in a thread that has not asked yet
        named = global_zstorm._named
    return named.get(name)


def get_store_uri(name: str | None = None) -> str:
    """The URI of the store called ``name`` (default: that behind the ``default`` alias).

    While tests run it names the test database. It holds the password if the settings do. Raises
    ``ImproperlyConfigured`` for an unknown name.
    """
    if name is None:
        name = _default_name()
    alias = conf.aliases().get(name)
    if alias is not None:
        wrapper: Any = connections[alias]
        return str(wrapper.store_uri())
    stores = conf.stores
    if name not in stores:
        raise ImproperlyConfigured(
            f"there is no store {name!r}; STORM_STORES has {', '.join(stores) or 'none'}"
        )
    return stores[name].uri
