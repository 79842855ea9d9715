"""The middleware that makes a request one transaction."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from txmiddleware.conf import conf
from txmiddleware.observe import failure_of, install
from txmiddleware.scope import Scope, begin

logger = logging.getLogger("txmiddleware")

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class TransactionMiddleware:
    """One Zope transaction around each request.

    It commits if the response says that all went well, and aborts otherwise: after any exception,
    also one that became a response; if the transaction is doomed or a database asks for a
    rollback; if the response's status is 500 or more; on ``TX_COMMIT_VETO``; and for a safe
    method if ``TX_COMMIT_SAFE_METHODS`` is false. Put it first in ``MIDDLEWARE``: what stands
    before it is outside of the transaction.
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
        scope = begin(_name(request), savepoint=True)
        try:
            response: HttpResponseBase = self.get_response(request)
        except BaseException as failure:
            scope.abort(failure)
            raise
        self._finish(scope, request, response)
        return response

    async def _call_async(self, request: HttpRequest) -> HttpResponseBase:
        # A scope belongs to a thread: that in which Django runs the ORM for this request.
        scope = await sync_to_async(begin, thread_sensitive=True)(_name(request), savepoint=True)
        try:
            response: HttpResponseBase = await self.get_response(request)
        except BaseException as failure:  # a client that went away cancels the task
            await sync_to_async(scope.abort, thread_sensitive=True)(failure)
            raise
        await sync_to_async(self._finish, thread_sensitive=True)(scope, request, response)
        return response

    def _finish(self, scope: Scope, request: HttpRequest, response: HttpResponseBase) -> None:
        try:
            reason = self._reason_to_abort(scope, request, response)
        except BaseException as failure:
            scope.abort(failure)
            raise
        if reason is None:
            scope.commit()
            return
        logger.info("%s: aborted: %s", scope.name, reason)
        if settings.DEBUG:
            response["X-Transaction"] = f"aborted: {reason}"
        scope.abort(failure_of(request))

    def _reason_to_abort(
        self, scope: Scope, request: HttpRequest, response: HttpResponseBase
    ) -> str | None:
        """The first reason not to commit, in the order in which they count; None to commit.

        An inner scope that failed unnoticed, or an abort by other code, is no reason but an
        error: the response at hand speaks of work that is gone.
        """
        failure = failure_of(request)
        if failure is not None:
            return f"{type(failure).__name__} in the view or a middleware"
        obstacle = scope.guard.obstacle()
        if obstacle is not None:
            if scope.guard.failure is not None or scope.guard.ended_by_other:
                raise obstacle
            return "doomed"
        alias = scope.needs_rollback()
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


def _name(request: HttpRequest) -> str:
    return f"{request.method} {request.path}"
