"""References from Storm classes to Django models.

::

    class Session:
        __storm_table__ = "sprint_session"
        id = Int(primary=True)
        proposer_id = Int()
        proposer = DjangoReference(proposer_id, "auth.User")
        comments = DjangoReferenceSet(id, "sprints.Comment", "session_id")

    sessions = prefetch(store.find(Session), "proposer", "comments__user")
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from django.db import models
from storm.info import get_obj_info
from storm.variables import LazyValue, Variable

from storm_django.key_columns import is_object
from storm_django.links import LinkedAttribute
from storm_django.reference_sets import DjangoReferenceSet
from storm_django.unsaved import Waiting, waiting_of

__all__ = ["DjangoReference", "DjangoReferenceSet", "prefetch"]


class DjangoReference(LinkedAttribute):
    """An attribute of a Storm class: the instance of a Django model whose key is a local property.

    ``local_key`` is a property of the class, or its name; ``model`` is a Django model, or
    ``"app.Model"``; ``remote_key`` is the name of a unique field of it. The instance is loaded
    when it is first used, and again when Storm has invalidated the object. None stands for a key
    that is None, for one that no row has, and for an object that is in no store.

    An instance, a key or None can be assigned. Of an instance that is not saved, the key is taken
    when the object is flushed; not to have saved it by then is a ``ValueError``. Comparisons are
    those of the local key: ``store.find(Session, proposer=user)``.
    """

    def __init__(
        self, local_key: Any, model: str | type[models.Model], remote_key: str = "pk"
    ) -> None:
        super().__init__(local_key, model, remote_key)

    def __get__(self, obj: Any, cls: type | None = None) -> Any:
        if obj is None:
            if cls is None or cls is self.owner:
                return self
            bound = copy.copy(self)
            bound.owner = cls
            return bound
        info = get_obj_info(obj)
        waiting = waiting_of(info, self)
        if waiting is not None and not waiting.is_saved:
            return waiting.instance
        if waiting is not None:
            waiting.settle()
        link = self.linked(info)
        if link is None:
            key = self.variable(info).get()
            if key is None or info.get("store") is None:
                return None
            rows = self.model._base_manager.using(self.alias(info["store"]))
            self.link(info, key, rows.filter(**{self.lookup: key}).first())
            link = info[self]
        return link.value

    def __set__(self, obj: Any, value: Any) -> None:
        info = get_obj_info(obj)
        if isinstance(value, self.model):
            self._check_database(info, value)
        elif value is not None and is_object(value):
            raise ValueError(
                f'Cannot assign "{value!r}": {self!r} must be a "{self.model._meta.object_name}" '
                f"instance."
            )
        waiting = waiting_of(info, self)
        if waiting is not None:
            waiting.stop()
        self.forget(info)
        if not isinstance(value, self.model):
            self.variable(info).set(value)
            return
        key = getattr(value, self.field.attname)
        if key is None or value._state.adding:
            info.event.hook("changed", self._on_key_assigned)
            Waiting(self, info, value).start()
        else:
            self._refer(info, key, value)

    def take(self, info: Any, value: models.Model) -> None:
        """Take the key of an instance that an object has waited for."""
        self._refer(info, getattr(value, self.field.attname), value)

    def _refer(self, info: Any, key: Any, value: models.Model) -> None:
        variable = self.variable(info)
        variable.set(key)
        self.link(info, variable.get(), value)

    def _check_database(self, info: Any, value: models.Model) -> None:
        alias = value._state.db
        store = info.get("store")
        if alias is not None and store is not None and alias != self.alias(store):
            raise ValueError(
                f'Cannot assign "{value!r}": it is in the database {alias!r}, and the object in '
                f"{self.alias(store)!r}."
            )

    def _on_key_assigned(
        self, info: Any, variable: Variable, old_value: Any, new_value: Any, fromdb: bool
    ) -> bool | None:
        waiting = waiting_of(info, self)
        if waiting is None:
            return False
        if variable is self.variable(info) and not (fromdb or isinstance(new_value, LazyValue)):
            waiting.stop()
            return False
        return None

    # In queries.

    __hash__ = LinkedAttribute.__hash__

    def __eq__(self, other: object) -> Any:
        return self.column(self.owner) == self._compared(other)

    def __ne__(self, other: object) -> Any:
        return self.column(self.owner) != self._compared(other)

    def is_in(self, others: Iterable[Any]) -> Any:
        """The condition that the key is that of one of these instances or keys."""
        return self.column(self.owner).is_in([self._compared(other) for other in others])

    def _compared(self, other: Any) -> Any:
        if not isinstance(other, models.Model):
            return other
        key = getattr(other, self.field.attname) if isinstance(other, self.model) else None
        if key is None:
            raise ValueError(
                f'Cannot compare {self!r} to "{other!r}": it must be a saved '
                f'"{self.model._meta.object_name}" instance.'
            )
        return key

    # Lists.

    def prefetch(self, objects: list[Any]) -> list[Any]:
        """Load the instances of all objects in one query, and return them."""
        store, infos = self.missing(
            [obj for obj in objects if waiting_of(get_obj_info(obj), self) is None]
        )
        found: dict[Any, Any] = {}
        if infos:
            rows = self.model._base_manager.using(self.alias(store))
            for row in rows.filter(**{f"{self.lookup}__in": list(infos)}):
                found[getattr(row, self.field.attname)] = row
        for key, of_key in infos.items():
            for info in of_key:
                self.link(info, key, found.get(key))
        links = (self.linked(get_obj_info(obj)) for obj in objects)
        related = (link.value for link in links if link is not None and link.value is not None)
        return list({id(each): each for each in related}.values())


def prefetch(objects: Iterable[Any], *names: str) -> list[Any]:
    """Load what a list of Storm objects refers to, with one query for each name.

    ``objects`` is a result set or any iterable of objects of one class. A name is that of a
    ``DjangoReference``, a ``DjangoReferenceSet`` or a ``related_name``; behind ``__`` go on what
    Django's ``prefetch_related()`` takes. Returns the objects as a list. Raises ``AttributeError``
    for a name that is no reference.
    """
    found = list(objects)
    if not found:
        return found
    for name in names:
        first, _, rest = name.partition("__")
        reference = _reference(type(found[0]), first)
        related = reference.prefetch(found)
        if rest and related:
            models.prefetch_related_objects(related, rest)
    return found


def _reference(cls: type, name: str) -> DjangoReference | DjangoReferenceSet:
    for each in cls.__mro__:
        reference = each.__dict__.get(name)
        if isinstance(reference, (DjangoReference, DjangoReferenceSet)):
            return reference
    raise AttributeError(f"{cls.__qualname__}.{name} is no reference to a Django model")
