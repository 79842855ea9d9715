"""Decorators for views under ``TransactionMiddleware``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from txmiddleware.retry import attempts

__all__ = ["attempts", "non_transactional"]

F = TypeVar("F", bound=Callable[..., Any])

NON_TRANSACTIONAL = "_txmiddleware_non_transactional"
"""The attribute of a view that says that it was decorated."""


def non_transactional(view: F) -> F:
    """Run a view, sync or async, outside of the request's transaction: in autocommit.

    What the middleware inside of ``TransactionMiddleware`` did before the view is committed
    first. The view may use :func:`~txmiddleware.commit_on_success` for parts of its work.
    """
    setattr(view, NON_TRANSACTIONAL, True)
    return view
