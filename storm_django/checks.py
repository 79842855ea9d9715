"""System checks: stores that can't work, found before the first connection."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from storm_django.conf import ENGINE, OPTIONS, SCHEMES, StoreSettings, conf
from storm_django.reference_checks import check_references
from storm_django.schemas import load_schema

DRIVERS = {"postgresql": ("psycopg2", "psycopg2-binary"), "mysql": ("MySQLdb", "mysqlclient")}
"""The module and the PyPI package of each driver that does not come with Python."""

LEVELS_OF_NONE = {
    "postgresql": ("Storm's, repeatable read", "the server's, read committed by default"),
    "mysql": ("the server's, repeatable read by default", "read committed"),
}
"""By vendor, the level where a URI states none, and the one that Django's own engine has there."""


def _used_stores() -> list[StoreSettings]:
    """The stores of the settings, also those that an alias carries, as far as they are readable."""
    try:
        stores = dict(conf.stores)
    except ImproperlyConfigured:
        return []
    for alias, database in settings.DATABASES.items():
        if database.get("ENGINE") == ENGINE:
            try:
                store = conf.store_of_alias(alias, database)
            except ImproperlyConfigured:
                continue
            stores.setdefault(store.name, store)
    return list(stores.values())


@register()
def check_stores(**kwargs: Any) -> list[CheckMessage]:
    """The form of ``STORM_STORES``."""
    try:
        conf.stores  # noqa: B018
    except ImproperlyConfigured as error:
        return [
            Error(
                str(error),
                hint=f"An entry is a URI, or a dict with the keys {', '.join(sorted(OPTIONS))}.",
                id="storm_django.E001",
            )
        ]
    return []


@register()
def check_uris(**kwargs: Any) -> list[CheckMessage]:
    """The URI of each store."""
    messages: list[CheckMessage] = []
    for store in _used_stores():
        try:
            store.parsed()
        except ImproperlyConfigured as error:
            messages.append(
                Error(
                    str(error),
                    hint=f"A URI begins with one of: {', '.join(SCHEMES)}.",
                    id="storm_django.E002",
                )
            )
    return messages


@register()
def check_aliases(**kwargs: Any) -> list[CheckMessage]:
    """Each alias with our engine names a store of its own."""
    try:
        if _stores_are_readable():
            conf.aliases()
    except ImproperlyConfigured as error:
        return [
            Error(
                str(error),
                hint="NAME is a key of STORM_STORES that no other alias names, or a URI.",
                id="storm_django.E003",
            )
        ]
    return []


def _stores_are_readable() -> bool:
    return not check_stores()


@register()
def check_drivers(**kwargs: Any) -> list[CheckMessage]:
    """The driver of each store is installed, and is the one that both ORMs use."""
    messages: list[CheckMessage] = []
    vendors = set()
    for store in _used_stores():
        try:
            vendors.add(store.vendor)
        except ImproperlyConfigured:
            continue  # check_uris tells
    for vendor in sorted(vendors & set(DRIVERS)):
        module, package = DRIVERS[vendor]
        if find_spec(module) is None:
            messages.append(
                Error(
                    f"A store is on {vendor}, whose driver {module} is not installed.",
                    hint=f"pip install {package}",
                    id="storm_django.E004",
                )
            )
    if "postgresql" in vendors and find_spec("psycopg") is not None:
        messages.append(
            Error(
                "psycopg 3 is installed. Django uses it instead of psycopg2, and Storm can't: "
                "they would not share a connection.",
                hint="pip uninstall psycopg",
                id="storm_django.E005",
            )
        )
    return messages


def _option_states_level(vendor: str, options: Any) -> bool:
    """Whether the alias has another level than that where none is stated.

    The wrapper of the connection puts that one into the options too.
    """
    level = options.get("isolation_level")
    if level is None or vendor != "postgresql":
        return level is not None
    from storm_django.isolation import LEVELS, STORMS_LEVEL  # which imports the driver

    return bool(level != LEVELS[STORMS_LEVEL])


@register()
def check_isolation(**kwargs: Any) -> list[CheckMessage]:
    """The URI of each store that Django uses states an isolation level, if Django's is another."""
    messages: list[CheckMessage] = []
    for alias, database in settings.DATABASES.items():
        try:
            if database.get("ENGINE") != ENGINE:
                continue
            store = conf.store_of_alias(alias, database)
            is_stated = "isolation" in store.parsed().options or _option_states_level(
                store.vendor, database.get("OPTIONS", {})
            )
        except (ImproperlyConfigured, ImportError):
            continue  # other checks tell
        if is_stated or store.vendor not in LEVELS_OF_NONE:
            continue
        ours, djangos = LEVELS_OF_NONE[store.vendor]
        messages.append(
            Warning(
                f"STORM_STORES[{store.name!r}] states no isolation level, and so has {ours}, where "
                f"Django's engine has {djangos}: a transaction does not see what others have "
                f"committed since its first statement, and get_or_create() of a row that one of "
                f"them has made raises an error instead of getting it.",
                hint="Add ?isolation=read-committed to the URI, or ?isolation=repeatable-read if "
                "you want it: TransactionMiddleware and attempts() handle such a request again.",
                id="storm_django.W024",
            )
        )
    return messages


@register()
def check_schemas(**kwargs: Any) -> list[CheckMessage]:
    """``SCHEMA`` of each store can be imported."""
    messages: list[CheckMessage] = []
    for store in _used_stores():
        if store.schema is None:
            continue
        try:
            load_schema(store)
        except ImproperlyConfigured as error:
            messages.append(
                Error(
                    str(error),
                    hint="SCHEMA is the dotted path of a storm.schema.Schema, or of a function of "
                    "a store that returns one.",
                    id="storm_django.E006",
                )
            )
    return messages


@register()
def check_two_phase(**kwargs: Any) -> list[CheckMessage]:
    """Each store with ``TWO_PHASE`` has an alias."""
    try:
        names = set(conf.stores) - set(conf.aliases())
    except ImproperlyConfigured:
        return []
    return [
        Error(
            f"STORM_STORES[{name!r}] has TWO_PHASE and no alias in DATABASES, so that nobody could "
            f"tell how what a crash leaves prepared there has ended.",
            hint="Give it an alias, and run migrate there.",
            id="storm_django.E022",
        )
        for name in sorted(names)
        if conf.stores[name].two_phase
    ]


@register(Tags.database)
def check_prepared_transactions(
    databases: Iterable[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """The server of each store with ``TWO_PHASE`` can prepare transactions."""
    messages: list[CheckMessage] = []
    for alias in databases or []:
        settings_of_store = getattr(connections[alias], "store_settings", None)
        if settings_of_store is None or not settings_of_store.two_phase:
            continue
        with connections[alias].cursor() as cursor:
            cursor.execute("SHOW max_prepared_transactions")
            (number,) = cursor.fetchone()
        if number == "0":
            messages.append(
                Error(
                    f"STORM_STORES[{settings_of_store.name!r}] has TWO_PHASE, and its server can't "
                    f"prepare transactions.",
                    hint="Set max_prepared_transactions there to the number of its sessions.",
                    id="storm_django.E023",
                )
            )
    return messages


register(check_references)
