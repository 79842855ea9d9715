"""The settings of txmiddleware, read at each access so that ``override_settings`` works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import connections
from django.http import HttpRequest, HttpResponseBase
from django.utils.module_loading import import_string

Veto = Callable[[HttpRequest, HttpResponseBase], bool]


class Conf:
    """One property for each setting."""

    @property
    def databases(self) -> list[str]:
        """``TX_DATABASES``: the aliases that join a scope. Default: all of ``DATABASES``."""
        aliases = getattr(settings, "TX_DATABASES", None)
        return list(connections) if aliases is None else list(aliases)

    @property
    def attempts(self) -> int:
        """``TX_ATTEMPTS``: how often a request is handled at most. Default: 3."""
        return int(getattr(settings, "TX_ATTEMPTS", 3))

    @property
    def commit_safe_methods(self) -> bool:
        """``TX_COMMIT_SAFE_METHODS``: whether GET, HEAD, OPTIONS and TRACE commit. Default: True.

        ``STORM_COMMIT_SAFE_METHODS`` is read where it is not set.
        """
        fallback = getattr(settings, "STORM_COMMIT_SAFE_METHODS", True)
        return bool(getattr(settings, "TX_COMMIT_SAFE_METHODS", fallback))

    @property
    def commit_veto(self) -> Veto | None:
        """``TX_COMMIT_VETO``: a callable, or its dotted path, of request and response.

        It returns true to abort. Default: None.
        """
        veto: Any = getattr(settings, "TX_COMMIT_VETO", None)
        if isinstance(veto, str):
            veto = import_string(veto)
        return veto  # type: ignore[no-any-return]


conf = Conf()
