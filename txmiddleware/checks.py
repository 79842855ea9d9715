"""System checks: settings that can't work, found before the first request."""

from __future__ import annotations

import math
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.db import connections
from django.utils.module_loading import import_string

from txmiddleware.conf import COMMIT_BEFORE, HOLD, conf

MIDDLEWARE = "txmiddleware.middleware.TransactionMiddleware"


@register()
def check_middleware(**kwargs: Any) -> list[CheckMessage]:
    """The middleware's place in ``MIDDLEWARE``."""
    middleware = list(settings.MIDDLEWARE)
    count = middleware.count(MIDDLEWARE)
    if count > 1:
        return [
            Error(
                f"MIDDLEWARE names {MIDDLEWARE} {count} times.",
                hint="Name it once, as the first entry.",
                id="txmiddleware.E001",
            )
        ]
    if count and middleware[0] != MIDDLEWARE:
        outside = ", ".join(middleware[: middleware.index(MIDDLEWARE)])
        return [
            Warning(
                f"{MIDDLEWARE} is not the first entry of MIDDLEWARE. What {outside} does is not "
                f"part of the request's transaction, and its failure does not undo the request.",
                hint="Move it to the top, or silence this check if that is what you want.",
                id="txmiddleware.W001",
            )
        ]
    return []


@register()
def check_atomic_requests(**kwargs: Any) -> list[CheckMessage]:
    """``ATOMIC_REQUESTS`` adds a savepoint to each request that is one transaction already."""
    if MIDDLEWARE not in settings.MIDDLEWARE:
        return []
    return [
        Warning(
            f"DATABASES[{alias!r}] has ATOMIC_REQUESTS beside {MIDDLEWARE}: each view costs a "
            f"savepoint more and gains nothing.",
            hint="Remove ATOMIC_REQUESTS.",
            id="txmiddleware.W002",
        )
        for alias in connections
        if connections.settings[alias].get("ATOMIC_REQUESTS")
    ]


def _is_list_of_names(found: Any) -> bool:
    is_list = isinstance(found, list | tuple | set | frozenset)
    return is_list and all(isinstance(name, str) for name in found)


def _databases() -> list[str]:
    """The aliases that join, if ``TX_DATABASES`` is not itself what is wrong."""
    found = getattr(settings, "TX_DATABASES", None)
    return conf.databases if found is None or _is_list_of_names(found) else []


@register()
def check_databases(**kwargs: Any) -> list[CheckMessage]:
    """``TX_DATABASES`` names aliases that exist."""
    aliases = getattr(settings, "TX_DATABASES", None)
    if aliases is None:
        return []
    if not _is_list_of_names(aliases):
        return [
            Error(
                f"TX_DATABASES is {aliases!r}, not a list of database aliases.",
                hint='Write TX_DATABASES = ["default"], or remove it for all databases.',
                id="txmiddleware.E002",
            )
        ]
    return [
        Error(
            f"TX_DATABASES names {alias!r}, which is not in DATABASES.",
            hint=f"Use some of: {', '.join(connections)}.",
            id="txmiddleware.E003",
        )
        for alias in aliases
        if alias not in connections.settings
    ]


@register()
def check_autocommit(**kwargs: Any) -> list[CheckMessage]:
    """With ``AUTOCOMMIT`` off Django commits no block, and so nothing of a scope."""
    return [
        Error(
            f"DATABASES[{alias!r}] has AUTOCOMMIT off, so that no scope can commit there.",
            hint="Remove AUTOCOMMIT, or name in TX_DATABASES the other databases only.",
            id="txmiddleware.E010",
        )
        for alias in _databases()
        if not connections.settings.get(alias, {}).get("AUTOCOMMIT", True)
    ]


@register()
def check_commit_veto(**kwargs: Any) -> list[CheckMessage]:
    """``TX_COMMIT_VETO`` is a callable or the dotted path of one."""
    found = getattr(settings, "TX_COMMIT_VETO", None)
    if found is None:
        return []
    try:
        veto = import_string(found) if isinstance(found, str) else conf.commit_veto
    except ImportError:
        veto = None
    if callable(veto):
        return []
    return [
        Error(
            f"TX_COMMIT_VETO is {found!r}, which is not a function that can be imported.",
            hint="Name a function of request and response that returns true to abort.",
            id="txmiddleware.E004",
        )
    ]


@register()
def check_attempts(**kwargs: Any) -> list[CheckMessage]:
    """``TX_ATTEMPTS`` is a number from 1."""
    found = getattr(settings, "TX_ATTEMPTS", 3)
    if isinstance(found, int) and not isinstance(found, bool) and found >= 1:
        return []
    return [
        Error(
            f"TX_ATTEMPTS is {found!r}, not a whole number from 1.",
            hint="Write TX_ATTEMPTS = 3, or 1 to handle each request once.",
            id="txmiddleware.E006",
        )
    ]


@register()
def check_timeout(**kwargs: Any) -> list[CheckMessage]:
    """``TX_TIMEOUT`` is a number of seconds."""
    found = getattr(settings, "TX_TIMEOUT", None)
    if found is None:
        return []
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    if is_number and 0.001 <= found < math.inf:
        return []
    return [
        Error(
            f"TX_TIMEOUT is {found!r}, not a number of seconds from 0.001.",
            hint="Write TX_TIMEOUT = 30, or remove it for requests without a limit.",
            id="txmiddleware.E007",
        )
    ]


@register()
def check_strict_commit(**kwargs: Any) -> list[CheckMessage]:
    """Several databases that commit in one phase can't commit as one."""
    found = getattr(settings, "STORM_STRICT_COMMIT", False)
    if not isinstance(found, bool):
        return [
            Error(
                f"STORM_STRICT_COMMIT is {found!r}, not True or False.",
                hint="Write STORM_STRICT_COMMIT = True to refuse a commit that could be split.",
                id="txmiddleware.E009",
            )
        ]
    if found or MIDDLEWARE not in settings.MIDDLEWARE:
        return []
    aliases = [
        repr(alias)
        for alias in _databases()
        if alias in connections.settings and not _commits_in_two_phases(alias)
    ]
    if len(aliases) < 2:
        return []
    return [
        Warning(
            f"The databases {', '.join(aliases)} commit one after the other. If one fails when it "
            f"commits, those before it keep what a request did to them.",
            hint="Set STORM_STRICT_COMMIT = True to refuse requests that use more than one, name "
            "in TX_DATABASES those that belong into the transaction, have all but one commit in "
            "two phases, or silence this check.",
            id="txmiddleware.W003",
        )
    ]


def _commits_in_two_phases(alias: str) -> bool:
    manager: Any = getattr(connections[alias], "data_manager_class", None)
    return manager is not None and manager.is_two_phase


@register()
def check_streaming(**kwargs: Any) -> list[CheckMessage]:
    """``TX_STREAMING`` is one of the two words."""
    found = getattr(settings, "TX_STREAMING", COMMIT_BEFORE)
    if found in (COMMIT_BEFORE, HOLD):
        return []
    return [
        Error(
            f"TX_STREAMING is {found!r}, not {COMMIT_BEFORE!r} or {HOLD!r}.",
            hint=f"Write {COMMIT_BEFORE!r} to commit before the body of a streaming response is "
            f"sent, or {HOLD!r} to keep the transaction until it is.",
            id="txmiddleware.E008",
        )
    ]


@register()
def check_commit_safe_methods(**kwargs: Any) -> list[CheckMessage]:
    """``TX_COMMIT_SAFE_METHODS`` is a boolean."""
    return [
        Error(
            f"{name} is {getattr(settings, name)!r}, not True or False.",
            hint=f"Write {name} = True, or False to abort after each GET.",
            id="txmiddleware.E005",
        )
        for name in ("TX_COMMIT_SAFE_METHODS", "STORM_COMMIT_SAFE_METHODS")
        if not isinstance(getattr(settings, name, True), bool)
    ]
