"""Django's shortcuts, for Storm classes and result sets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from django.http import Http404
from storm.expr import Column, Expr, Undef
from storm.info import get_cls_info
from storm.references import BoundReferenceSetBase
from storm.store import EmptyResultSet, ResultSet, Store
from storm.variables import (
    DateTimeVariable,
    DateVariable,
    DecimalVariable,
    EnumVariable,
    FloatVariable,
    TimeVariable,
    Variable,
)

from storm_django.key_columns import TYPES, KeyColumn
from storm_django.stores import get_store


def get_object_or_404(
    source: Any,
    *conditions: Expr,
    pk: Any = Undef,
    store: Store | str | None = None,
    **values: Any,
) -> Any:
    """The one object that ``source`` has, or ``Http404``.

    ``source`` is a Storm class, a ``ResultSet``, or an object's ``ReferenceSet``. ``conditions``
    and ``values`` are those of Storm's ``find()``, and ``pk`` is the primary key, a tuple if it
    has several columns. A string for a column of another type is converted, and one that can't
    be, as ``"abc"`` for an ``Int``, is ``Http404`` too, as is a value that the database can't
    hold.

    A class is looked up in ``store``, a store or its name; the default is the store behind the
    ``default`` alias. Raises Storm's ``NotOneError`` if there are more, and ``ValueError`` for a
    value of a wrong type that is no string.
    """
    source = _result_set(source, store)
    if pk is not Undef and not conditions and not values and isinstance(source, type):
        key = tuple(_cleaned(source, _primary_key(source, pk)).values())
        found = _store(store).get(source, key)  # no statement, if Storm has it
    else:
        if pk is not Undef:
            values = {**_primary_key(_class_of(source), pk), **values}
        found = _find(source, conditions, values, store).one()
    if found is None:
        raise _missing(source)
    return found


def get_list_or_404(
    source: Any, *conditions: Expr, store: Store | str | None = None, **values: Any
) -> list[Any]:
    """The objects that ``source`` has as a list, or ``Http404`` if there are none.

    The arguments are those of :func:`get_object_or_404`.
    """
    source = _result_set(source, store)
    found = list(_find(source, conditions, values, store))
    if not found:
        raise _missing(source)
    return found


def _result_set(source: Any, store: Store | str | None) -> Any:
    """What is searched: a class, or classes, or a result set."""
    if isinstance(source, BoundReferenceSetBase):
        source = source.find()
    if store is not None and isinstance(source, (ResultSet, EmptyResultSet)):
        raise ValueError("store= is for a Storm class; a result set has its store")
    return source


def _store(store: Store | str | None) -> Store:
    return store if isinstance(store, Store) else get_store(store)


def _find(
    source: Any, conditions: Iterable[Expr], values: dict[str, Any], store: Store | str | None
) -> Any:
    """The result set that is asked for. Raises ``Http404`` if no row can be in it."""
    if values:
        values = _cleaned(_class_of(source), values)
    if not isinstance(source, (ResultSet, EmptyResultSet)):
        return _store(store).find(source, *conditions, **values)
    return source.find(*conditions, **values) if conditions or values else source


def _class_of(source: Any) -> Any:
    """The class whose attributes keyword arguments are about; None if Storm knows none."""
    if isinstance(source, ResultSet):
        return source._find_spec.default_cls
    return source if isinstance(source, type) else None


def _missing(source: Any) -> Http404:
    name = getattr(_class_of(source), "__name__", "row")
    return Http404(f"No {name} matches the given query.")


def _primary_key(storm_class: type | None, key: Any) -> dict[str, Any]:
    """A primary key as the values of the attributes that it is made of."""
    if storm_class is None:
        raise ValueError("pk= is for a Storm class, or a result set of one")
    info = get_cls_info(storm_class)
    names = {id(column): name for name, column in info.attributes.items()}
    attributes = [names[id(column)] for column in info.primary_key]
    parts = key if isinstance(key, tuple) else (key,)
    if len(parts) != len(attributes):
        raise ValueError(
            f"the primary key of {storm_class.__name__} is {', '.join(attributes)}, of which "
            f"pk= has {len(parts)}"
        )
    return dict(zip(attributes, parts, strict=True))


def _cleaned(storm_class: Any, values: dict[str, Any]) -> dict[str, Any]:
    """The values in the types of their columns. Raises ``Http404`` for one that no row can have."""
    cleaned = dict(values)
    for name, value in values.items():
        column = getattr(storm_class, name, None)
        if not isinstance(column, Column) or isinstance(value, (Expr, Variable)):
            continue  # a reference, or what Storm itself will refuse
        try:
            cleaned[name] = _in_type_of(column, value)
        except (ValueError, ArithmeticError) as error:
            if isinstance(error.__cause__, TypeError):
                raise  # no text, but another type: a mistake of the program
            raise _missing(storm_class) from error
    return cleaned


def _number(number_class: type[Any]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        number = number_class(text)
        if not math.isfinite(number):  # MySQL takes a NaN for a name, or for zero
            raise ValueError(f"{text} is no number")
        return number

    return parse


PARSERS: dict[type[Variable], Callable[[str], Any]] = {
    FloatVariable: _number(float),
    DecimalVariable: _number(Decimal),
    DateTimeVariable: datetime.fromisoformat,
    DateVariable: date.fromisoformat,
    TimeVariable: time.fromisoformat,
}
"""Those of text for the types that ``KeyColumn`` has none for."""


def _in_type_of(column: Any, value: Any) -> Any:
    """A value for a column, from that, or from text. Raises ``ValueError``, ``ArithmeticError``."""
    variable_class = column.variable_factory.func
    key = KeyColumn(column.cls, column, variable_class)
    if isinstance(value, str):
        if issubclass(variable_class, (*TYPES, EnumVariable)):
            return key.clean(value)
        for known, parse in PARSERS.items():
            if issubclass(variable_class, known):
                value = parse(value)
    key.to_database(value)
    return value
