"""The key of a Storm class, as Django needs it: in Python, in the database, and as text."""

from __future__ import annotations

import base64
import binascii
import functools
import uuid
from dataclasses import dataclass
from typing import Any

from django.db.models import Model
from storm.exceptions import ClassInfoError, NoneError
from storm.expr import Table
from storm.info import get_cls_info, get_obj_info
from storm.store import Store
from storm.variables import (
    BytesVariable,
    EnumVariable,
    IntVariable,
    UnicodeVariable,
    UUIDVariable,
    Variable,
)

MAX_INTEGER = 2**63  # SQLite's driver raises OverflowError past it

TYPES: dict[type[Variable], dict[str, str]] = {
    IntVariable: {"": "integer"},
    UnicodeVariable: {"": "text", "mysql": "varchar(255)"},
    UUIDVariable: {"": "char(36)", "postgresql": "uuid"},  # where it is text, Storm has the dashes
    BytesVariable: {"": "blob", "postgresql": "bytea", "mysql": "varbinary(255)"},
}
"""The column types of keys by vendor, for where the table of the key does not exist yet."""

CASTS = {
    "postgresql": {"integer": "bigint"},
    "mysql": {
        "integer": "signed",
        "varchar(255)": "char",
        "char(36)": "char",
        "varbinary(255)": "binary",
    },
}
"""What CAST has to be told in place of these, for all keys to fit in."""


class UnusableKeyError(ValueError):
    """A class that can't be referred to: it has no table, or not one key of a type we know."""


@dataclass(frozen=True)
class KeyColumn:
    """The primary key of a Storm class. Make one with :func:`key_of_class`."""

    storm_class: type
    column: Any
    variable_class: type[Variable]

    @property
    def table(self) -> str:
        """The name of the class's table."""
        name: str = get_cls_info(self.storm_class).table.name
        return name

    @property
    def is_text(self) -> bool:
        """Whether the key is text by itself."""
        return issubclass(self.variable_class, UnicodeVariable)

    @property
    def is_plain(self) -> bool:
        """Whether the driver gives the key in its Python type."""
        return issubclass(self.variable_class, (IntVariable, UnicodeVariable))

    def of(self, obj: Any, *, flush: bool = True) -> Any:
        """The key of an object. None if it has none yet, also after its store was flushed."""
        variable = self._variable_of(obj)
        store = Store.of(obj)
        if flush and not variable.is_defined() and store is not None:
            store.flush()
        return variable.get()

    def is_settled(self, obj: Any) -> bool:
        """Whether the key of an object is that in the database."""
        variable = self._variable_of(obj)
        return bool(variable.is_defined()) and not variable.has_changed()

    def _variable_of(self, obj: Any) -> Variable:
        return get_obj_info(obj).primary_vars[0]  # a subclass has columns of its own

    def clean(self, value: Any) -> Any:
        """A key in its Python type, from that, or from text. Raises ``ValueError``."""
        if isinstance(value, str) and not self.is_text:
            return self._from_text(value)
        return self._variable(value).get()

    def to_database(self, value: Any) -> Any:
        """What Storm sends to the database for a key. Raises ``ValueError``."""
        return self._variable(value).get(to_db=True)

    def from_database(self, value: Any) -> Any:
        """The key in its Python type, from what the driver gives."""
        return self.column.variable_factory(value=value, from_db=True).get()

    def to_text(self, value: Any) -> str:
        """A key as text, for forms and serializers; :meth:`clean` reads it."""
        in_database = self.to_database(value)
        if isinstance(in_database, bytes):
            return base64.b64encode(in_database).decode("ascii")
        return str(in_database)

    def default_type(self, vendor: str) -> str:
        """The column type where the key's table does not exist yet."""
        variable_class = self.variable_class
        if issubclass(variable_class, EnumVariable):
            integers = all(isinstance(value, int) for value in self._enum_values())
            variable_class = IntVariable if integers else UnicodeVariable
        for known, types in TYPES.items():
            if issubclass(variable_class, known):
                return types.get(vendor, types[""])
        raise AssertionError(variable_class)

    def cast_type(self, vendor: str) -> str:
        """The type for CAST, which fits whatever type the column has."""
        name = self.default_type(vendor)
        return CASTS.get(vendor, {}).get(name, name)

    def _variable(self, value: Any) -> Variable:
        try:
            # Without the class's validator, which is for objects.
            variable = self.column.variable_factory(value=value, validator=None)
        except (TypeError, ValueError, OverflowError, NoneError) as error:
            raise ValueError(str(error)) from error
        in_database = variable.get(to_db=True)
        if isinstance(in_database, int) and not -MAX_INTEGER <= in_database < MAX_INTEGER:
            raise ValueError(f"{in_database} is too large for a key")
        if isinstance(in_database, str):
            if "\0" in in_database:
                raise ValueError("a key can't contain the character NUL")
            in_database.encode()  # a lone surrogate: UnicodeEncodeError is a ValueError
        return variable

    def _enum_values(self) -> dict[Any, Any]:
        values: dict[Any, Any] = self.column.variable_factory.keywords["get_map"]
        return values

    def _from_text(self, text: str) -> Any:
        if issubclass(self.variable_class, EnumVariable):
            for in_database, value in self._enum_values().items():
                if text == str(in_database) or text == value:
                    return value
            raise ValueError(f"{text!r} is no value of the enum")
        if issubclass(self.variable_class, UUIDVariable):
            return uuid.UUID(text)
        if issubclass(self.variable_class, BytesVariable):
            try:
                return base64.b64decode(text, validate=True)
            except binascii.Error as error:
                raise ValueError(str(error)) from error
        if len(text) > len(str(MAX_INTEGER)) + 1:
            raise ValueError("too many digits for a key")
        return self._variable(int(text)).get()


@functools.cache
def key_of_class(storm_class: type) -> KeyColumn:
    """The primary key of a Storm class.

    Raises :class:`UnusableKeyError` for a class without a table, with a key of several columns, or
    with one of a type that can't be referred to.
    """
    name = getattr(storm_class, "__qualname__", repr(storm_class))
    try:
        info = get_cls_info(storm_class)
    except (ClassInfoError, AttributeError, TypeError) as error:
        raise UnusableKeyError(
            f"{name} is not a Storm class with a table and a primary key: {error}"
        ) from error
    if not isinstance(info.table, Table):
        raise UnusableKeyError(f"{name}.__storm_table__ is not the name of a table")
    if len(info.primary_key) != 1:
        columns = ", ".join(column.name for column in info.primary_key)
        raise UnusableKeyError(f"{name} has a primary key of several columns ({columns})")
    (column,) = info.primary_key
    variable_class = getattr(column.variable_factory, "func", Variable)
    if not issubclass(variable_class, (*TYPES, EnumVariable)):
        raise UnusableKeyError(
            f"the primary key of {name} is a {variable_class.__name__}; a key that is referred to "
            f"is an Int, Unicode, Bytes, UUID or Enum"
        )
    return KeyColumn(info.cls, column, variable_class)


def is_object(value: Any) -> bool:
    """Whether a value is an object of either ORM, and so no key."""
    if isinstance(value, Model):
        return True
    try:
        get_cls_info(type(value))
    except (ClassInfoError, TypeError, AttributeError):
        return False
    return True
