"""Django instances that Storm objects refer to before they are saved.

The key of such an instance is taken when the Storm object is flushed. Django's own statements
flush the store first, also the one that saves the instance: that flush leaves out new objects which
wait for it. Any other flush finds the instance saved, or is an error.
"""

from __future__ import annotations

from typing import Any

from storm.store import PENDING_ADD, PENDING_REMOVE, Store

WAITING = "storm_django.waiting"


class Waiting:
    """A reference of a Storm object to an instance that is not saved."""

    def __init__(self, reference: Any, info: Any, instance: Any) -> None:
        self.reference = reference
        self.info = info
        self.obj = info.get_obj()  # or nobody might refer to it
        self.instance = instance
        self._store: Store | None = None
        self._suspended = False

    def start(self) -> None:
        """Wait for the next flush of the object's store, as soon as it is in one."""
        self.info.setdefault(WAITING, {})[self.reference] = self
        store = self.info.get("store")
        if store is None:
            self.info.event.hook("added", self._on_added)
        else:
            self._watch(store)

    def stop(self) -> None:
        """Wait no more."""
        waiting = self.info.get(WAITING)
        if waiting is not None and waiting.get(self.reference) is self:
            del waiting[self.reference]

    @property
    def is_on(self) -> bool:
        """Whether the object still refers to the instance, and no rollback took that back."""
        store = self._store
        if self.info.get(WAITING, {}).get(self.reference) is not self:
            return False
        if store is None or self._suspended:
            return True
        return self.info.get("store") is store and self.info in store._dirty

    @property
    def is_saved(self) -> bool:
        """Whether the instance has been saved."""
        return self.key is not None and not self.instance._state.adding

    @property
    def key(self) -> Any:
        """The key of the instance, or None."""
        return getattr(self.instance, self.reference.field.attname)

    def settle(self) -> None:
        """Take the key."""
        self.stop()
        self.reference.take(self.info, self.instance)

    def _on_added(self, info: Any) -> bool:
        if self.is_on:
            self._watch(info["store"])
        return False

    def _watch(self, store: Store) -> None:
        self._store = store
        store._set_dirty(self.info)  # which a rollback takes back
        store._event.hook("flush", self._on_flush)

    def _on_flush(self, store: Store) -> bool | None:
        if self._suspended:
            return None
        if not self.is_on or self.info.get("pending") == PENDING_REMOVE:
            self.stop()
            return False
        if self.key is None:
            raise ValueError(
                f"{self.reference!r} of {self.obj!r} is an unsaved {type(self.instance).__name__}; "
                f"save it before the store is flushed"
            )
        self.settle()
        return False

    def suspend(self) -> None:
        """Let a flush pass."""
        self._suspended = True

    def resume(self, store: Store) -> None:
        """Wait for the next flush."""
        self._suspended = False
        if self.info.get("store") is store:
            store._set_dirty(self.info)


def waiting_of(info: Any, reference: Any) -> Waiting | None:
    """For what an object waits in a reference."""
    found: Waiting | None = info.get(WAITING, {}).get(reference)
    return found if found is not None and found.is_on else None


def flush_for_django(store: Store) -> None:
    """Flush before a statement of Django, which may be the one that saves an instance."""
    waiting = [
        each
        for info in tuple(store._dirty)
        for each in tuple(info.get(WAITING, {}).values())
        if each.is_on and not each.is_saved
    ]
    if not waiting:
        store.flush()
        return
    left_out = _with_successors(
        store, {each.info for each in waiting if each.info.get("pending") == PENDING_ADD}
    )
    order = {pair: count for pair, count in store._order.items() if pair[0] in left_out}
    objects = {info: store._dirty.pop(info) for info in left_out if info in store._dirty}
    for each in waiting:
        each.suspend()
    try:
        store.flush()
    finally:
        store._dirty.update(objects)
        store._order.update(order)
        for each in waiting:
            each.resume(store)


def _with_successors(store: Store, left_out: set[Any]) -> set[Any]:
    """These, and all that can only be flushed after them."""
    while True:
        more = {
            after
            for (before, after), count in store._order.items()
            if count > 0 and before in left_out and after in store._dirty
        } - left_out
        if not more:
            return left_out
        left_out |= more
