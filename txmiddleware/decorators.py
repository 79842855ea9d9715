"""``commit_on_success`` and ``require_managed``."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from types import TracebackType
from typing import Any, TypeVar, overload

from django.utils.asyncio import async_unsafe

from txmiddleware.exceptions import TransactionManagementError, TransactionRequired
from txmiddleware.guard import current_transaction
from txmiddleware.manager import ASYNC_UNSAFE
from txmiddleware.scope import Scope, make_savepoint, rollback_to, send_pending
from txmiddleware.tasks import Opened, enter_line, note_opened, refuse_overlap
from txmiddleware.thread import current_scope, is_managed
from txmiddleware.uninterrupted import in_thread

F = TypeVar("F", bound=Callable[..., Any])


@contextmanager
def _inner(scope: Scope, savepoint: bool) -> Iterator[None]:
    """A scope in a scope: success does nothing, failure dooms or undoes its own work."""
    point = make_savepoint(current_transaction()) if savepoint else None
    try:
        yield
        if point is not None:
            send_pending(current_transaction())
    except BaseException as failure:
        if point is None:
            scope.guard.doom(failure)
        else:
            rollback_to(point, scope.guard, failure)
        raise
    if scope.is_over:  # async code has let it end first
        raise TransactionManagementError(
            f"the transaction of {scope.name} has ended before a block inside of it, of another "
            f"task; wait for the task where the transaction is open"
        )
    if point is not None and scope.needs_rollback():
        rollback_to(point, scope.guard, None)  # as atomic() does, no error


@contextmanager
def _outermost(name: str, savepoint: bool) -> Iterator[None]:
    scope = Scope(name, savepoint=savepoint)
    try:
        yield
    except BaseException as failure:
        scope.abort(failure)
        raise
    if scope.can_undo and scope.needs_rollback() and not (scope.owns and scope.guard.obstacle()):
        scope.abort()  # transaction.set_rollback(True): as in atomic(), no error
    else:
        scope.commit()


def _undo(entered: tuple[Any, Opened], gone: BaseException) -> None:
    entered[0].__exit__(type(gone), gone, None)
    entered[1].is_closed = True


class CommitOnSuccess:
    """What :func:`commit_on_success` makes: a decorator and a context manager, sync and async."""

    def __init__(self, *, savepoint: bool = False, name: str = "commit_on_success()") -> None:
        self.savepoint = savepoint
        self.name = name
        self._entered = threading.local()
        self._entered_async: list[tuple[Any, ...]] = []

    def __repr__(self) -> str:
        return f"<{self.name} savepoint={self.savepoint}>"

    def _stack(self) -> list[Any]:
        # One object may be entered more than once, and by several threads.
        try:
            stack: list[Any] = self._entered.stack
        except AttributeError:
            stack = self._entered.stack = []
        return stack

    @async_unsafe(ASYNC_UNSAFE)
    def _enter(self) -> Any:
        scope = current_scope()
        context = (
            _outermost(self.name, self.savepoint)
            if scope is None
            else _inner(scope, self.savepoint)
        )
        context.__enter__()
        return context

    def _enter_for_task(self) -> tuple[Any, Opened]:
        can_undo = current_scope() is None or self.savepoint
        refuse_overlap(can_undo=can_undo)
        context = self._enter()
        scope = current_scope()
        assert scope is not None
        return context, note_opened(scope, can_undo=can_undo)

    def __enter__(self) -> None:
        self._stack().append(self._enter())

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack().pop().__exit__(exc_type, exc, traceback)

    async def __aenter__(self) -> None:
        begun_in = copy_context()
        block, opened = await in_thread(self._enter_for_task, undo=_undo)
        enter_line(opened)
        self._entered_async.append((asyncio.current_task(), block, opened, begun_in))

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _, block, opened, begun_in = self._pop_async()
        try:
            await in_thread(
                block.__exit__, exc_type, exc, traceback, context=begun_in if exc_type else None
            )
        finally:
            opened.is_closed = True

    def _pop_async(self) -> tuple[Any, ...]:
        """What this task has entered last, or one that has ended and left it to another."""
        this = asyncio.current_task()
        mine = [entry for entry in self._entered_async if entry[0] is this]
        ended = [entry for entry in self._entered_async if entry[0].done()]
        entry = (mine or ended or self._entered_async)[-1]
        self._entered_async.remove(entry)
        return entry

    def __call__(self, func: F) -> F:
        refuse_generator("commit_on_success", func)
        name = f"commit_on_success of {func.__qualname__}()"
        if inspect.iscoroutinefunction(func):

            @functools.wraps(func)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                # Several tasks may be in the function at once.
                async with CommitOnSuccess(savepoint=self.savepoint, name=name):
                    return await func(*args, **kwargs)

            return call_async  # type: ignore[return-value]

        named = CommitOnSuccess(savepoint=self.savepoint, name=name)

        @functools.wraps(func)
        def call(*args: Any, **kwargs: Any) -> Any:
            with named:
                return func(*args, **kwargs)

        return call  # type: ignore[return-value]


def refuse_generator(name: str, func: Callable[..., Any]) -> None:
    """Raise ``TypeError`` for a function whose body runs only when it has returned."""
    if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
        raise TypeError(
            f"{name} can't decorate {func.__qualname__}(), a generator, whose body runs after the "
            f"call: put what belongs together into a 'with commit_on_success()' block inside"
        )


@overload
def commit_on_success(func: F, /) -> F: ...
@overload
def commit_on_success(*, savepoint: bool = False) -> CommitOnSuccess: ...
def commit_on_success(func: F | None = None, /, *, savepoint: bool = False) -> F | CommitOnSuccess:
    """Commit when the function or ``with`` block ends, abort when it raises.

    Use it as ``@commit_on_success``, ``@commit_on_success(savepoint=True)``,
    ``with commit_on_success():`` or ``async with commit_on_success():``; a decorated coroutine
    function works too. Everything that joins the thread's Zope transaction takes part.

    Inside another scope (the middleware, another ``commit_on_success``, an outermost
    ``atomic()`` on a store) success leaves the commit to the outer one. Failure dooms the whole
    transaction, even if the exception is caught outside; with ``savepoint=True`` it undoes
    exactly the inner work, and the outer one may go on. The exception is always raised again.

    Raises :class:`~txmiddleware.exceptions.TransactionDoomed` at the end of the outermost scope
    if an inner one failed and the exception was caught: nothing was committed.
    """
    scope = CommitOnSuccess(savepoint=savepoint)
    return scope if func is None else scope(func)


def require_managed(func: F) -> F:
    """Refuse to run ``func`` outside a managed transaction. For code that others reuse.

    Works for functions and coroutine functions. Raises
    :class:`~txmiddleware.exceptions.TransactionRequired` unless :func:`is_managed`.
    """

    def check() -> None:
        if not is_managed():
            raise TransactionRequired(
                f"{func.__qualname__}() must run inside a managed transaction: call it in "
                f"commit_on_success() or in a request under TransactionMiddleware"
            )

    if inspect.iscoroutinefunction(func):

        @functools.wraps(func)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            await in_thread(check)
            return await func(*args, **kwargs)

        return call_async  # type: ignore[return-value]

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        check()
        return func(*args, **kwargs)

    return call  # type: ignore[return-value]
