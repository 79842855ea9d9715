"""Trying again: the ``attempts`` decorator, and what the middleware shares with it."""

from __future__ import annotations

import asyncio
import functools
import inspect
import itertools
import time
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, TypeVar

from django.utils.asyncio import async_unsafe

from txmiddleware.decorators import refuse_generator
from txmiddleware.manager import ASYNC_UNSAFE
from txmiddleware.scope import Scope
from txmiddleware.tasks import Opened, enter_line, note_opened, refuse_overlap
from txmiddleware.thread import current_scope
from txmiddleware.uninterrupted import in_thread

ATTEMPTS = "_txmiddleware_attempts"
"""The attribute of a view that says how many attempts its requests have."""

F = TypeVar("F", bound=Callable[..., Any])


def pause(attempt: int) -> float:
    """How long to wait after the failure of ``attempt`` (1, 2, ...), in seconds.

    A random time up to 0.05, 0.1, 0.2, ..., at most 1: two that clashed do not clash again.
    """
    from tenacity import RetryCallState, wait_random_exponential  # only where it is needed

    state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
    state.attempt_number = attempt
    return wait_random_exponential(multiplier=0.05, max=1)(state)


def attempts(number: int) -> Callable[[F], F]:
    """Run a function or coroutine function in a transaction, up to ``number`` times.

    Another attempt is made after a failure that a new transaction may not meet again: a
    serialization failure, a deadlock, a lost connection, a locked SQLite database, and at
    repeatable read or stricter a duplicate or a missing row of a foreign key; but not once a part
    of the work may be committed. Only the last failure is raised. What the function does outside
    of the transaction it does each time.

    On a view under ``TransactionMiddleware`` it sets the number of attempts of the request,
    instead of ``TX_ATTEMPTS``. Inside another scope the function just runs: that scope is the one
    to try again. Raises ``ValueError`` for a number below 1.
    """
    if number < 1:
        raise ValueError(f"attempts({number}): the number of attempts must be at least 1")

    def decorate(func: F) -> F:
        refuse_generator("attempts()", func)
        name = f"attempts({number}) of {func.__qualname__}()"
        if inspect.iscoroutinefunction(func):

            @functools.wraps(func)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                return await _run_async(number, name, functools.partial(func, *args, **kwargs))

            wrapper: Any = call_async
        else:

            @functools.wraps(func)
            def call(*args: Any, **kwargs: Any) -> Any:
                return _run(number, name, functools.partial(func, *args, **kwargs))

            wrapper = call
        setattr(wrapper, ATTEMPTS, number)
        result: F = wrapper
        return result

    return decorate


@async_unsafe(ASYNC_UNSAFE)
def _run(number: int, name: str, func: Callable[[], Any]) -> Any:
    if current_scope() is not None:
        return func()
    for attempt in itertools.count(1):
        scope = Scope(name)
        try:
            try:
                result = func()
            except BaseException as failure:
                scope.abort(failure)
                raise
            scope.commit()
            return result
        except Exception:
            if scope.retry_reason is None or attempt >= number:
                raise
        time.sleep(pause(attempt))


def _begin_for_task(name: str) -> Opened | None:
    """Begin a scope; None inside of another."""
    is_outermost = current_scope() is None
    refuse_overlap(can_undo=is_outermost)
    return note_opened(Scope(name)) if is_outermost else None


def _undo(opened: Opened | None, gone: BaseException) -> None:
    if opened is not None:
        opened.scope.abort(gone)


async def _run_async(number: int, name: str, func: Callable[[], Any]) -> Any:
    context = copy_context()
    for attempt in itertools.count(1):
        opened = await in_thread(_begin_for_task, name, undo=_undo)
        if opened is None:
            return await func()
        enter_line(opened)
        scope = opened.scope
        try:
            try:
                result = await func()
            except BaseException as failure:
                await in_thread(scope.abort, failure, context=context)
                raise
            await in_thread(scope.commit)
            return result
        except Exception:
            if scope.retry_reason is None or attempt >= number:
                raise
        await asyncio.sleep(pause(attempt))
