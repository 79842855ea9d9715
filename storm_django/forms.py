"""Django forms of Storm classes.

A :class:`StormForm` is a Django ``ModelForm`` on the class's mirror (:mod:`storm_django.mirror`),
so its fields, ``Meta`` options, validation and rendering are Django's. What is given and what comes
back are Storm objects.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.forms.models import ModelFormMetaclass, modelform_factory
from storm.info import get_obj_info
from storm.store import Store
from storm.zope.zstorm import global_zstorm

from storm_django.choices import StormChoiceField, StormMultipleChoiceField
from storm_django.column_fields import ColumnField
from storm_django.conf import conf
from storm_django.mirror import Mirror, mirror_of

__all__ = ["StormChoiceField", "StormForm", "StormMultipleChoiceField", "storm_form"]


class StormFormMetaclass(ModelFormMetaclass):
    """Puts the mirror in the place of the Storm class in ``Meta``."""

    def __new__(
        mcs, name: str, bases: tuple[type, ...], attrs: dict[str, Any], **kwargs: Any
    ) -> Any:
        meta: Any = attrs.get("Meta")
        model = getattr(meta, "model", None)
        if isinstance(model, type) and hasattr(model, "__storm_table__"):
            attrs["Meta"] = type("Meta", (meta,), {"model": mirror_of(model)})
        return super().__new__(mcs, name, bases, attrs, **kwargs)


class StormForm(forms.ModelForm, metaclass=StormFormMetaclass):  # type: ignore[type-arg]
    """A form of a Storm class, which ``Meta.model`` names::

        class SessionForm(StormForm):
            class Meta:
                model = Session
                fields = ["title", "description", "room"]

    ``instance`` is a Storm object to change; without one a new object is made, as Storm makes
    those it loads, without a call of ``__init__``. An object without a store can be given too.
    ``store`` names the store that a new object is added to, if it is not that of the ``default``
    alias.

    ``form.instance`` is the mirror, a copy of the object's values: a form that is not valid has
    changed nothing. A ``ValueError`` or ``NoneError`` that Storm raises for a value, and what the
    validator of the property refuses, are errors of the field.
    """

    def __init__(
        self, *args: Any, instance: Any = None, store: str | None = None, **kwargs: Any
    ) -> None:
        mirror: Any = self._meta.model
        if instance is None:
            instance = mirror()
        elif not isinstance(instance, mirror):
            instance = _mirrored(mirror, instance)
        alias = _alias(store, instance.storm_object)
        if alias is not None:
            instance._state.db = alias
        super().__init__(*args, **{**kwargs, "instance": instance})
        self._before = _values(instance)
        key = instance._meta.pk.name
        if key in self.fields and not instance._state.adding:
            self.fields[key].disabled = True  # another key would be another object
        for field in self.fields.values():
            if isinstance(field, forms.ModelChoiceField) and field.queryset is not None:
                field.queryset = field.queryset.using(alias)

    def save(self, commit: bool = True) -> Any:
        """Add or change the Storm object, flush it, and return it. Does not commit.

        What was set on ``form.instance`` since the form was made is written too. With
        ``commit=False`` nothing is, and ``form.instance`` is returned, whose ``save()`` does the
        rest, and whose ``storm_object`` is then the object.

        Raises ``ValueError`` if the form has errors, and Django's database errors.
        """
        if self.errors or not commit:
            return super().save(commit=False)
        mirror = self.instance
        if mirror._state.adding:
            mirror.save()
        else:
            # What others have changed on the object in the meantime stays.
            mirror.save(
                update_fields=[
                    name
                    for name, value in _values(mirror).items()
                    if name in self.cleaned_data or value != self._before[name]
                ]
            )
        return mirror.storm_object

    save.alters_data = True  # type: ignore[attr-defined]


def storm_form(storm_class: type, *, form: type[StormForm] = StormForm, **options: Any) -> Any:
    """A :class:`StormForm` class for a Storm class.

    ``options`` are those of Django's ``modelform_factory()``: ``fields`` or ``exclude``, one of
    which has to be given, ``widgets``, ``labels``, ``error_messages`` and so on.
    """
    return modelform_factory(mirror_of(storm_class), form=form, **options)


def _values(mirror: Mirror) -> dict[str, Any]:
    """What the fields hold, except for the key, which is not changed."""
    fields = [field for field in mirror._meta.concrete_fields if not field.primary_key]
    return {field.name: getattr(mirror, field.attname) for field in fields}


def _mirrored(mirror: type[Mirror], obj: Any) -> Mirror:
    """A mirror of an object, with its values."""
    if not isinstance(obj, mirror.storm_class):
        raise TypeError(
            f"instance is {obj!r}; this form takes objects of {mirror.storm_class.__name__}"
        )
    if (store := Store.of(obj)) is not None:
        store.flush()  # a new object has its key then
    values = {}
    for field in mirror._meta.concrete_fields:
        value = getattr(obj, mirror.storm_attributes[field.attname])
        values[field.attname] = field.from_storm(value) if isinstance(field, ColumnField) else value
    instance = mirror(**values)
    instance.storm_object = obj
    instance._state.adding = "primary_vars" not in get_obj_info(obj)  # it was never flushed
    return instance


def _alias(name: str | None, obj: Any) -> str | None:
    """The alias of the store to write to: that of the object, or else of the name."""
    store = None if obj is None else Store.of(obj)
    if store is not None:
        name = global_zstorm.get_name(store)
    return None if name is None else conf.alias_of_store(name)
