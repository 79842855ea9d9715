"""``DjangoReferenceSet``: the rows of a Django model that refer to a Storm object."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.db import models
from storm.exceptions import FeatureError
from storm.info import get_obj_info
from storm.store import Store

from storm_django.key_columns import UnusableKeyError
from storm_django.links import LinkedAttribute


class DjangoReferenceSet(LinkedAttribute):
    """An attribute of a Storm class: the rows of a Django model that refer to an object.

    It gives a manager like that of the other side of a Django foreign key: ``all()``,
    ``filter()``, ``create()``, ``add()``, and all that the model's default manager has. It can be
    iterated. ``local_key`` is a property of the class, or its name; ``model`` is a Django model, or
    ``"app.Model"``; ``remote_key`` the name of its field, a ``StormForeignKey`` or any field with
    the same values as the local key.

    Raises ``ValueError`` for an object that is in no store.
    """

    def __get__(self, obj: Any, cls: type | None = None) -> Any:
        if obj is None:
            return self
        base: Any = type(self.model._default_manager)
        return manager_class(base)(self, get_obj_info(obj).get_obj())

    def __set__(self, obj: Any, value: Any) -> None:
        raise FeatureError(f"{self!r} can't be assigned; use its add() or create()")

    def prefetch(self, objects: list[Any]) -> list[Any]:
        """Load the rows of all objects in one query, and return them."""
        store, infos = self.missing(objects)
        rows: dict[Any, list[Any]] = {key: [] for key in infos}
        if infos:
            manager = self.model._default_manager.using(self.alias(store))
            for row in manager.filter(**{f"{self.lookup}__in": list(infos)}):
                rows[getattr(row, self.field.attname)].append(row)
        for key, of_key in infos.items():
            for info in of_key:
                self.link(info, key, rows[key])
        links = (self.linked(get_obj_info(obj)) for obj in objects)
        return [row for link in links if link is not None for row in link.value]


class StormReferenceManager(models.Manager[Any]):
    """What the managers of all :class:`DjangoReferenceSet` have besides the model's own."""

    reference: DjangoReferenceSet
    obj: Any

    def _bind(self, reference: DjangoReferenceSet, obj: Any) -> None:
        self.reference = reference
        self.obj = obj
        self.model = reference.model
        self.name = reference.name

    def _key(self) -> Any:
        info = get_obj_info(self.obj)
        variable = self.reference.variable(info)
        store = Store.of(self.obj)
        if not variable.is_defined() and store is not None:
            store.flush()
        key = variable.get()
        if key is None:
            raise ValueError(
                f"{self.obj!r} needs a key before {self.reference!r} can be used; add it to a store"
            )
        return key

    def get_queryset(self) -> models.QuerySet[Any]:
        key = self._key()
        alias = self._db or self.reference.alias(Store.of(self.obj))
        rows: models.QuerySet[Any] = super().get_queryset()
        rows = rows.using(alias).filter(**{self.reference.lookup: key})
        link = self.reference.linked(get_obj_info(self.obj))
        if link is not None and self._db is None:
            rows._result_cache = list(link.value)
            rows._prefetch_done = True  # type: ignore[attr-defined]
        return rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self.all())

    def _referring(self, values: dict[str, Any]) -> dict[str, Any]:
        self.reference.forget(get_obj_info(self.obj))
        return {**values, self.reference.lookup: self._key()}

    def create(self, **values: Any) -> Any:
        """Save a new row that refers to the object."""
        return super().create(**self._referring(values))

    def get_or_create(self, defaults: Any = None, **values: Any) -> tuple[Any, bool]:
        """The row that refers to the object and has these values, created if there is none."""
        return super().get_or_create(defaults, **self._referring(values))

    def update_or_create(
        self, defaults: Any = None, create_defaults: Any = None, **values: Any
    ) -> tuple[Any, bool]:
        """The same, with the defaults written to a row that exists."""
        return super().update_or_create(defaults, create_defaults, **self._referring(values))

    def add(self, *rows: Any) -> None:
        """Have rows refer to the object, and save them."""
        for row in rows:
            if not isinstance(row, self.model):
                raise TypeError(f"{self.model._meta.object_name} instance expected, got {row!r}")
            for name, value in self._referring({}).items():
                setattr(row, name, value)
            row.save(using=self._db or self.reference.alias(Store.of(self.obj)))


@functools.cache
def manager_class(base: type[models.Manager[Any]]) -> Any:
    """A subclass of a model's manager that is bound to an object."""

    class BoundManager(StormReferenceManager, base):  # type: ignore[misc, valid-type]
        do_not_call_in_templates = True

        def __init__(self, reference: DjangoReferenceSet, obj: Any) -> None:
            super().__init__()
            self._bind(reference, obj)

        def __deepcopy__(self, memo: dict[int, Any]) -> BoundManager:
            return self

    return BoundManager


def add_accessors() -> None:
    """Give the Storm classes their accessors, as soon as all models are known."""
    from storm_django.fields import StormForeignKey

    for model in apps.get_models():
        for field in model._meta.local_fields:
            if isinstance(field, StormForeignKey):
                field.connect()


def add_accessor(field: Any) -> None:
    """Give the Storm class of a ``StormForeignKey`` the attribute ``related_name``."""
    try:
        storm_class = field.key.storm_class
    except (ImportError, UnusableKeyError):
        return  # a check tells
    name = field.accessor_name
    found = getattr(storm_class, name, None)
    if found is not None and not is_accessor_of(found, field):
        return  # a check tells
    reference = DjangoReferenceSet(field.key.column, field.model, field.name)
    setattr(storm_class, name, reference)
    reference.__set_name__(storm_class, name)


def is_accessor_of(found: Any, field: Any) -> bool:
    """Whether an attribute of a Storm class is what ``related_name`` of a field has put there."""
    if not isinstance(found, DjangoReferenceSet) or isinstance(found._model, str):
        return False
    label: str = field.model._meta.label
    return found._model._meta.label == label and found._remote_key == field.name
