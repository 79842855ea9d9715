"""Has Storm's own tests run on connections that Django uses too.

``share(modules)`` replaces, in the test modules, the names that make databases and stores:

* ``create_database``, ``SQLite``, ``Postgres`` and ``MySQL`` make our ``StoreDatabase``. Each gets
  an alias of its own in Django's ``connections``, whose ``NAME`` is the test's URI.
* ``Store(database)`` makes the first store of a database through ZStorm, as ``get_store()`` does,
  so it shares the connection of the alias. Further ones are plain, since ZStorm has one for each
  name.
* In the modules that test a ``Connection`` without a store (``CONNECTS``), ``database.connect()``
  likewise gives, at first, the connection of such a store.
* ``ZStorm()`` is the global one, and named stores get an alias of their name.

Django executes a statement on the shared connection when it has been made and after each commit. A
store that is closed is removed from ZStorm, which keeps those with a name alive.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import storm.database
import transaction
from django.conf import settings
from django.db import connections
from storm.store import Store
from storm.uri import URI
from storm.zope.zstorm import ZStorm, global_zstorm

from storm_django.backend.data_manager import StoreDataManager
from storm_django.conf import ENGINE, SCHEMES
from storm_django.stores import SharedZStorm, existing_store

CONNECTS = ("storm.tests.databases.", "storm.tests.tracer")
CLASSES = {"sqlite": "SQLite", "postgresql": "Postgres", "mysql": "MySQL"}
_numbers = itertools.count()
_aliases: set[str] = set()


def add_alias(alias: str, uri: URI) -> None:
    """Put an alias into Django's settings, as if it stood in ``DATABASES``."""
    settings.DATABASES[alias] = {"ENGINE": ENGINE, "NAME": str(uri)}
    connections.configure_settings(settings.DATABASES)
    _aliases.add(alias)


def forget_aliases() -> None:
    """Leave nothing of a test behind."""
    transaction.abort()
    for name, store in list(global_zstorm.iterstores()):
        if name in _aliases:
            global_zstorm.remove(store)
            store.close()
    while _aliases:
        alias = _aliases.pop()
        global_zstorm._default_databases.pop(alias, None)
        connections[alias].close()
        del connections[alias]
        del settings.DATABASES[alias]


class Sharing:
    """A database of ours that registers its alias and makes its store by itself."""

    connects: bool  # whether connect() gives the connection of the store
    alias: str

    def __init__(self, uri: URI, alias: str | None = None) -> None:
        self.alias = alias or f"suite{next(_numbers)}"
        super().__init__(uri, self.alias)  # type: ignore[call-arg]
        self.raw_uri = uri.copy()

    def make_store(self) -> Store | None:
        """The store that shares the alias's connection; None if there has been one already."""
        if self.alias in _aliases and existing_store(self.alias) is not None:
            return None
        add_alias(self.alias, self.raw_uri)
        global_zstorm.__class__ = SuiteZStorm
        global_zstorm._default_databases[self.alias] = self
        store = global_zstorm.create(self.alias)
        attend(store)
        return store

    def connect(self, event: Any = None) -> Any:
        """The connection of the store, or a plain one."""
        if self.connects and event is None and (store := self.make_store()) is not None:
            return store._connection
        if self.alias not in _aliases:
            add_alias(self.alias, self.raw_uri)
        return super().connect(event)  # type: ignore[misc]


def attend(store: Store) -> None:
    """Have Django execute a statement now, and after each commit."""
    connection = store._connection
    wrapper = connections[store.get_database().alias]
    commit, close = connection.commit, connection.close

    def select() -> None:
        with wrapper.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchone() == (1,)

    def commit_and_select(xid: Any = None) -> None:
        commit(*([] if xid is None else [xid]))
        if not connection._no_control:
            select()

    def close_and_remove() -> None:
        close()
        for _, store in global_zstorm.iterstores():
            if store._connection is connection:
                global_zstorm.remove(store)

    select()
    assert connection._raw_connection._connection is wrapper.connection
    connection.commit = commit_and_select
    connection.close = close_and_remove


def sharing_class(vendor: str, connects: bool) -> Any:
    """Our database of a vendor, registering itself."""
    module = __import__(f"storm_django.backend.{vendor}", None, None, [""])
    return type(CLASSES[vendor], (Sharing, module.StoreDatabase), {"connects": connects})


class SharedType(type):
    """A class whose call makes something else, and which recognizes that as its instance."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.__base__)


class SharedStoreType(SharedType):
    def __call__(cls, database: Any, cache: Any = None) -> Store:
        store = database.make_store() if isinstance(database, Sharing) else None
        if store is None:
            return Store(database, cache)
        if cache is not None:
            store._cache = cache
        return store


class SharedStore(Store, metaclass=SharedStoreType):
    """What ``Store`` means in the test modules."""


class SuiteZStorm(SharedZStorm):
    """Each named store is that of an alias of its name, as if it stood in ``STORM_STORES``."""

    def set_default_uri(self, name: str, default_uri: str) -> None:
        super().set_default_uri(name, default_uri)
        self._share(name, default_uri)

    def create(self, name: str | None, uri: Any = None) -> Store:
        if name is None or uri is None or self._named.get(name) is not None:
            return super().create(name, uri)
        self._share(name, uri)
        try:
            return super().create(name)
        finally:
            del self._default_databases[name]

    def _share(self, name: str, uri: str) -> None:
        parsed = URI(uri)
        database = sharing_class(SCHEMES[parsed.scheme], False)(parsed, name)
        add_alias(name, parsed)
        self._default_databases[name] = database


class SharedZStormType(SharedType):
    def __call__(cls) -> ZStorm:
        global_zstorm.__class__ = SuiteZStorm
        return global_zstorm


class TheZStorm(ZStorm, metaclass=SharedZStormType):
    """What ``ZStorm`` means in the test modules."""


def is_in_transaction(test: Any, store: Store) -> bool:
    """What ``ZStormTest._isInTransaction`` asks of Storm's own data manager."""
    return any(
        isinstance(resource, StoreDataManager) and resource.connection.store is store
        for resource in transaction.get()._resources
    )


def share(modules: Iterable[ModuleType]) -> None:
    """Replace the names in the modules."""
    for module in modules:
        connects = module.__name__.startswith(CONNECTS)
        classes: dict[str, Any] = {}
        for scheme, vendor in SCHEMES.items():
            with contextlib.suppress(ImportError):
                classes[scheme] = sharing_class(vendor, connects)

        def create_database(uri: Any, classes: dict[str, Any] = classes) -> Any:
            parsed = URI(uri) if isinstance(uri, str) else uri
            if parsed.scheme not in classes:  # a test's own
                return storm.database.create_database(uri)
            return classes[parsed.scheme](parsed)

        replacements: dict[str, Any] = {
            "create_database": create_database,
            "Store": SharedStore,
            "ZStorm": TheZStorm,
            **{made.__name__: made for made in classes.values()},
        }
        for name, replacement in replacements.items():
            if hasattr(module, name):
                setattr(module, name, replacement)
        for case in vars(module).values():
            if hasattr(case, "_isInTransaction"):
                case._isInTransaction = is_in_transaction
