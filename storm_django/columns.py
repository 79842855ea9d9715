"""The Django model field of each property of a Storm class."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from storm import Undef
from storm.expr import Expr
from storm.info import get_cls_info
from storm.properties import Property
from storm.variables import (
    BoolVariable,
    BytesVariable,
    DateTimeVariable,
    DateVariable,
    DecimalVariable,
    EnumVariable,
    FloatVariable,
    IntVariable,
    JSONVariable,
    LazyValue,
    PickleVariable,
    TimeDeltaVariable,
    TimeVariable,
    UnicodeVariable,
    UUIDVariable,
    Variable,
)

from storm_django import column_fields as fields
from storm_django.column_fields import Field

FIELDS: dict[type[Variable], type[Any]] = {
    BoolVariable: fields.BooleanColumn,
    IntVariable: fields.IntegerColumn,
    FloatVariable: fields.FloatColumn,
    DecimalVariable: fields.DecimalColumn,
    UnicodeVariable: fields.LineColumn,
    DateVariable: fields.DateColumn,
    TimeVariable: fields.TimeColumn,
    TimeDeltaVariable: fields.DurationColumn,
    UUIDVariable: fields.UUIDColumn,
    JSONVariable: fields.JSONColumn,
    BytesVariable: fields.BytesColumn,
    PickleVariable: fields.PickleColumn,
}
"""By the class of the property's variable, where nothing else matters."""


def attributes(storm_class: type) -> Iterator[str]:
    """The attributes of a Storm class that are columns, as they stand in its source.

    A column that has two attributes is named once: a key first.
    """
    found = get_cls_info(storm_class).attributes
    order: dict[str, None] = {}
    for base in reversed(storm_class.__mro__):
        order |= dict.fromkeys(
            name for name, value in vars(base).items() if isinstance(value, Property)
        )
    names = [name for name in order if name in found]
    names += [name for name in found if name not in order]
    key = key_attribute(storm_class)
    names.sort(key=lambda name: name != key)
    seen: set[str] = set()
    for name in names:
        column = found[name].name
        if column not in seen:
            seen.add(column)
            yield name


def key_attribute(storm_class: type) -> str:
    """The attribute that is the primary key. Raises ``ImproperlyConfigured`` if it is several."""
    info = get_cls_info(storm_class)
    if len(info.primary_key) != 1:
        key = set(map(id, info.primary_key))  # columns have an == of their own
        names = [name for name, column in info.attributes.items() if id(column) in key]
        raise ImproperlyConfigured(
            f"the primary key of {storm_class.__qualname__} is {', '.join(sorted(names))}; forms "
            f"and the admin take a key of one column, so the class can't be used there"
        )
    return next(
        str(name) for name, column in info.attributes.items() if column is info.primary_key[0]
    )


def model_fields(storm_class: type) -> dict[str, Field]:
    """A Django model field for each column of a Storm class, by attribute, the key first.

    Raises ``ImproperlyConfigured`` for a composite primary key.
    """
    return {name: model_field(storm_class, name) for name in attributes(storm_class)}


def model_field(storm_class: type, attribute: str, **options: Any) -> Field:
    """The Django model field for the column of a Storm class that ``attribute`` is.

    It reads from the column what Storm has written there. ``allow_none`` becomes ``null`` and
    ``blank``, ``default`` and ``default_factory`` become ``default``, and one primary key that is
    an ``Int`` without a default is an auto field. ``options`` override the field's arguments
    (``max_length``, ``max_digits``, ``decimal_places``, ``blank``, ``choices``, ``verbose_name``,
    ``help_text``, ``validators``, ``editable``, ...); three more are:

    * ``multiline=True``: a text area rather than an input of one line;
    * ``auto=False``: an integer key that people type;
    * ``field_class``: another class of model field.

    Raises ``AttributeError`` if the attribute is no column.
    """
    columns = get_cls_info(storm_class).attributes
    if attribute not in columns:
        raise AttributeError(f"{storm_class.__qualname__} has no column {attribute!r}")
    column = columns[attribute]
    factory = column.variable_factory
    known = _known_class(factory.func)
    arguments: dict[str, Any] = {"db_column": column.name}
    is_key = key_attribute(storm_class) == attribute
    default = _default(factory)
    # What the database fills in by itself, people may leave out.
    filled_in = isinstance(default, (LazyValue, Expr))
    has_default = default is not Undef and not filled_in
    field_class = _field_class(known, factory.keywords, options.pop("multiline", False))
    auto = options.pop("auto", known is IntVariable and not has_default)
    if is_key:
        arguments["primary_key"] = True
        if auto:
            field_class, arguments["verbose_name"] = fields.AutoColumn, "ID"
    else:
        arguments["null"] = factory.keywords.get("allow_none", True)
        arguments["blank"] = arguments["null"] or filled_in or default == ""
    if issubclass(field_class, fields.EnumMixin):
        arguments["choices"] = _choices(factory.keywords)
    field_class = options.pop("field_class", field_class)
    field: Any = field_class(**{**arguments, **options})
    field.variable_factory = factory
    if has_default and "default" not in options:
        _set_default(field, factory)
    return field  # type: ignore[no-any-return]


def _known_class(variable_class: type) -> type | None:
    """Which of Storm's variable classes this one is as good as."""
    for base in variable_class.__mro__:
        if base in FIELDS or base in (DateTimeVariable, EnumVariable):
            same = all(
                getattr(variable_class, name) == getattr(base, name)
                for name in ("parse_get", "parse_set")
            )
            return base if same else None
    return None


def _field_class(known: type | None, keywords: dict[str, Any], multiline: bool) -> type[Any]:
    if known is None:
        return fields.OpaqueColumn
    if known is UnicodeVariable and multiline:
        return fields.TextColumn
    if known is DateTimeVariable:
        aware = keywords.get("tzinfo") is not None
        return fields.AwareDateTimeColumn if aware else fields.NaiveDateTimeColumn
    if known is EnumVariable:
        values = set(map(type, keywords["get_map"]))
        if values <= {int}:
            return fields.EnumIntegerColumn
        return fields.EnumTextColumn if values <= {str} else fields.OpaqueColumn
    return FIELDS[known]


def _choices(keywords: dict[str, Any]) -> list[tuple[Any, str]]:
    return [(value, _label(name)) for value, name in keywords["get_map"].items()]


def _label(value: Any) -> str:
    return str(getattr(value, "label", None) or getattr(value, "name", None) or value)


def _default(factory: Any) -> Any:
    value = factory.keywords.get("value", Undef)
    return factory.keywords.get("value_factory", Undef) if value is Undef else value


def _set_default(field: Any, factory: Callable[..., Any]) -> None:
    def default() -> Any:
        value = factory().get()
        return field.from_storm(value) if isinstance(field, fields.ColumnField) else value

    value = factory.keywords.get("value", Undef)  # type: ignore[attr-defined]
    simple = isinstance(value, (bool, int, float, str))
    # The cached property of the field is not computed yet.
    field.default = default() if simple else default
