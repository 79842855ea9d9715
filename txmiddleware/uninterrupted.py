"""Beginning and ending a scope from async code, whatever becomes of the task meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVar

from asgiref.sync import AsyncToSync, sync_to_async

T = TypeVar("T")


async def in_thread(
    func: Callable[..., T],
    *args: Any,
    undo: Callable[[T, BaseException], Any] | None = None,
    context: Context | None = None,
) -> T:
    """Call ``func(*args)`` to its end in the thread in which Django runs the ORM for async code.

    Scopes belong to that thread. A task that is cancelled, because the client went away, would
    otherwise drop a call that waits for the thread, or lose the result of one that is running: a
    scope would stay open with nobody to end it. The cancellation is raised once the call is over
    and, if ``undo`` is given, ``undo(result, cancellation)`` has been called.

    To end badly what was begun, give as ``context`` a copy of the one in which it was begun. A
    cancellation can leave behind, in the context of the task, asgiref's mark of a sync function
    that is still running and waits for async code: the call would then be made inside of that
    function, which would go on after the end. With the mark of the other context it waits until the
    thread is free, and so does what is called later.
    """
    if context is not None:
        executors = AsyncToSync.executors
        executors.current = context.run(getattr, executors, "current", None)
    job = asyncio.ensure_future(sync_to_async(func, thread_sensitive=True)(*args))
    cancelled: asyncio.CancelledError | None = None
    while True:
        try:
            result = await asyncio.shield(job)
            break
        except asyncio.CancelledError as error:
            if job.cancelled():
                raise
            cancelled = error
        except BaseException as error:
            if cancelled is not None:
                raise cancelled from error
            raise
    if cancelled is not None:
        if undo is not None:
            await in_thread(undo, result, cancelled)
        raise cancelled
    return result
