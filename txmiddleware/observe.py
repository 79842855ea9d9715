"""Noting each exception that Django, or a middleware, turns into a response.

Django tells a middleware of an exception only if it stands in the right place: its
``process_exception`` is not called where one nearer to the view has answered, and for an
exception of another middleware there is none. All of them pass through two functions of Django's
handlers, so those are where a request learns that something failed.
"""

from __future__ import annotations

import functools
from typing import Any

from django.core.handlers import exception as conversion
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest

_ATTRIBUTE = "_txmiddleware_failure"


def failure_of(request: HttpRequest) -> BaseException | None:
    """The first exception that was turned into a response to ``request``, or None."""
    return getattr(request, _ATTRIBUTE, None)


def note(request: HttpRequest, failure: BaseException) -> None:
    """Remember that ``failure`` happened in the handling of ``request``."""
    if failure_of(request) is None:
        setattr(request, _ATTRIBUTE, failure)


def install() -> None:
    """Start to note exceptions. Done once, when the app is ready."""
    if hasattr(BaseHandler.process_exception_by_middleware, "__wrapped__"):
        return

    process_exception = BaseHandler.process_exception_by_middleware

    @functools.wraps(process_exception)
    def process_exception_by_middleware(self: Any, exc: Exception, request: HttpRequest) -> Any:
        note(request, exc)
        return process_exception(self, exc, request)

    convert = conversion.response_for_exception

    @functools.wraps(convert)
    def response_for_exception(request: HttpRequest, exc: Exception) -> Any:
        note(request, exc)
        return convert(request, exc)

    handler: Any = BaseHandler
    handler.process_exception_by_middleware = process_exception_by_middleware
    conversion.response_for_exception = response_for_exception
