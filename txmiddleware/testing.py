"""For the tests of projects that use txmiddleware."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from txmiddleware.leftovers import abort_leftovers
from txmiddleware.streaming import hold_in_tests

__all__ = ["held_responses"]


@contextmanager
def held_responses() -> Iterator[None]:
    """Have Django's test clients hold transactions, as a server does if ``TX_STREAMING`` says so.

    Without it they commit before the body, since a test may never read it. Inside, read each
    streaming response to its end, or close it (``await sync_to_async(response.close)()`` with the
    async client), before anything else is done. What is still open at the end is aborted.
    """
    hold_in_tests(1)
    try:
        yield
    finally:
        hold_in_tests(-1)
        abort_leftovers()
