"""System checks: references between the two ORMs that can't work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import FieldDoesNotExist
from django.db import connections, models, router
from django.utils.module_loading import import_string
from storm.expr import Column
from storm.variables import BytesVariable, IntVariable, UnicodeVariable, UUIDVariable

from storm_django.column_types import column_type
from storm_django.conf import ENGINE
from storm_django.key_columns import UnusableKeyError
from storm_django.links import LinkedAttribute
from storm_django.reference_sets import is_accessor_of

if TYPE_CHECKING:
    from storm_django.fields import StormForeignKey

KINDS: list[tuple[Any, Any]] = [
    (IntVariable, models.IntegerField),
    (UnicodeVariable, (models.CharField, models.TextField)),
    (UUIDVariable, models.UUIDField),
    (BytesVariable, models.BinaryField),
]
"""Which types of keys match."""


def check_storm_class(field: StormForeignKey) -> list[CheckMessage]:
    """The class of a ``StormForeignKey`` exists and has a key that can be referred to."""
    try:
        found = import_string(field.path)
    except ImportError as error:
        return [
            Error(
                f"The Storm class {field.path!r} can't be imported: {error}",
                hint="Write the dotted path of a class at the top of a module.",
                obj=field,
                id="storm_django.E007",
            )
        ]
    try:
        if field.storm_class is not found:
            raise UnusableKeyError(f"{field.path!r} is another object than the class given")
        _ = field.key
    except UnusableKeyError as error:
        return [
            Error(
                f"{error}.",
                hint="Refer to a Storm class with a table and one primary key.",
                obj=field,
                id="storm_django.E008",
            )
        ]
    return []


def check_field(field: StormForeignKey, databases: Any = None) -> list[CheckMessage]:
    """What else can be wrong with a ``StormForeignKey``."""
    return [
        *_check_database(field, databases or ()),
        *_check_accessor(field),
        *_check_on_delete(field),
    ]


def _has_our_engine(alias: str) -> bool:
    return bool(settings.DATABASES.get(alias, {}).get("ENGINE") == ENGINE)


def _check_database(field: StormForeignKey, databases: Any) -> Iterator[CheckMessage]:
    for alias in sorted({router.db_for_read(field.model), router.db_for_write(field.model)}):
        if not _has_our_engine(alias):
            yield Error(
                f"The rows are in the database {alias!r}, which shares no connection with a store.",
                hint=f"Its ENGINE has to be {ENGINE!r}.",
                obj=field,
                id="storm_django.E009",
            )
        elif alias in databases and not _has_table(field, alias):
            for other in connections:
                if other != alias and _has_our_engine(other) and _has_table(field, other):
                    yield Error(
                        f"The rows are in the database {alias!r}, and the table "
                        f"{field.key.table!r} of {field.path} is in {other!r}.",
                        hint="Have a router put the model where the Storm class is.",
                        obj=field,
                        id="storm_django.E018",
                    )


def _has_table(field: StormForeignKey, alias: str) -> bool:
    key = field.key
    return column_type(connections[alias], key.table, key.column.name) is not None


def _check_accessor(field: StormForeignKey) -> Iterator[CheckMessage]:
    name = field.accessor_name
    if name is None:
        return
    found = getattr(field.storm_class, name, None)
    if not name.isidentifier() or (found is not None and not is_accessor_of(found, field)):
        yield Error(
            f"related_name {name!r} can't be an attribute of {field.path}"
            + (", which has one of that name." if name.isidentifier() else "."),
            hint="Choose another related_name.",
            obj=field,
            id="storm_django.E010",
        )


def _check_on_delete(field: StormForeignKey) -> Iterator[CheckMessage]:
    if field.on_delete is models.SET_NULL and not field.null:
        yield Error(
            "on_delete is SET_NULL, and the field can't be null.",
            hint="Set null=True, or another on_delete.",
            obj=field,
            id="storm_django.E011",
        )
    if not field.db_constraint and field.on_delete is not models.DO_NOTHING:
        yield Warning(
            f"on_delete is {field.on_delete.__name__}, which the database is to do, and with "
            f"db_constraint=False it does nothing.",
            hint="Set on_delete=DO_NOTHING.",
            obj=field,
            id="storm_django.W012",
        )


def check_references(**kwargs: Any) -> list[CheckMessage]:
    """The models, fields and keys of each ``DjangoReference`` and ``DjangoReferenceSet``."""
    references = sorted(LinkedAttribute.known, key=repr)
    return [message for reference in references for message in _check_reference(reference)]


def _check_reference(reference: LinkedAttribute) -> Iterator[CheckMessage]:
    try:
        field = reference.field
    except (LookupError, ValueError) as error:
        yield Error(
            f"{reference!r} refers to the model {reference._model!r}, which does not exist: "
            f"{error}",
            hint='Write it as "app.Model".',
            obj=reference.owner,
            id="storm_django.E013",
        )
        return
    except FieldDoesNotExist as error:
        yield Error(
            f"{reference!r}: {error}.",
            hint="The remote key is the name of a field.",
            obj=reference.owner,
            id="storm_django.E014",
        )
        return
    try:
        column = reference.column(reference.owner)
    except (AttributeError, RuntimeError):
        column = None
    if not isinstance(column, Column):
        yield Error(
            f"{reference!r}: the local key is no property of {reference.owner.__qualname__}.",
            hint="Write a property of the class, or its name.",
            obj=reference.owner,
            id="storm_django.E015",
        )
    elif not _keys_match(column.variable_factory.func, field):
        yield Error(
            f"{reference!r}: the local key is a {column.variable_factory.func.__name__}, and "
            f"{field} a {type(field).__name__}.",
            hint="Both have to be of one type.",
            obj=reference.owner,
            id="storm_django.E016",
        )
    alias = router.db_for_read(reference.model)
    if not _has_our_engine(alias):
        yield Error(
            f"{reference!r}: the rows of {reference.model._meta.label} are in the database "
            f"{alias!r}, which shares no connection with a store.",
            hint=f"Its ENGINE has to be {ENGINE!r}.",
            obj=reference.owner,
            id="storm_django.E017",
        )


def _keys_match(variable_class: Any, field: Any) -> bool:
    """False only if both types are known, and are two."""
    while isinstance(field, models.ForeignKey):
        field = field.target_field
    if hasattr(field, "storm_class"):
        remote = [
            number for number, (v, _) in enumerate(KINDS) if issubclass(field.key.variable_class, v)
        ]
    else:
        remote = [number for number, (_, f) in enumerate(KINDS) if isinstance(field, f)]
    local = [number for number, (v, _) in enumerate(KINDS) if issubclass(variable_class, v)]
    return not (local and remote) or local == remote
