"""The Storm object of a Django instance: where it is kept, for how long, and who may see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ObjectDoesNotExist
from django.db.models.query_utils import DeferredAttribute
from storm.info import get_obj_info
from storm.store import PENDING_REMOVE, Store

from storm_django.aliases import alias_of_store
from storm_django.key_columns import is_object

if TYPE_CHECKING:
    from storm_django.fields import StormForeignKey


class Held:
    """The object that an instance refers to, kept alive; in the ``fields_cache`` of the instance.

    It is never changed, so that copies of the instance can share it, and the object does not go
    into a pickle. While ``follows`` is true the object was assigned before its key was in the
    database, and the instance's key is what the object's is by now.
    """

    def __init__(self, field: StormForeignKey, obj: Any, follows: bool) -> None:
        self.field = field
        self.obj = obj
        self.follows = follows

    def __deepcopy__(self, memo: dict[int, Any]) -> Held:
        return self

    def __reduce__(self) -> Any:
        key = None
        if self.follows:
            key = self.field.key.of(self.obj)
            if key is None:
                raise ValueError(
                    f"{self.field} refers to {self.obj!r}, which has no key that could be pickled; "
                    f"add it to the store first"
                )
        return Unpickled, (key,)

    def key(self, *, flush: bool = True) -> Any:
        """The object's key; its store is flushed if it has none yet."""
        return self.field.key.of(self.obj, flush=flush)

    def is_in_database(self) -> bool:
        """Whether the object's key can't change any more by a flush."""
        return self.field.key.is_settled(self.obj)

    def is_fresh(self, store: Store) -> bool:
        """Whether Storm would take the object from its cache."""
        info = get_obj_info(self.obj)
        return (
            info.get("store") is store
            and not info.get("invalidated")
            and info.get("pending") != PENDING_REMOVE
        )


class Unpickled:
    """What comes out of a pickle for it: the key of an object that had just been assigned."""

    def __init__(self, key: Any) -> None:
        self.unpickled_key = key


def held_by(instance: Any, field: StormForeignKey) -> Held | None:
    """What an instance holds for a field. It stops to follow once the object is in the database."""
    cache = instance._state.fields_cache
    held = cache.get(field.name)
    if isinstance(held, Unpickled):
        del cache[field.name]
        if held.unpickled_key is not None:
            instance.__dict__[field.attname] = held.unpickled_key
        return None
    if held is not None and held.follows and held.is_in_database():
        held = hold(instance, field, held.obj, held.key(), follows=False)
    return held  # type: ignore[no-any-return]


def hold(instance: Any, field: StormForeignKey, obj: Any, key: Any, *, follows: bool) -> Held:
    """Have an instance hold an object."""
    instance.__dict__[field.attname] = key
    held = instance._state.fields_cache[field.name] = Held(field, obj, follows)
    return held


def held_object(instance: Any, field: StormForeignKey) -> Any:
    """The object that an instance holds, or None."""
    held = held_by(instance, field)
    return None if held is None else held.obj


def let_go(instance: Any, field: StormForeignKey) -> None:
    """The key is being saved: what becomes of the object's does not concern the instance now."""
    held = held_by(instance, field)
    if held is not None and held.follows:
        hold(instance, field, held.obj, held.key(), follows=False)


class HeldKey(DeferredAttribute):
    """The attribute of the key (``session_id``)."""

    field: StormForeignKey

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        if instance is not None:
            held = held_by(instance, self.field)
            if held is not None and held.follows:
                instance.__dict__[self.field.attname] = held.key()
        return super().__get__(instance, cls)

    def __set__(self, instance: Any, value: Any) -> None:
        held = held_by(instance, self.field)
        if held is not None:
            attributes = instance.__dict__
            before = held.key(flush=False) if held.follows else attributes.get(self.field.attname)
            if value != before:
                del instance._state.fields_cache[self.field.name]
        instance.__dict__[self.field.attname] = value


class StormObject:
    """The attribute of the object (``session``), with Django's protocol of prefetching.

    The object is that which the store would give for the key. It is looked up again when it is
    that of another thread, or when Storm has invalidated it.
    """

    def __init__(self, field: StormForeignKey) -> None:
        self.field = field
        name = f"{field.model.__qualname__}.{field.name}.RelatedObjectDoesNotExist"
        self.RelatedObjectDoesNotExist: type[Exception] = type(
            "RelatedObjectDoesNotExist",
            (ObjectDoesNotExist, AttributeError),
            {"__module__": field.model.__module__, "__qualname__": name},
        )

    def contribute_to_class(self, cls: Any) -> None:
        """Be an attribute of a model."""
        setattr(cls, self.field.name, self)
        setattr(cls, self._prefetched_name, Prefetched(self.field))

    @property
    def _prefetched_name(self) -> str:
        return f"_{self.field.name}_prefetched"

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        if instance is None:
            return self
        field = self.field
        held = held_by(instance, field)
        if held is not None and held.follows:
            return held.obj
        key = getattr(instance, field.attname)
        if key is None:
            if field.null:
                return None
            raise self.RelatedObjectDoesNotExist(f"{field.model.__name__} has no {field.name}.")
        store = field.store_for(instance)
        if held is not None and held.is_fresh(store) and held.key(flush=False) == key:
            return held.obj
        obj = store.get(field.storm_class, field.key.clean(key))
        if obj is None:
            instance._state.fields_cache.pop(field.name, None)
            raise self.RelatedObjectDoesNotExist(
                f"{field.storm_class.__name__} with key {key!r} does not exist."
            )
        hold(instance, field, obj, key, follows=False)
        return obj

    def __set__(self, instance: Any, value: Any) -> None:
        """Refer to an object, or to that with a key, as with Storm's ``Reference``, or to none."""
        field = self.field
        if not isinstance(value, field.storm_class):
            setattr(instance, field.attname, self._key(instance, value))
            return
        store = Store.of(value)
        if store is not None:
            self._check_store(instance, value, store)
        settled = field.key.is_settled(value)
        key = field.key.of(value, flush=False)
        hold(instance, field, value, key, follows=not settled)

    def _key(self, instance: Any, value: Any) -> Any:
        if value is None or hasattr(value, "resolve_expression"):
            return value
        if not is_object(value):
            try:
                return self.field.key.clean(value)
            except ValueError:
                pass
        raise ValueError(
            f'Cannot assign "{value!r}": "{instance._meta.object_name}.{self.field.name}" must be '
            f'a "{self.field.storm_class.__name__}" instance.'
        )

    def _check_store(self, instance: Any, value: Any, store: Store) -> None:
        alias = alias_of_store(store)
        if alias is None:
            raise ValueError(
                f'Cannot assign "{value!r}": its store is not that of this thread for any alias '
                f"of DATABASES."
            )
        if instance._state.db is None:
            instance._state.db = alias
        elif instance._state.db != alias:
            raise ValueError(
                f'Cannot assign "{value!r}": it is in the store of database {alias!r}, and the '
                f"{instance._meta.object_name} in database {instance._state.db!r}."
            )

    def __reduce__(self) -> Any:
        return getattr, (self.field.model, self.field.name)

    # Django's protocol of prefetch_related(): its "querysets" need only be iterable.

    def is_cached(self, instance: Any) -> bool:
        """Whether the object is at hand."""
        held = held_by(instance, self.field)
        return held is not None and (held.follows or held.is_fresh(self.field.store_for(instance)))

    def get_prefetch_querysets(
        self, instances: list[Any], querysets: list[Any] | None = None
    ) -> tuple[Any, ...]:
        """The objects of all instances, in one query."""
        if querysets:
            raise ValueError(
                f"Prefetch({self.field.name!r}) can't have a queryset: Storm loads the objects"
            )
        key = self.field.key
        return (
            self._objects(instances),
            key.of,
            lambda instance: getattr(instance, self.field.attname),
            True,
            self._prefetched_name,
            True,
        )

    def _objects(self, instances: list[Any]) -> list[Any]:
        field = self.field
        keys = {getattr(instance, field.attname) for instance in instances} - {None}
        if not keys:
            return []
        store = field.store_for(instances[0])
        found = store.find(field.storm_class, field.key.column.is_in(keys))
        return list(found.order_by())  # not by __storm_order__


class Prefetched:
    """Where Django puts an object that it has prefetched, or None for a row that is missing."""

    def __init__(self, field: StormForeignKey) -> None:
        self.field = field

    def __set__(self, instance: Any, value: Any) -> None:
        if value is not None:
            key = getattr(instance, self.field.attname)
            hold(instance, self.field, value, key, follows=False)

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        return self if instance is None else held_object(instance, self.field)
