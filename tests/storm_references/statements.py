"""The statements of both ORMs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.test.utils import CaptureQueriesContext


@contextmanager
def statements() -> Iterator[list[str]]:
    """The list that has, when the block has ended, what either ORM sent to the database inside."""
    executed: list[str] = []
    with CaptureQueriesContext(connection) as captured:
        yield executed
    executed += [query["sql"] for query in captured]
