"""A library: Storm classes for forms and the admin, and Django models that make their tables."""

from __future__ import annotations

from datetime import timezone
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection, models
from storm.databases import postgres
from storm.locals import (
    JSON,
    UUID,
    Bool,
    Date,
    DateTime,
    Decimal,
    Desc,
    Enum,
    Float,
    Int,
    Pickle,
    Reference,
    TimeDelta,
    Unicode,
)
from storm.properties import SimpleProperty
from storm.variables import Variable

KINDS = [("novel", 1), ("comic", 2)]


class ShelfTable(models.Model):  # noqa: DJ008
    """The table of Shelf."""

    name = models.CharField(max_length=20, unique=True)

    class Meta:
        app_label = "tests_storm_django"
        db_table = "library_shelf"


class BookTable(models.Model):  # noqa: DJ008
    """The table of Book."""

    title = models.CharField(max_length=30)
    blurb = models.TextField(null=True)  # noqa: DJ001  (None is a value to try)
    pages = models.IntegerField(null=True)
    price = models.DecimalField(max_digits=10, decimal_places=2, null=True)
    kind = models.IntegerField(null=True)
    lent = models.BooleanField()
    printed = models.DateField(null=True)
    opens = models.DateTimeField(null=True)
    added = models.DateTimeField(null=True)
    shelf = models.ForeignKey(ShelfTable, models.PROTECT, null=True)

    class Meta:
        app_label = "tests_storm_django"
        db_table = "library_book"
        constraints = [
            models.CheckConstraint(condition=models.Q(pages__lt=5000), name="library_book_pages")
        ]


class LabelTable(models.Model):  # noqa: DJ008
    """The table of Label."""

    code = models.CharField(max_length=10, primary_key=True)
    text = models.CharField(max_length=20)

    class Meta:
        app_label = "tests_storm_django"
        db_table = "library_label"


class RawColumn(models.Field):
    """A column of a type that the vendors name differently."""

    def __init__(self, types: dict[str, str] | None = None, **options: Any) -> None:
        super().__init__(**{"null": True, **options})
        self.types = types or {}

    def db_type(self, connection: Any) -> str:
        return self.types.get(connection.vendor, "text")


class SampleTable(models.Model):  # noqa: DJ008
    """The table of Sample."""

    span = RawColumn({"postgresql": "interval"})
    stamped = RawColumn({"postgresql": "timestamp", "mysql": "datetime(6)", "sqlite": "datetime"})
    wall = RawColumn({"postgresql": "timestamp", "mysql": "datetime(6)", "sqlite": "datetime"})
    ratio = models.FloatField(null=True)
    exact = RawColumn({"postgresql": "numeric", "mysql": "decimal(30, 10)"})
    word = RawColumn({})
    pickled = models.BinaryField(null=True)
    odd = RawColumn({})
    key = RawColumn({"mysql": "varchar(36)"})
    document = RawColumn({"postgresql": "json"})

    class Meta:
        app_label = "tests_storm_django"
        db_table = "library_sample"


class Shelf:
    """A shelf, which has a name."""

    __storm_table__ = "library_shelf"
    __storm_order__ = "name"

    id = Int(primary=True)
    name = Unicode(allow_none=False)

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return f"the shelf {self.name}"


def no_shouting(book: Any, attribute: str, value: Any) -> Any:
    """A validator of Storm's kind."""
    if value is not None and value.isupper():
        raise ValueError(f"no shouting in the {attribute}")
    return value and value.strip()


def no_waste(book: Any, attribute: str, value: Any) -> Any:
    """One that raises Django's error, and looks at the object."""
    if value is not None and value > 1000 and book.title != "The Bible":
        raise ValidationError("too thick")
    return value


class Book:
    """A book on a shelf."""

    __storm_table__ = "library_book"
    __storm_order__ = Desc("title")

    id = Int(primary=True)
    title = Unicode(allow_none=False, validator=no_shouting)
    blurb = Unicode()
    pages = Int(validator=no_waste)
    price = Decimal()
    kind = Enum(map=dict(KINDS))
    lent = Bool(default=False, allow_none=False)
    printed = Date()
    opens = DateTime()
    added = DateTime(tzinfo=timezone.utc)
    shelf_id = Int()

    shelf = Reference(shelf_id, Shelf.id)

    events: list[str] = []

    @property
    def thickness(self) -> str:
        return "thick" if (self.pages or 0) > 300 else "thin"

    def summary(self) -> str:
        return f"{self.title} on {self.shelf}"

    @classmethod
    def made(cls) -> Book:
        """A book made by its own code."""
        book = cls()
        book.blurb = "made"
        return book

    def __storm_pre_flush__(self) -> None:
        Book.events.append(f"pre-flush {self.title}")

    def __storm_flushed__(self) -> None:
        Book.events.append(f"flushed {self.title}")


# __storm_order__ takes a name or a column.
Book.__storm_order__ = Desc(Book.title)


class OddVariable(Variable):
    """A variable that Django has nothing for: text that is kept backwards."""

    def parse_set(self, value: Any, from_db: bool) -> Any:
        return value[::-1] if from_db else value

    def parse_get(self, value: Any, to_db: bool) -> Any:
        return value[::-1] if to_db else value


class Odd(SimpleProperty):
    """The property of it."""

    variable_class = OddVariable


class Sample:
    """A column of each type that the tests of types don't have."""

    __storm_table__ = "library_sample"

    id = Int(primary=True)
    span = TimeDelta()
    stamped = DateTime(tzinfo=timezone.utc)
    wall = DateTime()
    ratio = Float()
    exact = Decimal()
    word = Enum(map={"yes": "y", "no": "n"})
    pickled = Pickle()
    odd = Odd()
    key = UUID()
    document = postgres.JSON() if connection.vendor == "postgresql" else JSON()


class Hall:
    """A room of the example site, to which a table without a mirror refers."""

    __storm_table__ = "sprint_room"

    id = Int(primary=True)
    name = Unicode(allow_none=False)
    seats = Int(allow_none=False, default=1)


class Label:
    """A label, whose key people type. It has no order and no name."""

    __storm_table__ = "library_label"

    code = Unicode(primary=True)
    text = Unicode(allow_none=False, default="")
