"""The middleware that makes a request one transaction."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from txmiddleware.conf import conf
from txmiddleware.observe import Attempt, attempt_of, install
from txmiddleware.replay import Replay
from txmiddleware.retry import ATTEMPTS, pause
from txmiddleware.scope import Scope
from txmiddleware.streaming import can_hold, hold
from txmiddleware.tasks import Opened, enter_line, note_opened, refuse_overlap
from txmiddleware.timeout import Budget
from txmiddleware.uninterrupted import in_thread
from txmiddleware.views import NON_TRANSACTIONAL

logger = logging.getLogger("txmiddleware")

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class TransactionMiddleware:
    """One Zope transaction around each request.

    It commits if the response says that all went well, and aborts otherwise: after any exception,
    also one that became a response; if the transaction is doomed or a database asks for a
    rollback; if the response's status is 500 or more; on ``TX_COMMIT_VETO``; and for a safe
    method if ``TX_COMMIT_SAFE_METHODS`` is false. Put it first in ``MIDDLEWARE``: what stands
    before it is outside of the transaction.

    A request that failed because of others (see :mod:`txmiddleware.retryable`) is handled again,
    up to ``TX_ATTEMPTS`` times in all; ``request.tx_attempt`` is 1, 2, ....
    """

    sync_capable = True
    async_capable = True

    def __init__(
        self,
        get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]],
    ) -> None:
        install()
        self.get_response: Any = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self._call_async(request)
        replay = Replay(request)
        budget = None if conf.timeout is None else Budget(conf.timeout)
        for number in itertools.count(1):
            attempt = _begin(request, replay, number, budget)
            try:
                response: HttpResponseBase = self.get_response(request)
            except BaseException as failure:
                _abandon(attempt, failure)
                raise
            if self._finish(attempt, request, response):
                break
            time.sleep(pause(number))
            request = replay.request()
        return response

    async def _call_async(self, request: HttpRequest) -> HttpResponseBase:
        replay = Replay(request)
        budget = None if conf.timeout is None else Budget(conf.timeout)
        context = copy_context()
        for number in itertools.count(1):
            attempt, opened = await in_thread(
                _begin_for_task, request, replay, number, budget, undo=_undo
            )
            enter_line(opened)
            try:
                response: HttpResponseBase = await self.get_response(request)
            except BaseException as failure:  # a client that went away cancels the task
                await in_thread(_abandon, attempt, failure, context=context)
                raise
            if await in_thread(self._finish, attempt, request, response):
                break
            await asyncio.sleep(pause(number))
            request = replay.request()
        return response

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> None:
        """Do what the view's decorators ask for."""
        attempt = attempt_of(request)
        if attempt is None:
            return
        attempt.limit = getattr(view, ATTEMPTS, attempt.limit)
        if getattr(view, NON_TRANSACTIONAL, False):
            # What a middleware has done so far is not the view's, and is complete: a failure to
            # commit it is an answer like that of the view, which is not tried again either.
            attempt.limit = attempt.number
            try:
                attempt.scope.commit()
            except BaseException as failure:
                _log_failure(attempt, failure)
                raise

    def _finish(self, attempt: Attempt, request: HttpRequest, response: HttpResponseBase) -> bool:
        """Commit or abort; False if the request is to be handled again."""
        scope = attempt.scope
        if attempt.number > 1:  # Django knows the first request only
            response._resource_closers.append(request.close)  # type: ignore[attr-defined]
        if scope.is_over:  # before the view
            return True
        if response.streaming and conf.holds_streams and self._hold(attempt, request, response):
            return True
        try:
            reason = self._end(attempt, request, response)
        except BaseException as failure:
            _close(response)  # nobody gets it
            if attempt.may_be_repeated and scope.retry_reason is not None:
                return self._repeat(attempt, failure)
            _log_failure(attempt, failure)
            if attempt.budget is not None and attempt.budget.is_behind(failure):
                raise attempt.budget.error() from failure
            raise
        if reason is None:
            return True
        if attempt.unreported is not None and attempt.replay.possible:
            _close(response)
            return self._repeat(attempt, attempt.unreported)
        logger.info("%s: aborted: %s", scope.name, reason)
        if attempt.unreported is not None:  # a middleware has read on in the body since
            _close(response)
            raise attempt.unreported
        if settings.DEBUG:
            response["X-Transaction"] = f"aborted: {reason}"
        return True

    def _end(
        self, attempt: Attempt, request: HttpRequest, response: HttpResponseBase
    ) -> str | None:
        """Commit, or abort for the reason that is returned. Raises what keeps it from doing so."""
        scope = attempt.scope
        try:
            reason = self._reason_to_abort(attempt, request, response)
            if reason is None:
                scope.commit()
                return None
        except BaseException as failure:
            scope.abort(failure)
            raise
        scope.abort(attempt.failure)
        return reason

    def _hold(self, attempt: Attempt, request: HttpRequest, response: HttpResponseBase) -> bool:
        """Leave the decision to the end of the body; False if it has to be made now."""
        if attempt.failure is not None or not can_hold(attempt.scope, request, response):
            return False
        attempt.limit = attempt.number  # the response will have started

        def conclude() -> None:
            try:
                reason = self._end(attempt, request, response)
            except BaseException:
                # The client has the headers: all that is left is to break the connection.
                logger.exception("%s: failed at the end of the body", attempt.scope.name)
                raise
            if reason is not None:
                logger.info("%s: aborted: %s", attempt.scope.name, reason)

        hold(attempt.scope, response, conclude)
        return True

    def _repeat(self, attempt: Attempt, failure: BaseException) -> bool:
        scope = attempt.scope
        logger.info(
            "%s: attempt %d: %s (%r)", scope.name, attempt.number, scope.retry_reason, failure
        )
        return False

    def _reason_to_abort(
        self, attempt: Attempt, request: HttpRequest, response: HttpResponseBase
    ) -> str | None:
        """The first reason not to commit, in the order in which they count; None to commit.

        An inner scope that failed unnoticed, an abort by other code, or a statement that was
        out of time, is no reason but an error: the response at hand speaks of work that is gone.
        """
        scope = attempt.scope
        budget = attempt.budget
        if budget is not None and budget.is_exceeded and response.status_code < 500:
            raise budget.error()
        if attempt.failure is not None:
            return f"{type(attempt.failure).__name__} in the view or a middleware"
        obstacle = scope.guard.obstacle()
        if obstacle is not None:
            if scope.guard.failure is not None or scope.guard.ended_by_other:
                raise obstacle
            return "doomed"
        alias = scope.needs_rollback() if scope.can_undo else None
        if alias is not None:
            return f"database {alias!r} needs a rollback"
        if response.status_code >= 500:
            return f"status {response.status_code}"
        veto = conf.commit_veto
        if veto is not None and veto(request, response):
            return "TX_COMMIT_VETO"
        if request.method in SAFE_METHODS and not conf.commit_safe_methods:
            return f"{request.method} is a safe method"
        return None


def _begin(request: HttpRequest, replay: Replay, number: int, budget: Budget | None) -> Attempt:
    scope = Scope(f"{request.method} {request.path}", savepoint=True, budget=budget)
    return Attempt(request, scope, replay, number, conf.attempts, budget)


def _begin_for_task(*args: Any) -> tuple[Attempt, Opened]:
    refuse_overlap(can_undo=True)
    attempt = _begin(*args)
    return attempt, note_opened(attempt.scope)


def _undo(begun: tuple[Attempt, Opened], cancellation: BaseException) -> None:
    _abandon(begun[0], cancellation)


def _abandon(attempt: Attempt, failure: BaseException) -> None:
    """End what is left of an attempt whose handling broke off."""
    if not attempt.scope.is_over:
        logger.info("%s: aborted: %r", attempt.scope.name, failure)
        attempt.scope.abort(failure)


def _log_failure(attempt: Attempt, failure: BaseException) -> None:
    # Not that it was aborted: of a commit that failed a part may have been carried out.
    logger.info("%s: failed: %r", attempt.scope.name, failure)


def _close(response: Any) -> None:
    """Close what a response holds that nobody gets.

    Its own ``close()`` would tell everybody that the request has ended.
    """
    for close in response._resource_closers:
        with suppress(Exception):  # as Django does
            close()
    response._resource_closers.clear()
