"""Where Django looks for the engine: the vendor follows from the store's URI."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS
from django.db.backends.base.base import BaseDatabaseWrapper

from storm_django.conf import conf


def DatabaseWrapper(
    settings_dict: dict[str, Any], alias: str = DEFAULT_DB_ALIAS
) -> BaseDatabaseWrapper:
    """The wrapper of the vendor that the store behind ``settings_dict["NAME"]`` names.

    Raises ``ImproperlyConfigured`` if there is no such store or its driver is missing.
    """
    store = conf.store_of_alias(alias, settings_dict)
    try:
        module = import_module(f"storm_django.backend.{store.vendor}")
    except ImportError as error:
        raise ImproperlyConfigured(
            f"the store {store.name!r} needs the driver of {store.vendor}, which can't be "
            f"imported: {error}; pip install 'storm-django[{store.vendor}]'"
        ) from error
    wrapper: BaseDatabaseWrapper = module.DatabaseWrapper(settings_dict, alias)
    return wrapper
