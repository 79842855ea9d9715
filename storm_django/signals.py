"""Signals of what a flush has done to Storm objects, for Django's receivers."""

from __future__ import annotations

from typing import Any

from django.dispatch import Signal
from storm.expr import Expr
from storm.store import PENDING_ADD, PENDING_REMOVE, Store

saved = Signal()
"""After a flush that inserted or updated an object's row, with ``sender``, its class, ``instance``,
``created``, true for an INSERT, and ``store``."""

deleted = Signal()
"""After a flush that deleted an object's row, with ``sender``, its class, ``instance`` and
``store``."""


class SignallingStore(Store):
    """A store that sends the signals. Where nobody has connected, it works as Storm's does.

    They are sent when the flush is over, in the order of the statements, so a receiver may use
    the store, and Django, as any other code.
    """

    _flushing = False

    def flush(self) -> None:
        if self._flushing or not (saved.receivers or deleted.receivers):
            super().flush()
            return
        # Storm lets go of an object before it sends its row.
        self._kept = list(self._dirty.values())
        self._done: list[tuple[Signal, object, dict[str, Any]]] = []
        self._flushing = True
        try:
            super().flush()
            done = self._done
        finally:
            self._flushing = False
            del self._kept, self._done
        for signal, instance, values in done:
            signal.send(sender=type(instance), instance=instance, store=self, **values)
        if self._dirty:  # what a receiver has changed is sent too, as after Storm's own hooks
            self.flush()

    def _set_dirty(self, obj_info: Any) -> None:
        super()._set_dirty(obj_info)
        if self._flushing:
            self._kept.append(obj_info.get_obj())

    def _flush_one(self, obj_info: Any) -> None:
        if not self._flushing:
            super()._flush_one(obj_info)
            return
        pending = obj_info.get("pending")
        sends = pending is not None or any(map(_is_sent, obj_info.variables.values()))
        super()._flush_one(obj_info)
        signal = deleted if pending is PENDING_REMOVE else saved
        if sends:
            values = {} if signal is deleted else {"created": pending is PENDING_ADD}
            self._done.append((signal, obj_info.get_obj(), values))


def _is_sent(variable: Any) -> bool:
    """Whether an UPDATE sets the column."""
    return variable.has_changed() and (
        variable.is_defined() or isinstance(variable.get_lazy(), Expr)
    )
