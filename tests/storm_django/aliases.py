"""Aliases that a test adds to those of the settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import transaction
from django.conf import settings
from django.db import connections
from storm.zope.zstorm import global_zstorm

from storm_django.conf import ENGINE
from txmiddleware.conf import conf


@contextmanager
def extra_alias(alias: str, uri: str, **options: Any) -> Iterator[None]:
    """Inside, the alias is a database of ``DATABASES``, on a store of its own of that name."""
    database = {"ENGINE": ENGINE, "NAME": uri, **options}
    found = connections.configure_settings({"default": {}, alias: database})
    settings.DATABASES[alias] = found[alias]
    conf.forget()  # it keeps the list of all
    try:
        yield
    finally:
        transaction.abort()
        forget_store(alias)
        connections[alias].close()
        del connections[alias]
        del settings.DATABASES[alias]
        conf.forget()


def forget_store(name: str) -> None:
    """Have ZStorm not know the store any more."""
    store = global_zstorm._named.get(name)
    if store is not None:
        global_zstorm.remove(store)
        store.close()
    global_zstorm._default_databases.pop(name, None)
    global_zstorm._default_uris.pop(name, None)
