"""The base of mirrors: Django reads the row, Storm writes it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import models, router, transaction
from django.db.models import signals
from storm.exceptions import NoneError
from storm.info import get_cls_info

from storm_django.aliases import store_of_alias
from storm_django.column_fields import ColumnField, Field
from storm_django.mirror_query import (
    MirrorManager,
    RowGoneError,
    database_errors,
    remove,
)


class Mirror(models.Model):
    """A row of a Storm class as a Django model's instance. Made by ``storm_django.mirror``.

    Queries, and what the instance holds, are Django's. ``save()`` sets what differs on the Storm
    object, or makes one, and flushes; ``delete()`` removes it. Both raise Django's database errors,
    and leave neither ORM changed then. Only ``raw`` saves (``loaddata``), ``update()`` and the
    ``bulk_`` methods go straight to the table.
    """

    storm_class: ClassVar[Any]
    storm_attributes: ClassVar[dict[str, str]]
    """The attribute of the Storm class for each ``attname`` of a field."""
    storm_store: ClassVar[str | None] = None
    """The name of the store; None for that of the ``default`` alias."""

    objects = MirrorManager()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        if self.storm_class.__str__ is not object.__str__ and self.storm_object is not None:
            return str(self.storm_object)
        name = self.storm_class.__name__
        return name if self.pk is None else f"{name} {self.pk}"

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        state.pop("_storm_object", None)
        state.pop("_storm_peers", None)
        return state

    # The Storm object.

    @property
    def storm_object(self) -> Any:
        """The Storm object of this row; None if it has no row, or not any more.

        The first of a page loads those of all others, in one statement. An object that has no row
        yet may be assigned: ``save()`` then adds it.
        """
        if "_storm_object" not in self.__dict__:
            self._load_storm_objects()
        return self.__dict__.get("_storm_object")

    @storm_object.setter
    def storm_object(self, value: Any) -> None:
        self.__dict__["_storm_object"] = value

    def _load_storm_objects(self) -> None:
        if self.pk is None or self._state.adding:
            return
        peers = [ref() for ref in self.__dict__.get("_storm_peers", [])]
        waiting: dict[Any, list[Any]] = defaultdict(list, {self.pk: [self]})
        for peer in peers:
            if peer is not None and peer.pk is not None and "_storm_object" not in peer.__dict__:
                waiting[peer.pk].append(peer)
        store = store_of_alias(self._state.db or router.db_for_read(type(self)))
        with database_errors(self._state.db or "default"):
            if len(waiting) == 1:
                found = {self.pk: store.get(self.storm_class, self._storm_key())}
            else:
                column = get_cls_info(self.storm_class).primary_key[0]
                keys = [group[0]._storm_key() for group in waiting.values()]
                objects = store.find(self.storm_class, column.is_in(keys)).order_by()
                found = {type(self)._key_of(obj): obj for obj in objects}
        for key, group in waiting.items():
            for instance in group:
                instance.__dict__["_storm_object"] = found.get(key)

    def _storm_key(self) -> Any:
        return _to_storm(self._meta.pk, self.pk)

    @classmethod
    def _key_of(cls, obj: Any) -> Any:
        key = cls._meta.pk
        return _from_storm(key, getattr(obj, cls.storm_attributes[key.attname]))

    # Validation.

    def clean_fields(self, exclude: Any = None) -> None:
        """Run the validators of the Django fields, and those of Storm for what would be set.

        Storm's see the Storm object; in place of one that is still to be made, an object without
        a store that has what is before. Raises ``ValidationError`` with the errors of all fields.
        """
        errors: dict[str, Any] = {}
        try:
            super().clean_fields(exclude)
        except ValidationError as error:
            errors = error.update_error_dict({})
        obj = self.storm_object
        is_new = obj is None
        if is_new:
            obj = self.storm_class.__new__(self.storm_class)
        for field in self._meta.concrete_fields:
            if field.name in errors or (exclude and field.name in exclude):
                continue
            if not _is_written(field):
                continue
            try:
                with _named(field):
                    self._check(obj, field, is_new)
            except ValidationError as error:
                error.update_error_dict(errors)
        if errors:
            raise ValidationError(errors)

    def _check(self, obj: Any, field: Field, is_new: bool) -> None:
        attribute = self.storm_attributes[field.attname]
        value = field.to_python(getattr(self, field.attname))
        if not _differs(obj, attribute, field, value):
            return
        value = _to_storm(field, value)
        if is_new:
            setattr(obj, attribute, value)
        else:
            column = get_cls_info(self.storm_class).attributes[attribute]
            column.variable_factory(validator_object_factory=lambda: obj).set(value)

    # Writing.

    def save_base(
        self,
        raw: bool = False,
        force_insert: Any = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
    ) -> None:
        """Write with Storm; straight to the table if ``raw``.

        Raises ``ValidationError`` for what a validator of Storm refuses, ``RowGoneError`` if the
        row is gone, and Django's database errors.
        """
        if raw:
            super().save_base(raw, force_insert, force_update, using, update_fields)
            return
        using = using or router.db_for_write(type(self), instance=self)
        told = {"instance": self, "raw": False, "using": using, "update_fields": update_fields}
        signals.pre_save.send(sender=type(self), **told)
        with transaction.atomic(using=using):
            created = self._write(using, force_insert, force_update, update_fields)
        self._state.db = using
        self._state.adding = False
        signals.post_save.send(sender=type(self), created=created, **told)

    save_base.alters_data = True  # type: ignore[attr-defined]

    def _write(self, using: str, force_insert: Any, force_update: bool, update_fields: Any) -> bool:
        store = store_of_alias(using)
        obj = None
        with database_errors(using):
            if self.pk is not None and not force_insert:
                obj = store.get(self.storm_class, self._storm_key())
            is_new = obj is None
            if obj is None:
                if update_fields or force_update or not self._state.adding:
                    raise RowGoneError(
                        f"{self.storm_class.__name__} {self.pk} is not in the database any more"
                    )
                obj = self.__dict__.get("_storm_object") or self.storm_class.__new__(
                    self.storm_class
                )
            written = [
                field
                for field in self._meta.concrete_fields
                if field.attname in self.__dict__
                and _is_written(field)
                and (update_fields is None or {field.name, field.attname} & set(update_fields))
            ]
            for field in written:
                with _named(field):
                    self._assign(obj, field, is_new)
            if is_new:
                store.add(obj)
            store.flush()
            # The key, and what a validator or a hook has made of the rest.
            self.take(obj, {self._meta.pk, *written})
        self.storm_object = obj
        return is_new

    def take(self, obj: Any, fields: Iterable[Any]) -> None:
        """Set these fields to what a Storm object has."""
        for field in fields:
            value = getattr(obj, self.storm_attributes[field.attname])
            setattr(self, field.attname, _from_storm(field, value))

    def _assign(self, obj: Any, field: Any, is_new: bool) -> None:
        value = field.pre_save(self, is_new)
        if hasattr(value, "resolve_expression"):
            raise TypeError(
                f"{field.name} is a database expression, which Storm can't write; use update()"
            )
        attribute = self.storm_attributes[field.attname]
        value = field.to_python(value)
        if _differs(obj, attribute, field, value):
            setattr(obj, attribute, _to_storm(field, value))

    def delete(
        self, using: str | None = None, keep_parents: bool = False
    ) -> tuple[int, dict[str, int]]:
        """Remove the object from its store. Returns and raises what ``Model.delete()`` does."""
        if self.pk is None:
            raise ValueError(f"{self} can't be deleted: it has no key")
        return remove([self], using or router.db_for_write(type(self), instance=self))

    delete.alters_data = True  # type: ignore[attr-defined]


@contextmanager
def _named(field: Field) -> Iterator[None]:
    """Have what Storm or a validator refuses be an error of this field."""
    try:
        yield
    except ValidationError as error:
        raise ValidationError({field.name: error.messages}) from error
    except (ValueError, NoneError) as error:
        raise ValidationError({field.name: str(error)}) from error


def _is_written(field: Any) -> bool:
    return field.is_written if isinstance(field, ColumnField) else True


def _differs(obj: Any, attribute: str, field: Any, value: Any) -> bool:
    found = _from_storm(field, getattr(obj, attribute))
    return bool(found != value) or type(found) is not type(value)


def _to_storm(field: Any, value: Any) -> Any:
    return field.to_storm(value) if isinstance(field, ColumnField) else value


def _from_storm(field: Any, value: Any) -> Any:
    return field.from_storm(value) if isinstance(field, ColumnField) else value
