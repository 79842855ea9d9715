"""One table for each need of the tests, mapped by both ORMs."""

from datetime import timezone

from django.contrib.postgres.fields import ArrayField
from django.db import models
from storm.databases import postgres
from storm.locals import (
    JSON,
    UUID,
    Bool,
    Bytes,
    Date,
    DateTime,
    Decimal,
    Enum,
    Int,
    List,
    Time,
    TimeDelta,
    Unicode,
)

from tests.storm_django.boxes import Box, Item

__all__ = ["Box", "Item"]  # Django looks for them here


class Entry(models.Model):
    """A row that either ORM writes; ``position`` tells the five objects of a request apart."""

    name = models.CharField(max_length=40)
    position = models.IntegerField(default=0)
    done = models.BooleanField(default=False)

    class Meta:
        app_label = "tests_storm_django"


class StormEntry:
    """The same table for Storm."""

    __storm_table__ = "tests_storm_django_entry"

    id = Int(primary=True)
    name = Unicode()
    position = Int(default=0)
    done = Bool(default=False)

    def __init__(self, name: str, position: int = 0) -> None:
        self.name = name
        self.position = position


class Unique(models.Model):
    """A row whose value the database keeps unique."""

    value = models.IntegerField(unique=True)

    class Meta:
        app_label = "tests_storm_django"


class State(models.IntegerChoices):
    """What is an enum for either ORM is a number in the database."""

    PROPOSED = 1
    ACCEPTED = 2


class Typed(models.Model):
    """A column of each type."""

    text = models.TextField(null=True)  # noqa: DJ001  (None is a value to try)
    data = models.BinaryField(null=True)
    flag = models.BooleanField(null=True)
    amount = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    day = models.DateField(null=True)
    clock = models.TimeField(null=True)
    moment = models.DateTimeField(null=True)
    document = models.JSONField(null=True)
    key = models.UUIDField(null=True)
    state = models.IntegerField(choices=State.choices, null=True)

    class Meta:
        app_label = "tests_storm_django"


class StormTyped:
    """The same table for Storm."""

    __storm_table__ = "tests_storm_django_typed"

    id = Int(primary=True)
    text = Unicode()
    data = Bytes()
    flag = Bool()
    amount = Decimal()
    day = Date()
    clock = Time()
    moment = DateTime(tzinfo=timezone.utc)
    document = JSON()
    key = UUID()
    state = Enum(map={state: state.value for state in State})


class PostgresStormTyped(StormTyped):
    """The same, with Storm's property for PostgreSQL, whose driver decodes JSON."""

    document = postgres.JSON()


class NaiveStormTyped:
    """The same table, where Storm knows nothing of time zones."""

    __storm_table__ = "tests_storm_django_typed"

    id = Int(primary=True)
    moment = DateTime()


class Arrays(models.Model):
    """Arrays and intervals, which PostgreSQL has."""

    numbers = ArrayField(models.IntegerField(), null=True)
    words = ArrayField(models.TextField(), null=True)
    span = models.DurationField(null=True)

    class Meta:
        app_label = "tests_storm_django"
        required_db_vendor = "postgresql"


class StormArrays:
    """The same table for Storm."""

    __storm_table__ = "tests_storm_django_arrays"

    id = Int(primary=True)
    numbers = List(type=Int())
    words = List(type=Unicode())
    span = TimeDelta()
