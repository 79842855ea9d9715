"""``TX_STREAMING = "hold"``: a transaction that lasts until the body of its response has ended."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponseBase

from txmiddleware.exceptions import TransactionManagementError
from txmiddleware.scope import Scope
from txmiddleware.thread import current_scope
from txmiddleware.uninterrupted import in_thread

logger = logging.getLogger("txmiddleware")


class _Thread(threading.local):
    handler: Any = None


_thread = _Thread()
_tests_hold = 0  # how many txmiddleware.testing.held_responses() are open


def note_handler(handler: Any) -> None:
    """The thread begins a request for ``handler``, the sender of ``request_started``."""
    _thread.handler = handler


def hold_in_tests(number: int) -> None:
    """Have test clients hold from now on (1), or not any more (-1)."""
    global _tests_hold
    _tests_hold += number


def _is_test_client() -> bool:
    client = sys.modules.get("django.test.client")
    return client is not None and issubclass(
        _thread.handler or object, (client.ClientHandler, client.AsyncClientHandler)
    )


def can_hold(scope: Scope, request: HttpRequest, response: HttpResponseBase) -> bool:
    """Whether the body of a streaming ``response`` can be what ends ``scope``."""
    if request.method == "HEAD" or response.status_code in (204, 304):
        return False  # a server need not ask for the body
    if scope.is_inner:
        return False  # the outer one may end first
    if _is_test_client() and not _tests_hold:
        return False  # tests often look at the status only, and leave the body unread
    # An error that is known by now is better told by the response than by a broken connection.
    return scope.guard.failure is None and not scope.guard.ended_by_other


def hold(scope: Scope, response: Any, conclude: Callable[[], None]) -> None:
    """Have the body of ``response`` call ``conclude()`` at its end, and abort if it fails."""
    body = _Hold(scope, response, conclude)
    response.streaming_content = _AsyncBody(body) if response.is_async else _Body(body)
    scope.is_held = True


class _Hold:
    """The transaction of a response whose body has not ended yet."""

    def __init__(self, scope: Scope, response: Any, conclude: Callable[[], None]) -> None:
        self.scope = scope
        self.conclude = conclude
        self.is_complete = False
        self.chunks = response.streaming_content
        self.source = response._iterator
        # What they do is still a part of the request, so they have to come before its end.
        self.closers: list[Callable[[], Any]] = response._resource_closers
        response._resource_closers = [self.close]

    def check(self) -> None:
        """Raise ``TransactionManagementError`` unless this thread still has the transaction."""
        if self.scope.is_over:
            raise TransactionManagementError(
                f"the transaction of {self.scope.name} was ended before the body of its response; "
                f"read or close a response before the next request of its thread"
            )
        if current_scope() is not self.scope:
            raise TransactionManagementError(
                f"the body of {self.scope.name} is read in another thread than the one that has "
                f'its transaction; use TX_STREAMING = "commit-before" with this server'
            )

    def complete(self) -> None:
        """The body is exhausted: decide. Raises what kept the transaction from committing."""
        self.check()
        error = self._close_resources()
        if error is not None:
            self.fail(error)
            raise error
        try:
            self.conclude()
            self.is_complete = True
        finally:
            self._forget()

    def fail(self, failure: BaseException | None) -> None:
        """The body can't be sent to its end: abort."""
        if current_scope() is not self.scope:
            return  # of another thread, which finds it when it begins the next request
        self._forget()
        reason = "was closed before its end" if failure is None else f"failed with {failure!r}"
        logger.info("%s: aborted: the body of the response %s", self.scope.name, reason)
        self.scope.abort(failure)

    def close(self) -> None:
        """The response is closed, before its end if the client has gone."""
        if current_scope() is self.scope and hasattr(self.source, "aclose"):
            with suppress(Exception):
                async_to_sync(self._aclose)()
        self._close_resources()
        self.fail(None)

    async def _aclose(self) -> None:
        # Python would do it when it finds that nobody refers to the generator any more.
        await self.source.aclose()

    def _forget(self) -> None:
        # They refer to the response, and it to its body: the transaction would wait for the
        # garbage collector.
        self.chunks = self.source = None
        del self.conclude

    def _close_resources(self) -> Exception | None:
        first = None
        while self.closers:
            try:
                self.closers.pop(0)()
            except Exception as error:
                first = first or error
        return first


class _Body:
    """The body of a response that was made from an iterator."""

    def __init__(self, hold: _Hold) -> None:
        self.hold = hold

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        hold = self.hold
        if hold.is_complete:
            raise StopIteration
        hold.check()
        try:
            chunk: bytes = next(hold.chunks)
        except StopIteration:
            hold.complete()
            raise
        except BaseException as failure:
            hold.fail(failure)
            raise
        return chunk


class _AsyncBody:
    """The body of a response that was made from an async iterator."""

    def __init__(self, hold: _Hold) -> None:
        self.hold = hold

    def __aiter__(self) -> _AsyncBody:
        return self

    async def __anext__(self) -> bytes:
        hold = self.hold
        if hold.is_complete:
            raise StopAsyncIteration
        if hold.scope.is_over:
            hold.check()
        context = copy_context()
        try:
            chunk: bytes = await anext(hold.chunks)
        except StopAsyncIteration:
            await in_thread(hold.complete)
            raise
        except BaseException as failure:
            await in_thread(hold.fail, failure, context=context)
            raise
        return chunk
