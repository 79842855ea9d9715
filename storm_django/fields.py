"""``StormForeignKey``: a reference from a Django model to a Storm object."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django import forms
from django.apps import apps
from django.core.checks import CheckMessage
from django.core.exceptions import ValidationError
from django.db import models, router
from django.db.models.signals import pre_save
from django.utils.functional import cached_property
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _
from storm.store import ResultSet, Store

from storm_django.aliases import store_of_alias
from storm_django.column_types import column_type, quote_table
from storm_django.held_objects import HeldKey, StormObject, held_object, let_go
from storm_django.key_columns import KeyColumn, is_object, key_of_class

if TYPE_CHECKING:
    _Field = models.Field[Any, Any]
else:
    _Field = models.Field  # which can't be subscripted at run time

ON_DELETE: dict[Any, str] = {
    models.CASCADE: "CASCADE",
    models.PROTECT: "RESTRICT",
    models.RESTRICT: "RESTRICT",
    models.SET_NULL: "SET NULL",
    models.DO_NOTHING: "NO ACTION",
}
"""What the database does with a row when that of the Storm object is deleted."""


class StormForeignKey(_Field):
    """The key of a Storm object, which the attribute of the field's name gives.

    ``to`` is the Storm class, or its dotted path; it has a primary key of one column. The column
    is named like Django's (``session_id``) and has the type of that key. ``on_delete`` is what the
    *database* does when the Storm object's row is deleted, by whomever: ``CASCADE``, ``PROTECT``
    or ``RESTRICT`` (the deletion is an ``IntegrityError``), ``SET_NULL`` or ``DO_NOTHING`` (the
    commit is an ``IntegrityError`` on PostgreSQL and SQLite, the deletion on MySQL). With
    ``db_constraint=False`` it does nothing. ``related_name`` is the attribute of the Storm class
    that gives the rows that refer to an object; without it there is none.

    Raises ``TypeError`` or ``ValueError`` for another ``to`` or ``on_delete``.
    """

    descriptor_class = HeldKey
    empty_strings_allowed = False
    # Here it is an option of the database.
    non_db_attrs = tuple(name for name in _Field.non_db_attrs if name != "on_delete")
    default_error_messages = {
        "invalid": _("%(value)s is no key."),
        "missing": _("%(model)s instance with key %(value)s does not exist."),
    }
    description = _("Storm object")

    def __init__(
        self,
        to: type | str,
        on_delete: Callable[..., Any],
        *,
        db_constraint: bool = True,
        related_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(to, (type, str)):
            raise TypeError(f"StormForeignKey({to!r}): write a Storm class or its dotted path")
        if on_delete not in ON_DELETE:
            known = ", ".join(each.__name__ for each in ON_DELETE)
            raise ValueError(
                f"StormForeignKey(on_delete={on_delete!r}): the database can do {known}"
            )
        self.to = to
        self.on_delete = on_delete
        self.db_constraint = db_constraint
        self.related_name = related_name
        kwargs.setdefault("db_index", True)
        super().__init__(**kwargs)

    @property
    def path(self) -> str:
        """The dotted path of the Storm class."""
        if isinstance(self.to, str):
            return self.to
        return f"{self.to.__module__}.{self.to.__qualname__}"

    @cached_property
    def storm_class(self) -> type:
        """The Storm class. Raises ``ImportError`` for a path that names none."""
        found: type = import_string(self.to) if isinstance(self.to, str) else self.to
        return found

    @cached_property
    def key(self) -> KeyColumn:
        """The primary key of the Storm class. Raises ``UnusableKeyError``."""
        return key_of_class(self.storm_class)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        kwargs.update(to=self.path, on_delete=self.on_delete)
        if not self.db_constraint:
            kwargs["db_constraint"] = False
        if self.related_name is not None:
            kwargs["related_name"] = self.related_name
        if kwargs.pop("db_index", False) is False:
            kwargs["db_index"] = False
        return name, path, args, kwargs

    def get_attname(self) -> str:
        return f"{self.name}_id"

    def contribute_to_class(self, cls: Any, name: str, private_only: bool = False) -> None:
        super().contribute_to_class(cls, name, private_only)
        StormObject(self).contribute_to_class(cls)
        if cls._meta.abstract or cls._meta.apps is not apps:
            return  # it is copied to the models below, or belongs to a migration
        pre_save.connect(refuse_unsaved, sender=cls)
        if apps.ready:
            self.connect()

    def connect(self) -> None:
        """Give the Storm class its accessor, where it has no attribute of that name."""
        if self.related_name is None:
            return
        from storm_django.reference_sets import add_accessor

        add_accessor(self)

    @property
    def accessor_name(self) -> str | None:
        """``related_name`` with the model's names in it, as Django has them."""
        if self.related_name is None:
            return None
        meta = self.model._meta
        return self.related_name % {
            "class": self.model.__name__.lower(),
            "model_name": meta.model_name,
            "app_label": meta.app_label,
        }

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        from storm_django.reference_checks import check_field, check_storm_class

        # Without a usable class the other checks can't be made.
        return check_storm_class(self) or [
            *super().check(**kwargs),
            *check_field(self, kwargs.get("databases")),
        ]

    # Stores.

    def store_for(self, instance: Any) -> Store:
        """This thread's store of an instance's database."""
        alias = instance._state.db or router.db_for_read(self.model, instance=instance)
        return store_of_alias(alias)

    # Columns.

    def db_type(self, connection: Any) -> str:
        """The type of the key's column, or by its class while its table does not exist."""
        found = column_type(connection, self.key.table, self.key.column.name)
        return found or self.key.default_type(connection.vendor)

    def cast_db_type(self, connection: Any) -> str:
        return self.key.cast_type(connection.vendor)  # without a look at the database

    def db_type_suffix(self, connection: Any) -> str | None:
        """SQLite has foreign keys in the definition of the column only."""
        if connection.vendor != "sqlite" or not self.db_constraint:
            return None
        if not hasattr(connection, "store_settings"):
            return None  # a stock engine's database, in which Storm has no tables
        quote = connection.ops.quote_name
        return (
            f"REFERENCES {quote_table(connection, self.key.table)} ({quote(self.key.column.name)}) "
            f"ON DELETE {ON_DELETE[self.on_delete]} DEFERRABLE INITIALLY DEFERRED"
        )

    # Values.

    def to_python(self, value: Any) -> Any:
        if value is None or (value == "" and not self.key.is_text):
            return None
        try:
            if isinstance(value, self.storm_class):
                return self.key.of(value)
            return self.key.clean(value)
        except ValueError as error:
            raise ValidationError(
                self.error_messages["invalid"], code="invalid", params={"value": value}
            ) from error

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        if value is None:
            return None
        if isinstance(value, self.storm_class):
            key = self.key.of(value)
            if key is None:
                raise ValueError(
                    f"Unsaved Storm object {value!r} cannot be used in an ORM query; add it to "
                    f"the store first"
                )
            value = key
        elif is_object(value):
            raise ValueError(
                f'Cannot query "{value!r}": Must be "{self.storm_class.__name__}" instance.'
            )
        try:
            return self.key.to_database(self.key.clean(value))
        except ValueError as error:
            raise ValueError(
                f"Field '{self.name}' expected a {self.storm_class.__name__} or its key but got "
                f"{value!r}: {error}"
            ) from error

    def get_db_converters(self, connection: Any) -> list[Any]:
        return [] if self.key.is_plain else [self._from_database]

    def _from_database(self, value: Any, expression: Any, connection: Any) -> Any:
        return None if value is None else self.key.from_database(value)

    def pre_save(self, model_instance: Any, add: bool) -> Any:
        value = super().pre_save(model_instance, add)
        self.refuse_unsaved(model_instance)
        let_go(model_instance, self)
        return value

    def refuse_unsaved(self, instance: Any) -> None:
        """Raise ``ValueError`` if an instance refers to an object that has no key."""
        held = held_object(instance, self)
        if held is not None and getattr(instance, self.attname) is None:
            raise ValueError(
                f"save() prohibited to prevent data loss due to unsaved related object "
                f"'{self.name}': add {held!r} to the store first"
            )

    def value_to_string(self, obj: Any) -> str:
        value = self.value_from_object(obj)
        return "" if value is None else self.key.to_text(value)

    def validate(self, value: Any, model_instance: Any) -> None:
        super().validate(value, model_instance)
        if (
            value is not None
            and self.store_for(model_instance).get(self.storm_class, value) is None
        ):
            raise ValidationError(
                self.error_messages["missing"],
                code="invalid",
                params={"model": self.storm_class.__name__, "value": value},
            )

    def formfield(self, *, using: str | None = None, **kwargs: Any) -> forms.Field | None:
        """A ``StormChoiceField`` of all objects. ``results`` and ``widget`` can be given."""
        from storm_django.choices import StormChoiceField

        def results() -> ResultSet:
            alias = using or router.db_for_read(self.model)
            return store_of_alias(alias).find(self.storm_class)

        kwargs.setdefault("results", results)
        options = {"form_class": StormChoiceField, "storm_class": self.storm_class, **kwargs}
        return super().formfield(**options)


def refuse_unsaved(instance: Any, **kwargs: Any) -> None:
    """The receiver of ``pre_save``: a refusal inside of ``save()`` would spoil the transaction."""
    for field in instance._meta.concrete_fields:
        if isinstance(field, StormForeignKey):
            field.refuse_unsaved(instance)
