"""Queries of mirrors: Storm objects that are loaded, and removed, many at a time."""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from django.db import DatabaseError, IntegrityError, connections, models, router, transaction
from django.db.models import signals
from django.db.models.deletion import Collector
from django.db.utils import OperationalError
from storm.info import get_obj_info
from storm.store import Store

from storm_django.aliases import store_of_alias

BATCH = 500  # Storm objects that are loaded in one statement
MYSQL_REFUSALS = (1048, 1690, 3819, 4025)
"""What Django calls an ``IntegrityError`` on MySQL, and the driver an ``OperationalError``."""


def is_mirror(model: Any) -> bool:
    """Whether a Django model is the mirror of a Storm class."""
    return hasattr(model, "storm_class")


class RowGoneError(DatabaseError):
    """The row that was to be changed has been deleted meanwhile."""


@contextmanager
def database_errors(alias: str) -> Iterator[None]:
    """Raise Django's errors where Storm raises the driver's."""
    try:
        with connections[alias].wrap_database_errors:
            yield
    except OperationalError as error:
        if error.args and error.args[0] in MYSQL_REFUSALS:
            raise IntegrityError(*error.args) from error
        raise


def link(instances: Iterable[Any]) -> None:
    """Have the Storm objects of these mirrors, and of what they refer to, loaded together."""
    groups: dict[Any, list[Any]] = defaultdict(list)
    waiting = list(instances)
    seen: set[int] = set()
    while waiting:
        instance = waiting.pop()
        if isinstance(instance, models.Model) and id(instance) not in seen:
            seen.add(id(instance))
            waiting += instance._state.fields_cache.values()
            if is_mirror(type(instance)):
                groups[type(instance), instance._state.db].append(instance)
    for group in groups.values():
        for begin in range(0, len(group), BATCH):
            batch = group[begin : begin + BATCH]
            peers = [weakref.ref(instance) for instance in batch]
            for instance in batch:
                instance.__dict__["_storm_peers"] = peers


class MirrorQuerySet(models.QuerySet[Any]):
    """A query whose results load their Storm objects together, and that deletes with Storm."""

    def _fetch_all(self) -> None:
        is_first = self._result_cache is None
        super()._fetch_all()
        if is_first:
            link(self._result_cache or [])

    def iterator(self, chunk_size: int | None = None) -> Iterator[Any]:
        """The results, a batch at a time."""
        return self._linked(super().iterator(chunk_size))

    def _linked(self, results: Iterator[Any]) -> Iterator[Any]:
        while batch := list(islice(results, BATCH)):
            link(batch)
            yield from batch

    def delete(self) -> tuple[int, dict[str, int]]:
        """Remove each of the objects from its store. Returns what ``QuerySet.delete()`` does."""
        if self._fields is not None:  # type: ignore[attr-defined]
            raise TypeError("Cannot call delete() after .values() or .values_list()")
        using = self._db or router.db_for_write(self.model)  # type: ignore[attr-defined]
        return remove(list(self.using(using)), using)

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]


MirrorManager = models.Manager.from_queryset(MirrorQuerySet)


def remove(instances: list[Any], using: str) -> tuple[int, dict[str, int]]:
    """Remove mirrors' objects from their store, as ``on_delete`` of what refers to them says.

    Raises ``ProtectedError`` or ``RestrictedError``, and Django's database errors.
    """
    origin: Any = instances
    collector: Any = Collector(using=using, origin=origin)
    collector.collect(instances)
    collector.sort()
    mirrors: list[Any] = []
    for queryset in [q for q in collector.fast_deletes if is_mirror(q.model)]:
        collector.fast_deletes.remove(queryset)
        mirrors += queryset
    for model in [model for model in collector.data if is_mirror(model)]:
        mirrors += collector.data.pop(model)
    link(mirrors)
    told = {"using": using, "origin": origin}
    with transaction.atomic(using=using):
        for instance in mirrors:
            signals.pre_delete.send(sender=type(instance), instance=instance, **told)
        total, counts = collector.delete()
        with database_errors(using):
            objects = [instance.storm_object for instance in mirrors]
            _remove(store_of_alias(using), [obj for obj in objects if obj is not None])
        for instance in mirrors:
            signals.post_delete.send(sender=type(instance), instance=instance, **told)
    for instance, obj in zip(mirrors, objects, strict=True):
        if obj is not None:
            total += 1
            counts[instance._meta.label] = counts.get(instance._meta.label, 0) + 1
        instance.pk = instance.storm_object = None
    return total, counts


def _remove(store: Store, objects: list[Any]) -> None:
    for obj in objects:
        store.remove(obj)
    try:
        store.flush()
    except BaseException:
        for obj in objects:
            if Store.of(obj) is store:
                # What a rollback does for an object that is still to be removed; of this one
                # Storm has forgotten it, and it would read as None ever after.
                store._enable_lazy_resolving(get_obj_info(obj))
        raise
