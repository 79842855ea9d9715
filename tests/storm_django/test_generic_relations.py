"""What a generic relation to the mirror of a Storm class gives, and what it does not."""

from __future__ import annotations

from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.test import TestCase

from storm_django import get_store
from storm_django.mirror import mirror_of
from tests.storm_django.models import StormEntry


class Remarked(StormEntry):
    """A Storm class with a mirror that is a model of the app, as the admin registers it."""


RemarkedMirror = mirror_of(Remarked, app_label="tests_storm_django")


class Remark(models.Model):  # noqa: DJ008  (no person sees it)
    """A remark about anything. It needs no table to be tried."""

    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.BigIntegerField()
    about = GenericForeignKey()

    class Meta:
        app_label = "tests_storm_django"
        managed = False


class GenericRelationTest(TestCase):
    def setUp(self) -> None:
        self.entry = get_store().add(Remarked("a", 1))
        get_store().flush()
        self.content_type = ContentType.objects.get_for_model(RemarkedMirror)

    def test_it_gives_the_mirror_which_has_the_storm_object(self) -> None:
        remark = Remark(content_type=self.content_type, object_id=self.entry.id)
        self.assertIsInstance(remark.about, RemarkedMirror)
        self.assertIs(remark.about.storm_object, self.entry)

    def test_it_is_set_to_a_mirror_and_not_to_a_storm_object(self) -> None:
        remark = Remark(about=RemarkedMirror.objects.get())
        self.assertEqual(
            (remark.content_type, remark.object_id), (self.content_type, self.entry.id)
        )
        with self.assertRaises(AttributeError):
            Remark(about=self.entry)

    def test_a_row_that_storm_removed_is_none(self) -> None:
        remark = Remark(content_type=self.content_type, object_id=self.entry.id)
        get_store().remove(self.entry)
        self.assertIsNone(remark.about)
