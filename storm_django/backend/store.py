"""A Storm store that others write beside."""

from __future__ import annotations

from typing import Any

from storm.variables import Variable

from storm_django.backend.coherence import doubt
from storm_django.signals import SignallingStore


class CoherentStore(SignallingStore):
    """Storm's store, for two cases that do not arise where only Storm writes."""

    def _load_object(self, cls_info: Any, result: Any, values: Any) -> Any:
        obj = super()._load_object(cls_info, result, values)
        if obj is not None and result.writes_before != self._connection.writes:
            # Django has written since the statement was executed, as in a loop over its rows.
            doubt(obj)
        return obj

    def _add_to_alive(self, obj_info: Any) -> None:
        cls = obj_info.cls_info.cls
        key = tuple(variable.get(to_db=True) for variable in obj_info.primary_vars)
        former = self._alive.get((cls, key))
        if former is not None and former is not obj_info:
            # Django has deleted its row, and Storm has added another with the same key. It must
            # not become a second object for that one, which the store would know nothing of.
            former["primary_vars"] = tuple(
                Variable(value=None) for _ in former.cls_info.primary_key
            )  # which no row has
            former.pop("store", None)
            doubt(former)
        super()._add_to_alive(obj_info)
