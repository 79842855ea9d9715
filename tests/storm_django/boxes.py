"""Two tables with a reference between them, mapped by both ORMs."""

import pickle

from django.db import models
from storm.locals import Int, Pickle, Reference, ReferenceSet, Storm, Unicode


class Box(models.Model):
    """What items are in."""

    label = models.CharField(max_length=40)
    weight = models.IntegerField(default=0)

    class Meta:
        app_label = "tests_storm_django"

    def __str__(self) -> str:
        return self.label


class Item(models.Model):
    """What is in a box, or in none; ``bag`` is a pickled list."""

    box = models.ForeignKey(Box, models.CASCADE, null=True, related_name="items")
    name = models.CharField(max_length=40)
    count = models.IntegerField(default=0)
    bag = models.BinaryField(default=pickle.dumps([]))

    class Meta:
        app_label = "tests_storm_django"

    def __str__(self) -> str:
        return self.name


class StormBox(Storm):
    """The same table for Storm."""

    __storm_table__ = "tests_storm_django_box"

    id = Int(primary=True, allow_none=False)
    label = Unicode()
    weight = Int()
    items = ReferenceSet("id", "StormItem.box_id")


class StormItem(Storm):
    """The same table for Storm."""

    __storm_table__ = "tests_storm_django_item"

    id = Int(primary=True)
    box_id = Int()
    box = Reference(box_id, "StormBox.id")
    name = Unicode()
    count = Int()
    bag = Pickle()


class StormCount(Storm):
    """A part of the items' table, in a second class."""

    __storm_table__ = "tests_storm_django_item"

    id = Int(primary=True)
    count = Int()
