"""The settings of txmiddleware, read once, and again when ``override_settings`` changes one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.db import connections
from django.http import HttpRequest, HttpResponseBase
from django.utils.module_loading import import_string

COMMIT_BEFORE, HOLD = "commit-before", "hold"

Veto = Callable[[HttpRequest, HttpResponseBase], bool]


class Conf:
    """One property for each setting."""

    def forget(self, **kwargs: Any) -> None:
        """Read the settings again at their next use."""
        self.__dict__.clear()

    @cached_property
    def databases(self) -> list[str]:
        """``TX_DATABASES``: the aliases that join a scope. Default: all of ``DATABASES``."""
        aliases = getattr(settings, "TX_DATABASES", None)
        return list(connections) if aliases is None else list(aliases)

    @cached_property
    def attempts(self) -> int:
        """``TX_ATTEMPTS``: how often a request is handled at most. Default: 3."""
        return int(getattr(settings, "TX_ATTEMPTS", 3))

    @cached_property
    def timeout(self) -> float | None:
        """``TX_TIMEOUT``: how long the statements of a request may take, in seconds.

        Default: None, as long as they like.
        """
        seconds = getattr(settings, "TX_TIMEOUT", None)
        return None if seconds is None else float(seconds)

    @cached_property
    def commit_safe_methods(self) -> bool:
        """``TX_COMMIT_SAFE_METHODS``: whether GET, HEAD, OPTIONS and TRACE commit. Default: True.

        ``STORM_COMMIT_SAFE_METHODS`` is read where it is not set.
        """
        fallback = getattr(settings, "STORM_COMMIT_SAFE_METHODS", True)
        return bool(getattr(settings, "TX_COMMIT_SAFE_METHODS", fallback))

    @cached_property
    def strict_commit(self) -> bool:
        """``STORM_STRICT_COMMIT``: whether two one-phase resources are refused. Default: False."""
        return bool(getattr(settings, "STORM_STRICT_COMMIT", False))

    @cached_property
    def holds_streams(self) -> bool:
        """``TX_STREAMING``: whether it is ``"hold"``. Default: ``"commit-before"``."""
        return bool(getattr(settings, "TX_STREAMING", COMMIT_BEFORE) == HOLD)

    @cached_property
    def commit_veto(self) -> Veto | None:
        """``TX_COMMIT_VETO``: a callable, or its dotted path, of request and response.

        It returns true to abort. Default: None.
        """
        veto: Any = getattr(settings, "TX_COMMIT_VETO", None)
        if isinstance(veto, str):
            veto = import_string(veto)
        return veto  # type: ignore[no-any-return]


conf = Conf()
# A setting that is not there costs six calls to find out, and a request asks for seven.
setting_changed.connect(conf.forget, dispatch_uid="txmiddleware.conf")
