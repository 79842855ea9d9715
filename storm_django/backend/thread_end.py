"""Closing the connections of a thread when it ends.

A wrapper, its store and their connection refer to each other, so without this the server would
keep the session of a thread that has ended until Python's garbage collector comes by. Under ASGI,
where each request may have a thread of its own, that is too late.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import suppress
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper


class _Closer:
    """What the thread has opened. It goes when the thread goes, since nothing else refers to it."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.opened: dict[int, tuple[weakref.ref[BaseDatabaseWrapper], Any]] = {}

    def __del__(self) -> None:
        if self.process != os.getpid():
            return  # a fork has no other threads, and their connections are still the parent's
        for reference, raw_connection in self.opened.values():
            wrapper = reference()
            if wrapper is not None and wrapper.allow_thread_sharing:
                continue  # handed to other threads, which may still use it
            with suppress(Exception):  # it may be closed, or the interpreter be going down
                raw_connection.close()


class _Thread(threading.local):
    def __init__(self) -> None:
        self.closer = _Closer()


_thread = _Thread()


def close_at_thread_end(wrapper: BaseDatabaseWrapper) -> None:
    """Close the connection of ``wrapper`` when this thread ends, unless it is shared by then."""
    if _thread.closer.process != os.getpid():
        _thread.closer = _Closer()
    _thread.closer.opened[id(wrapper)] = (weakref.ref(wrapper), wrapper.connection)


def forget_connection(wrapper: BaseDatabaseWrapper) -> None:
    """Forget a connection that has been closed."""
    _thread.closer.opened.pop(id(wrapper), None)
