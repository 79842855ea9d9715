"""Which of the blocks that are open in a thread were opened by the code that asks.

Tasks take turns in the thread in which Django runs the ORM for them. A block that one of them opens
while that of another is open is not nested in it, and a transaction can't keep the two apart.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar

from txmiddleware.exceptions import TransactionManagementError
from txmiddleware.scope import Scope


class Opened:
    """A block that async code has opened. An outermost one is its scope."""

    def __init__(self, scope: Scope, can_undo: bool) -> None:
        self.scope = scope
        self.name = scope.name
        self.can_undo = can_undo  # what is done in the thread meanwhile, by whomever
        self.is_closed = False

    @property
    def is_over(self) -> bool:
        """Whether the block, or the scope around it, has ended."""
        return self.is_closed or self.scope.is_over


class _Thread(threading.local):
    def __init__(self) -> None:
        self.opened: list[Opened] = []


_thread = _Thread()
# Those that the current task is in, itself or by the task that made it.
_line: ContextVar[tuple[Opened, ...]] = ContextVar("txmiddleware_line", default=())


def refuse_overlap(*, can_undo: bool) -> None:
    """Raise ``TransactionManagementError`` if a block opened now would mix with another task's.

    Call it in the thread.
    """
    _thread.opened = [each for each in _thread.opened if not each.is_over]
    line = _line.get()
    for other in _thread.opened:
        if other not in line and (can_undo or other.can_undo):
            raise TransactionManagementError(
                f"another task has a transaction open in this thread, that of {other.name}, and "
                f"the two can't be kept apart: let one wait for the other, or give each a "
                f"thread of its own by asgiref's ThreadSensitiveContext, as servers do"
            )


def note_opened(scope: Scope, *, can_undo: bool = True) -> Opened:
    """A block in ``scope``, or the scope itself, has been opened. Call it in the thread."""
    opened = Opened(scope, can_undo)
    _thread.opened.append(opened)
    return opened


def enter_line(opened: Opened) -> None:
    """The current task is in the block from now on. Call it in the task."""
    _line.set((*(each for each in _line.get() if not each.is_over), opened))
