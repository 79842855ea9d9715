"""Django model fields that read a column as Storm does.

They are for mirrors (:mod:`storm_django.mirror`), whose rows Storm writes: what Django gets from
the driver has the form in which Storm has put it there.
"""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from collections.abc import Callable
from typing import Any, TypeAlias

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models.functions import Extract, TruncDate, TruncTime
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

Field: TypeAlias = "models.Field[Any, Any]"

FLOAT_DIGITS = decimal.Context(prec=15)


class ColumnField:
    """What the fields have in common. The value on a mirror may differ from that in Storm."""

    variable_factory: Callable[..., Any]
    """Makes the Storm variable of the column."""

    is_written = True
    """Whether saving a mirror writes the field."""

    def to_storm(self, value: Any) -> Any:
        """What to assign to the property for a value of the field."""
        return value

    def from_storm(self, value: Any) -> Any:
        """The field's value for a value of the property."""
        return value

    def deconstruct(self) -> Any:
        # Migrations keep an unmanaged model in their state, no more: Django's own field will do.
        name, _path, args, kwargs = super().deconstruct()  # type: ignore[misc]
        kwargs.pop("default", None)
        stock = next(base for base in type(self).__mro__ if base.__module__.startswith("django."))
        return name, f"django.db.models.{stock.__name__}", args, kwargs


class AutoColumn(ColumnField, models.BigAutoField):  # type: ignore[type-arg,misc]
    """An integer key that the database assigns."""


class IntegerColumn(ColumnField, models.BigIntegerField):  # type: ignore[type-arg]
    """Any integer: the database knows the size of the column."""


class FloatColumn(ColumnField, models.FloatField):  # type: ignore[type-arg]
    """A float."""


class BooleanColumn(ColumnField, models.BooleanField):  # type: ignore[type-arg]
    """A truth value; with None a third one."""


class DateColumn(ColumnField, models.DateField):  # type: ignore[type-arg]
    """A day."""


class ClockMixin(ColumnField):
    """A time, whose microseconds an input does not have."""

    attname: str

    def save_form_data(self, instance: models.Model, data: Any) -> None:
        before = getattr(instance, self.attname)
        if not (before and data and before.replace(microsecond=0) == data):
            setattr(instance, self.attname, data)


class TimeColumn(ClockMixin, models.TimeField):  # type: ignore[type-arg]
    """A time of day."""


class BytesColumn(ColumnField, models.BinaryField):  # type: ignore[type-arg]
    """Bytes. No form has them."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return None if value is None else bytes(value)


class PickleColumn(BytesColumn):
    """A pickle, not loaded."""

    is_written = False


class TextMixin(ColumnField):
    """Text, of which None and the empty string are two values."""

    attname: str
    null: bool

    def save_form_data(self, instance: models.Model, data: Any) -> None:
        # A form can't tell them apart: an input that is left empty changes neither.
        if data or getattr(instance, self.attname):
            setattr(instance, self.attname, data)

    def formfield(self, **kwargs: Any) -> Any:
        if self.null:
            kwargs.setdefault("empty_value", None)
        return super().formfield(**kwargs)  # type: ignore[misc]


class LineColumn(TextMixin, models.CharField):  # type: ignore[type-arg]
    """Text in an input of one line."""

    def get_internal_type(self) -> str:
        return "TextField" if self.max_length is None else "CharField"

    def _check_max_length_attribute(self, **kwargs: Any) -> list[Any]:
        # Storm knows no length; without one the form has none.
        return []

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        return name, path if self.max_length else "django.db.models.TextField", args, kwargs


class TextColumn(TextMixin, models.TextField):  # type: ignore[type-arg]
    """Text in an input of several lines."""


class DecimalColumn(ColumnField, models.DecimalField):  # type: ignore[type-arg]
    """A decimal number with as many digits as it has."""

    def _check_decimal_places(self, *args: Any) -> list[Any]:
        return []

    def _check_max_digits(self, *args: Any) -> list[Any]:
        return []

    def _check_decimal_places_and_max_digits(self, **kwargs: Any) -> list[Any]:
        return []

    def get_internal_type(self) -> str:
        # That of DecimalField has SQLite's values rounded to decimal_places.
        return "StormDecimal"

    def db_type(self, connection: Any) -> str:
        return {"mysql": "numeric(65, 30)"}.get(connection.vendor, "numeric")

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        # SQLite has text, or a number where the column's affinity is numeric.
        if isinstance(value, float):
            return FLOAT_DIGITS.create_decimal_from_float(value)
        return decimal.Decimal(value) if isinstance(value, (str, int)) else value


class DurationColumn(ColumnField, models.DurationField):  # type: ignore[type-arg]
    """A time delta: an interval on PostgreSQL, else text."""

    def get_internal_type(self) -> str:
        return "StormDuration"

    def db_type(self, connection: Any) -> str:
        return "interval" if connection.features.has_native_duration_field else "text"

    def get_db_converters(self, connection: Any) -> list[Any]:
        # Without that of DurationField, for the microseconds that Django keeps.
        return models.Field.get_db_converters(self, connection)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if value is None or connection.features.has_native_duration_field:
            return value
        return str(value)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        if value is None:
            return None
        return self.variable_factory(value=value, from_db=True).get()


class UUIDColumn(ColumnField, models.UUIDField):  # type: ignore[type-arg]
    """A UUID: the vendor's type, or text with dashes."""

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        return None if value is None else str(self.to_python(value))

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return uuid.UUID(value) if isinstance(value, str) else value


class JSONColumn(ColumnField, models.JSONField):
    """A document, in a column of text or of the vendor's type."""

    def select_format(self, compiler: Any, sql: str, params: Any) -> Any:
        # The driver decodes json, not jsonb; of text it knows nothing.
        if compiler.connection.vendor == "postgresql":
            sql = f"({sql})::text"
        return sql, params


class AwareDateTimeColumn(ClockMixin, models.DateTimeField):  # type: ignore[type-arg]
    """A moment. Storm says what time zone a column without one is in."""

    @property
    def storm_zone(self) -> Any:
        """``tzinfo`` of the property."""
        return self.variable_factory.keywords["tzinfo"]  # type: ignore[attr-defined]

    def to_storm(self, value: Any) -> Any:
        if value is not None and timezone.is_naive(value):
            return timezone.make_aware(value)
        return value

    def from_storm(self, value: Any) -> Any:
        if value is not None and not settings.USE_TZ:
            return timezone.make_naive(value)
        return value

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        if isinstance(value, datetime.datetime) and timezone.is_naive(value):
            value = value.replace(tzinfo=self.storm_zone)
        return self.from_storm(value)


class NaiveDateTimeFormField(forms.DateTimeField):
    """The clock on the wall, in whatever time zone the reader is."""

    def to_python(self, value: Any) -> Any:
        with timezone.override(datetime.timezone.utc):  # where no hour is missing
            found = super().to_python(value)
        return found and found.replace(tzinfo=None)


class NaiveSplitDateTimeFormField(forms.SplitDateTimeField):
    """The same in two inputs."""

    def compress(self, data_list: Any) -> Any:
        with timezone.override(datetime.timezone.utc):
            found = super().compress(data_list)
        return found and found.replace(tzinfo=None)


class NaiveDateTimeColumn(ClockMixin, models.DateField):  # type: ignore[type-arg]
    """A datetime without a time zone: the clock on a wall.

    It is no ``DateTimeField``, which Django converts between time zones where ``USE_TZ`` is set,
    in Python and in SQL. It leaves dates alone.
    """

    description = "Date (with time)"

    def get_internal_type(self) -> str:
        return "DateTimeField"

    def deconstruct(self) -> Any:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.DateTimeField", args, kwargs

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str):
            try:
                found = parse_datetime(value) or parse_date(value)
            except ValueError:
                found = None
            if found is None:
                raise ValidationError(
                    models.DateTimeField.default_error_messages["invalid"],
                    code="invalid",
                    params={"value": value},
                )
            value = found
        if isinstance(value, datetime.datetime):
            # One that has a time zone comes from Django, and means the reader's clock.
            return timezone.make_naive(value) if timezone.is_aware(value) else value
        if isinstance(value, datetime.date):
            return datetime.datetime(value.year, value.month, value.day)
        return value

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if not prepared:
            value = self.get_prep_value(value)
        return connection.ops.adapt_datetimefield_value(value)

    def from_storm(self, value: Any) -> Any:
        return value and value.replace(tzinfo=None)  # of a column that has a time zone

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return self.from_storm(value)

    def formfield(self, **kwargs: Any) -> Any:
        from django.contrib.admin.widgets import AdminDateWidget, AdminSplitDateTime

        widget = kwargs.get("widget")
        if isinstance(widget, type) and issubclass(widget, AdminDateWidget):
            # The admin takes it for a date.
            kwargs |= {"widget": AdminSplitDateTime, "form_class": NaiveSplitDateTimeFormField}
        return super().formfield(**{"form_class": NaiveDateTimeFormField, **kwargs})


# Those of dates have no clock, and compare a year with bounds that are dates.
for _name in ("year", "iso_year", "hour", "minute", "second"):
    NaiveDateTimeColumn.register_lookup(
        type(f"Naive{_name.title()}", (Extract,), {"lookup_name": _name})
    )


class Unconverted:
    """For a transform of Django's: leave the time zone alone."""

    def get_tzname(self) -> None:
        return None


@NaiveDateTimeColumn.register_lookup
class NaiveDate(Unconverted, TruncDate):
    """The day."""


@NaiveDateTimeColumn.register_lookup
class NaiveTime(Unconverted, TruncTime):
    """The time of day."""


class EnumMixin(ColumnField):
    """A choice. On a mirror its value is that in the database, with the enum's name as label."""

    def to_storm(self, value: Any) -> Any:
        if value is None:
            return None
        set_map = self.variable_factory.keywords["set_map"]  # type: ignore[attr-defined]
        for python_value, database_value in set_map.items():
            if database_value == value:
                return python_value
        raise ValueError(f"{value!r} can't be set: it is not in the map of the Enum")

    def from_storm(self, value: Any) -> Any:
        get_map = self.variable_factory.keywords["get_map"]  # type: ignore[attr-defined]
        return next((key for key, found in get_map.items() if found == value), None)


class EnumIntegerColumn(EnumMixin, models.IntegerField):  # type: ignore[type-arg]
    """An enum whose values are integers in the database."""


class EnumTextColumn(EnumMixin, LineColumn):
    """An enum whose values are text in the database."""


class ReferenceColumn(ColumnField, models.ForeignKey):  # type: ignore[type-arg]
    """The local key of a ``Reference``, between two mirrors."""


class OpaqueColumn(ColumnField, models.Field):  # type: ignore[type-arg]
    """A column of a type that only Storm understands: shown as the driver gives it.

    Not editable. ``dumpdata`` writes it as JSON, in so far as that can be done.
    """

    is_written = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "editable": False})

    def db_type(self, connection: Any) -> str:
        return "text"

    def value_to_string(self, obj: models.Model) -> str:
        return json.dumps(self.value_from_object(obj), cls=DjangoJSONEncoder)

    def to_python(self, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) else value
