"""Whether Django's own code stands where we take a shorter way than through it.

Tracers replace methods of Django to learn when they are called, and engines override them.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic, get_connection

BASE = BaseDatabaseWrapper.__init__.__code__.co_filename
ATOMIC = get_connection.__code__.co_filename


def is_of(file: str, method: Any) -> bool:
    """Whether ``method`` is code of ``file``."""
    try:
        found: str = method.__code__.co_filename
    except AttributeError:  # not even a function
        return False
    return found == file


def atomic_is_djangos() -> bool:
    """Whether both ends of ``atomic()`` are Django's."""
    return is_of(ATOMIC, Atomic.__enter__) and is_of(ATOMIC, Atomic.__exit__)
