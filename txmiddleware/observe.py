"""Noting each exception that Django, or a middleware, turns into a response.

Django tells a middleware of an exception only if it stands in the right place: its
``process_exception`` is not called where one nearer to the view has answered, and for an
exception of another middleware there is none. All of them pass through two functions of Django's
handlers, so those are where an attempt learns that something failed. It is also the only place
where a failure that is going to be tried again can be kept from the error reports.
"""

from __future__ import annotations

import functools
from typing import Any

from django.core.handlers import exception as conversion
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest, HttpResponse

from txmiddleware.exceptions import TransactionTimeout
from txmiddleware.replay import Replay
from txmiddleware.retryable import retry_reason
from txmiddleware.scope import Scope
from txmiddleware.timeout import Budget


class Attempt:
    """One handling of a request. The request's attribute ``tx_attempt`` is its number."""

    failure: BaseException | None = None  # the first that became a response
    unreported: BaseException | None = None  # the same, if the next attempt is the answer to it

    def __init__(
        self,
        request: HttpRequest,
        scope: Scope,
        replay: Replay,
        number: int,
        limit: int,
        budget: Budget | None,
    ) -> None:
        self.scope = scope
        self.replay = replay
        self.number = number  # 1, 2, ...
        self.limit = limit  # the number of the last one
        self.budget = budget  # of all attempts
        request._txmiddleware_attempt = self  # type: ignore[attr-defined]
        request.tx_attempt = number  # type: ignore[attr-defined]

    @property
    def may_be_repeated(self) -> bool:
        """Whether another attempt could follow."""
        return (
            self.number < self.limit
            and self.scope.owns
            and self.replay.possible
            and (self.budget is None or self.budget.left > 0)
        )

    def note(self, failure: BaseException) -> bool:
        """Remember the first failure; whether it is going to be tried again.

        That is decided once: who is told of a failure can't be told later that it was none.
        """
        scope = self.scope
        if self.failure is None:
            self.failure = failure
            if (
                self.may_be_repeated
                and not scope.is_over
                and not scope.guard.ended_by_other
                and retry_reason(failure, scope.resources) is not None
            ):
                self.unreported = failure
        return self.unreported is not None and not scope.is_over


def attempt_of(request: HttpRequest) -> Attempt | None:
    """The attempt that ``request`` is part of; None outside of the middleware."""
    return getattr(request, "_txmiddleware_attempt", None)


def install() -> None:
    """Start to note exceptions. Done once in a process."""
    if hasattr(BaseHandler.process_exception_by_middleware, "__wrapped__"):
        return

    process_exception = BaseHandler.process_exception_by_middleware

    @functools.wraps(process_exception)
    def process_exception_by_middleware(self: Any, exc: Exception, request: HttpRequest) -> Any:
        attempt = attempt_of(request)
        if attempt is not None and attempt.note(exc):
            return None
        return process_exception(self, exc, request)

    convert = conversion.response_for_exception

    @functools.wraps(convert)
    def response_for_exception(request: HttpRequest, exc: Exception) -> Any:
        attempt = attempt_of(request)
        if attempt is not None and attempt.note(exc):
            return HttpResponse(status=503)  # nobody gets to see it
        response = convert(request, exc)
        is_timeout = isinstance(exc, TransactionTimeout)
        if attempt is not None and attempt.budget is not None and response.status_code == 500:
            # Where rows are fetched the error is the driver's.
            is_timeout = is_timeout or attempt.budget.is_behind(exc)
        if is_timeout:
            response.status_code = 503
        return response

    handler: Any = BaseHandler
    handler.process_exception_by_middleware = process_exception_by_middleware
    conversion.response_for_exception = response_for_exception
