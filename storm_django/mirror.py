"""Mirrors: a Django model of a Storm class, for forms, for the admin and for queries.

``mirror_of(Room)`` is an unmanaged model on the table of ``Room``: it has a field for each column,
and a ``ForeignKey`` for each ``Reference`` to a class with a mirror. Django reads the rows. What
is saved or deleted goes through the Storm object, which ``instance.storm_object`` is: see
:class:`Mirror`. Other attributes, properties and methods of the Storm class can be read on the
instance, and are those of the Storm object.
"""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from django.apps import apps as global_apps
from django.apps.registry import Apps
from django.core.exceptions import ImproperlyConfigured
from django.db import models, router
from storm.exceptions import ClassInfoError, PropertyPathError
from storm.expr import Column, Desc, Table
from storm.info import get_cls_info
from storm.references import Reference

from storm_django.column_fields import ReferenceColumn
from storm_django.columns import attributes, key_attribute, model_field
from storm_django.conf import conf
from storm_django.mirror_model import Mirror

__all__ = ["Mirror", "mirror_of"]


class PrivateApps(Apps):
    """A registry of models without apps, which has them know what refers to them."""

    @functools.cache  # noqa: B019  (clear_cache() of the base class clears it)
    def get_models(self, *args: Any, **kwargs: Any) -> list[type[models.Model]]:
        return [model for found in self.all_models.values() for model in found.values()]


private_apps = PrivateApps()
"""The registry of the mirrors that belong to no app. Migrations and content types ignore it."""

_lock = threading.RLock()
_mirrors: dict[tuple[type, str | None], type[Mirror]] = {}


class Delegate:
    """An attribute of the Storm class on its mirror."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type[Mirror]) -> Any:
        if instance is None:
            return getattr(owner.storm_class, self.name)
        obj = instance.storm_object
        if obj is None:
            raise owner.DoesNotExist(f"{instance} has no Storm object")
        return getattr(obj, self.name)


def mirror_of(
    storm_class: type,
    *,
    app_label: str | None = None,
    columns: Mapping[str, Any] | None = None,
    meta: Mapping[str, Any] | None = None,
    store: str | None = None,
    together: Mapping[type, str] = MappingProxyType({}),
) -> type[Mirror]:
    """The mirror of a Storm class, made at the first call.

    Without ``app_label`` it is private: no migrations, content types or permissions, and the
    classes that it refers to have private mirrors too. With one it is a model of that app, and the
    classes that it refers to have their ``ForeignKey`` if they have such a mirror already, or are
    in ``together``: the classes whose mirrors are made next, and the label of each.

    ``columns`` has, by attribute, a dict of options for
    :func:`~storm_django.columns.model_field` or a whole model field; for a ``ForeignKey`` the name
    is that of the reference. A key column that is named stays a plain column. ``meta`` goes into
    the model's ``Meta``. ``store`` is the name of the store, if it is not that of the ``default``
    alias: see :class:`~storm_django.routers.StormRouter`.

    Raises ``ImproperlyConfigured`` for a class that can't have one: with a composite primary key,
    without a table, with an attribute that every Django model has, or with the name of another
    model of the app; and if the mirror exists with other options.
    """
    options = dict(columns or {}), dict(meta or {}), store
    with _lock:  # two requests may be the first to ask
        return _mirror_of(storm_class, app_label, options, together)


def _mirror_of(
    storm_class: type,
    app_label: str | None,
    options: tuple[dict[str, Any], dict[str, Any], str | None],
    together: Mapping[type, str],
) -> type[Mirror]:
    found = _mirrors.get((storm_class, app_label))
    if found is not None:
        if any(options) and options != found.__dict__["_options"]:
            raise ImproperlyConfigured(
                f"{storm_class.__qualname__} has a mirror already, made with other options; give "
                f"them where it is mentioned first"
            )
        return found
    table = _table(storm_class)
    label, name = _address(storm_class, app_label)
    if options[2] is not None:
        _check_alias(name, label, options[2])
    fields = _Fields(storm_class, app_label, options[0], together)
    mirror = _make(
        name,
        fields.by_name,
        {
            "app_label": label,
            "apps": private_apps if app_label is None else global_apps,
            "managed": False,
            "db_table": table,
            "base_manager_name": "objects",
            "ordering": _ordering(storm_class, fields.attributes),
            **options[1],
        },
        {
            "storm_class": storm_class,
            "storm_attributes": fields.attributes,
            "storm_store": options[2],
            "_options": options,
        },
    )
    _mirrors[storm_class, app_label] = mirror
    if app_label is None:
        for target in fields.targets:
            mirror_of(target)
    return mirror


def registered(storm_class: type) -> type[Mirror] | None:
    """The mirror of a Storm class in an app, if it has one."""
    for (found, app_label), mirror in _mirrors.items():
        if found is storm_class and app_label is not None:
            return mirror
    return None


def registered_mirrors() -> list[type[Mirror]]:
    """All mirrors that belong to apps."""
    return [mirror for (_, app_label), mirror in _mirrors.items() if app_label is not None]


def missed_references(mirror: type[Mirror]) -> list[tuple[str, type]]:
    """The references, and their classes, that got no ``ForeignKey``: it was made too early."""
    plain = {
        mirror.storm_attributes[field.attname]
        for field in mirror._meta.concrete_fields
        if not (field.is_relation or field.primary_key)
    }
    return [
        (name, target)
        for attribute, name, target in references(mirror.storm_class)
        if attribute in plain.difference(mirror.__dict__["_options"][0]) and registered(target)
    ]


def app_label_of(storm_class: type) -> str:
    """The label of the app that holds a class. Raises ``ImproperlyConfigured`` if none does."""
    config = global_apps.get_containing_app_config(storm_class.__module__)
    if config is None:
        raise ImproperlyConfigured(
            f"{storm_class.__module__}.{storm_class.__qualname__} is in no app of INSTALLED_APPS; "
            f"give an app_label"
        )
    return config.label


def references(storm_class: type) -> Iterator[tuple[str, str, type]]:
    """Each reference by one column to the key of another class.

    Yields the attribute of the column, that of the ``Reference``, and the class.
    """
    info = get_cls_info(storm_class)
    by_column = {id(column): name for name, column in info.attributes.items()}
    for name in dir(storm_class):
        try:
            reference = getattr(storm_class, name, None)
            relation = reference._relation if isinstance(reference, Reference) else None
        except PropertyPathError:
            continue  # to a class that nobody has imported
        if relation is None or relation.on_remote or not relation.remote_key_is_primary:
            continue
        local = relation._get_local_columns(storm_class)
        if len(local) == 1 and id(local[0]) in by_column:
            yield by_column[id(local[0])], name, relation.remote_cls


class _Fields:
    """The fields of a mirror: by name, and the attribute of the Storm class for each."""

    def __init__(
        self,
        storm_class: type,
        app_label: str | None,
        options: dict[str, Any],
        together: Mapping[type, str],
    ) -> None:
        self.storm_class = storm_class
        self.app_label = app_label
        self.by_name: dict[str, Any] = {}
        self.attributes: dict[str, str] = {}
        self.targets: list[type] = []
        self.together = {**together, storm_class: app_label}
        key = key_attribute(storm_class)
        found = {
            column: (name, target)
            for column, name, target in references(storm_class)
            if column not in (key, *options) and self._has_mirror(target)
        }
        for attribute in attributes(storm_class):
            name, target = found.get(attribute, (attribute, None))
            self._add(attribute, name, target, options.get(name, {}))
        unknown = set(options) - set(self.by_name) - set(self.attributes.values())
        if unknown:
            raise ImproperlyConfigured(
                f"columns names {', '.join(sorted(unknown))}, which {storm_class.__qualname__} "
                f"does not have"
            )

    def _has_mirror(self, target: type) -> bool:
        if self.app_label is None:
            return len(get_cls_info(target).primary_key) == 1
        return target in self.together or registered(target) is not None

    def _add(self, attribute: str, name: str, target: type | None, option: Any) -> None:
        column = get_cls_info(self.storm_class).attributes[attribute]
        if isinstance(option, models.Field):
            field: Any = option
            field.db_column = column.name
        elif target is not None:
            field = self._foreign_key(column, name, target, option)
        else:
            field = model_field(self.storm_class, attribute, **option)
        # What Django does not allow in the name of a field.
        name = re.sub("__+", "_", name).rstrip("_")
        attname = f"{name}_id" if isinstance(field, models.ForeignKey) else name
        if hasattr(Mirror, name) or name == "pk" or attname in self.attributes:
            raise ImproperlyConfigured(
                f"{self.storm_class.__qualname__}.{attribute} can't be a field of a Django model: "
                f"the name is taken by {'another column' if name in self.by_name else 'Django'}; "
                f"give the column another attribute"
            )
        self.by_name[name] = field
        self.attributes[attname] = attribute

    def _foreign_key(self, column: Any, name: str, target: type, option: dict[str, Any]) -> Any:
        self.targets.append(target)
        nullable = column.variable_factory.keywords.get("allow_none", True)
        if self.app_label is None or target in self.together:
            to: Any = ".".join(_address(target, self.together.get(target)))
        else:
            to = registered(target)
        arguments = {
            "to": to,
            "on_delete": models.PROTECT,
            "db_constraint": False,
            "db_column": column.name,
            # Django's book_set may clash with a column, or with another reference.
            "related_name": f"{self.storm_class.__name__.lower()}_{name}_set",
            "null": nullable,
            "blank": nullable,
            **option,
        }
        field: Any = ReferenceColumn(**arguments)
        field.variable_factory = column.variable_factory
        return field


def _address(storm_class: type, app_label: str | None) -> tuple[str, str]:
    """The app label and the name of a mirror."""
    name = storm_class.__name__
    if app_label is not None:
        return app_label, name
    if storm_class not in _private_addresses:
        label = storm_class.__module__.replace(".", "_")
        taken = set(_private_addresses.values())
        number = 1
        while (label, name) in taken:  # a class made twice, in a function
            number += 1
            name = f"{storm_class.__name__}{number}"
        _private_addresses[storm_class] = label, name
    return _private_addresses[storm_class]


_private_addresses: dict[type, tuple[str, str]] = {}


def _table(storm_class: type) -> str:
    try:
        table = get_cls_info(storm_class).table
    except ClassInfoError as error:
        raise ImproperlyConfigured(f"{storm_class!r} is no Storm class: {error}") from error
    if not isinstance(table, Table) or not isinstance(table.name, str):
        raise ImproperlyConfigured(
            f"{storm_class.__qualname__}.__storm_table__ is not the name of a table"
        )
    # A schema and a table, as PostgreSQL and SQLite quote them.
    return '"' + table.name.replace(".", '"."') + '"' if "." in table.name else table.name


def _ordering(storm_class: type, attributes: dict[str, str]) -> list[str]:
    """``__storm_order__``, as far as it is made of columns."""
    names = {attribute: name for name, attribute in attributes.items()}
    columns = {id(c): name for name, c in get_cls_info(storm_class).attributes.items()}
    order = get_cls_info(storm_class).default_order
    ordering = []
    for item in order if isinstance(order, list) else []:
        column = item.expr if isinstance(item, Desc) else item
        attribute = columns.get(id(column)) if isinstance(column, Column) else None
        if attribute in names:
            ordering.append(f"{'-' if isinstance(item, Desc) else ''}{names[attribute]}")
    return ordering


def _make(
    name: str, fields: dict[str, Any], meta: dict[str, Any], body: dict[str, Any]
) -> type[Mirror]:
    storm_class = body["storm_class"]
    if name.lower() in meta["apps"].all_models[meta["app_label"]]:
        raise ImproperlyConfigured(
            f"the app {meta['app_label']!r} has a model {name} already, so the Storm class "
            f"{storm_class.__module__}.{storm_class.__qualname__} can't have that name there; "
            f"rename one, or give another app_label"
        )
    taken = {*dir(Mirror), *fields, *body["storm_attributes"]}
    delegates = {
        attribute: Delegate(attribute)
        for attribute in dir(storm_class)
        if not attribute.startswith("_") and attribute not in taken
    }
    return type(
        name,
        (Mirror,),
        {
            "__module__": storm_class.__module__,
            "__doc__": storm_class.__doc__,
            **delegates,
            **fields,
            **body,
            "Meta": type("Meta", (), meta),
        },
    )


def _check_alias(name: str, label: str, store: str) -> None:
    alias = conf.alias_of_store(store)
    meta = type("Meta", (), {"abstract": True, "app_label": label})
    like = type(name, (Mirror,), {"__module__": __name__, "storm_store": store, "Meta": meta})
    if router.db_for_write(like) != alias:
        raise ImproperlyConfigured(
            f"{name} is in the store {store!r}, behind the alias {alias!r}; add "
            f"'storm_django.routers.StormRouter' to DATABASE_ROUTERS"
        )
