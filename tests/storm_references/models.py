"""Models of both ORMs that refer to each other."""

from __future__ import annotations

from django.db import models
from storm.locals import Int, Unicode

from storm_django.fields import StormForeignKey
from storm_django.references import DjangoReference, DjangoReferenceSet


class Author(models.Model):
    """Whom Storm objects refer to."""

    name = models.CharField(max_length=40, unique=True)

    def __str__(self) -> str:
        return self.name


class Track:
    """What Django models refer to."""

    __storm_table__ = "tests_references_track"
    __storm_order__ = "title"

    id = Int(primary=True)
    title = Unicode()
    author_id = Int()
    editor_name = Unicode()

    author = DjangoReference(author_id, "tests_references.Author")
    editor = DjangoReference("editor_name", Author, "name")
    loose_notes = DjangoReferenceSet(id, "tests_references.LooseNote", "track_id")

    def __init__(self, title: str = "") -> None:
        self.title = title

    def __str__(self) -> str:
        return self.title


class Talk(models.Model):
    """Its rows go with the track's."""

    track = StormForeignKey(
        "tests.storm_references.models.Track", models.CASCADE, related_name="talks"
    )
    title = models.CharField(max_length=40, default="")
    speaker = models.ForeignKey(Author, models.CASCADE, null=True)

    class Meta:
        ordering = ["pk"]


class Note(models.Model):
    """Its rows forget the track."""

    track = StormForeignKey(Track, models.SET_NULL, null=True, blank=True)
    text = models.TextField(default="")


class Guard(models.Model):
    """Its rows keep the track."""

    track = StormForeignKey(Track, models.PROTECT)


class LooseNote(models.Model):
    """Its rows may refer to what does not exist."""

    track = StormForeignKey(Track, models.DO_NOTHING, db_constraint=False, null=True)


class TrackTable(models.Model):
    """The table of the Storm class."""

    title = models.CharField(max_length=40, null=True)  # noqa: DJ001
    author_id = models.IntegerField(null=True)
    editor_name = models.CharField(max_length=40, null=True)  # noqa: DJ001

    class Meta:
        db_table = "tests_references_track"
