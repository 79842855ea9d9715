"""One table for each need of the tests, mapped by both ORMs."""

from django.db import models
from storm.locals import Bool, Int, Unicode


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
