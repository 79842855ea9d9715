"""The statements that Storm executes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from storm.tracer import install_tracer, remove_tracer_type


class _Statements:
    def __init__(self) -> None:
        self.executed: list[str] = []

    def connection_raw_execute(
        self, connection: Any, raw_cursor: Any, statement: str, params: Any
    ) -> None:
        self.executed.append(statement)


@contextmanager
def statements() -> Iterator[list[str]]:
    """The SQL that Storm executes inside, in order."""
    tracer = _Statements()
    install_tracer(tracer)
    try:
        yield tracer.executed
    finally:
        remove_tracer_type(_Statements)
