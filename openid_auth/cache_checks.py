"""System checks of the settings about the store, the cache, throttling and the refresh."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string

CACHE_STORE = "openid_auth.cache_store.CacheStore"
REFRESH = "openid_auth.middleware.SessionRefreshMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
SECONDS = {"OPENID_REFRESH_SECONDS": 1, "OPENID_DISCOVERY_SECONDS": 0}


def _is_number(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def seconds() -> Iterator[CheckMessage]:
    for name, least in SECONDS.items():
        value = getattr(settings, name, least)
        if not _is_number(value, least):
            yield Error(
                f"{name} is {value!r}, not a number of seconds.",
                hint=f"Write a whole number, {least} or more.",
                id="openid_auth.E015",
            )


def _imported(value: object) -> tuple[Any, str]:
    """Return what a setting means, and why it means nothing."""
    try:
        return (import_string(value) if isinstance(value, str) else value), ""
    except ImportError as error:
        return None, str(error)


def store() -> Iterator[CheckMessage]:
    value = getattr(settings, "OPENID_STORE", None)
    if value is None:
        return
    found, problem = _imported(value)
    if not isinstance(found, type) or not hasattr(found, "useNonce"):
        yield Error(
            f"OPENID_STORE is {value!r}: {problem or 'it is not a class of a store'}.",
            hint=f'Write "openid_auth.store.DatabaseStore", "{CACHE_STORE}", or the path of a '
            "class of yours with the interface openid.store.interface.OpenIDStore.",
            id="openid_auth.E016",
        )


def cache() -> Iterator[CheckMessage]:
    alias = getattr(settings, "OPENID_CACHE", "default")
    if alias not in settings.CACHES:
        yield Error(
            f"OPENID_CACHE is {alias!r}, which CACHES does not have.",
            hint=f"Write one of {', '.join(sorted(settings.CACHES))}.",
            id="openid_auth.E017",
        )
    elif _keeps_nonces() and _is_cache(DummyCache, FileBasedCache):
        yield Error(
            f"OPENID_STORE keeps nonces in the cache {alias!r}, {_backend()}, which can let one "
            "in twice.",
            hint="Use a cache on Redis or Memcached, or openid_auth.store.DatabaseStore.",
            id="openid_auth.E018",
        )


def shared_cache() -> Iterator[CheckMessage]:
    """For ``check --deploy``: a developer has one process."""
    if not _keeps_nonces() or getattr(settings, "OPENID_CACHE", "default") not in settings.CACHES:
        return
    if _is_cache(LocMemCache):
        yield Error(
            f"OPENID_STORE keeps nonces in {_backend()}, of which each process has one of its own: "
            "an answer counts once for each process.",
            hint="Use a cache on Redis or Memcached, or openid_auth.store.DatabaseStore.",
            id="openid_auth.E019",
        )
    elif _is_cache(DatabaseCache):
        yield Warning(
            f"OPENID_STORE keeps nonces in {_backend()}, which forgets some before their time "
            "when it has MAX_ENTRIES.",
            hint="Use openid_auth.store.DatabaseStore, which is in the database too.",
            id="openid_auth.W008",
        )


def _keeps_nonces() -> bool:
    from openid_auth.cache_store import CacheStore

    found, _problem = _imported(getattr(settings, "OPENID_STORE", None))
    return isinstance(found, type) and issubclass(found, CacheStore)


def _backend() -> str:
    return str(settings.CACHES[getattr(settings, "OPENID_CACHE", "default")]["BACKEND"])


def _is_cache(*classes: type) -> bool:
    found, _problem = _imported(_backend())
    return isinstance(found, type) and issubclass(found, classes)


def throttle() -> Iterator[CheckMessage]:
    value = getattr(settings, "OPENID_THROTTLE", {})
    good = isinstance(value, Mapping) and all(
        kind in ("begun", "failed")
        and isinstance(limit, (list, tuple))
        and len(limit) == 2
        and all(_is_number(number, 1) for number in limit)
        for kind, limit in value.items()
    )
    if not good:
        yield Error(
            f"OPENID_THROTTLE is {value!r}.",
            hint='Write {"begun": (60, 60), "failed": (30, 300)}: so many, in so many seconds. '
            "What is left out is not counted.",
            id="openid_auth.E020",
        )


def client_address() -> Iterator[CheckMessage]:
    value = getattr(settings, "OPENID_CLIENT_ADDRESS", None)
    found, problem = _imported(value)
    if value is not None and not callable(found):
        yield Error(
            f"OPENID_CLIENT_ADDRESS is {value!r}: {problem or 'it cannot be called'}.",
            hint="Write a function, or the dotted path of one, that takes a request and returns "
            "the visitor's address.",
            id="openid_auth.E021",
        )


def refresh() -> Iterator[CheckMessage]:
    order = list(settings.MIDDLEWARE)
    if REFRESH not in order:
        return
    if AUTHENTICATION not in order or order.index(AUTHENTICATION) > order.index(REFRESH):
        yield Error(
            f"MIDDLEWARE has {REFRESH}, but not {AUTHENTICATION} above it.",
            hint=f"Put {REFRESH} below {AUTHENTICATION}.",
            id="openid_auth.E022",
        )


CHECKS: tuple[Callable[[], Iterator[CheckMessage]], ...] = (
    seconds,
    store,
    cache,
    throttle,
    client_address,
    refresh,
)
