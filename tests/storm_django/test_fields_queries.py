"""Queries, lists, forms and serializers with a reference to a Storm object."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core import serializers
from django.core.exceptions import FieldError
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Count, F, IntegerField, Max, Prefetch, Q, Value
from django.db.models.functions import Coalesce
from django.test import TestCase
from storm.exceptions import IntegrityError as StormIntegrityError

from storm_django import get_store
from tests.storm_django.models import StormEntry
from tests.storm_references.models import Author, Guard, LooseNote, Note, Talk, Track
from tests.storm_references.statements import statements


class NoteForm(forms.ModelForm):
    class Meta:
        model = Note
        fields = ["track", "text"]


class TypedForm(forms.ModelForm):
    class Meta:
        model = Talk
        fields = ["track"]
        widgets = {"track": forms.TextInput}


class TracksTest(TestCase):
    def setUp(self) -> None:
        self.store = get_store()
        self.a, self.b = (self.store.add(Track(title)) for title in "ab")
        self.store.flush()
        self.of_a, self.of_b = (Talk.objects.create(track=track) for track in (self.a, self.b))


class LookupTest(TracksTest):
    def found(self, *args: Any, **kwargs: Any) -> list[Talk]:
        return list(Talk.objects.filter(*args, **kwargs))

    def test_objects_and_keys(self) -> None:
        for value in (self.a, self.a.id, str(self.a.id)):
            self.assertEqual(self.found(track=value), [self.of_a])
            self.assertEqual(self.found(track_id=value), [self.of_a])
            self.assertEqual(self.found(track__in=[value]), [self.of_a])
            self.assertEqual(self.found(Q(track=value) & ~Q(track=self.b)), [self.of_a])
            self.assertEqual(list(Talk.objects.exclude(track=value)), [self.of_b])
        self.assertEqual(self.found(track__in=[self.a, self.b]), [self.of_a, self.of_b])
        self.assertEqual(self.found(track__in=self.store.find(Track, title="b")), [self.of_b])
        self.assertEqual(self.found(track__in=[]), [])
        self.assertEqual(self.found(track__gt=self.a), [self.of_b])
        self.assertEqual(self.found(track__lte=self.a), [self.of_a])
        self.assertEqual(self.found(track__range=(self.a, self.b)), [self.of_a, self.of_b])
        self.assertEqual(self.found(track__isnull=True), [])
        self.assertEqual(self.found(track=None), [])

    def test_expressions(self) -> None:
        Note.objects.create(track=self.b)
        talks = Talk.objects.order_by("-track")
        self.assertEqual(list(talks), [self.of_b, self.of_a])
        self.assertEqual(talks.values("track", "track_id")[0]["track"], self.b.id)
        self.assertEqual(list(talks.values_list("track", flat=True)), [self.b.id, self.a.id])
        self.assertEqual(self.found(track=F("track")), [self.of_a, self.of_b])
        self.assertEqual(self.found(track__in=Note.objects.values("track")), [self.of_b])
        self.assertEqual(Talk.objects.aggregate(last=Max("track"))["last"], self.b.id)
        counted = Talk.objects.values("track").annotate(n=Count("pk")).order_by("track")
        self.assertEqual([row["n"] for row in counted], [1, 1])
        self.assertEqual(Talk.objects.annotate(t=F("track")).first().t, self.a.id)
        annotated = Talk.objects.annotate(
            t=Coalesce("track", Value(0), output_field=IntegerField())
        )
        self.assertEqual(annotated.first().t, self.a.id)

    def test_writes(self) -> None:
        Talk.objects.filter(track=self.a).update(track=self.b)
        self.assertEqual(Talk.objects.filter(track=self.b).count(), 2)
        Talk.objects.update(track_id=self.a.id)
        self.assertEqual(Talk.objects.filter(track=self.a).count(), 2)
        Note.objects.create(track=self.a)
        Note.objects.update(track=None)
        self.assertIsNone(Note.objects.get().track)
        talk, created = Talk.objects.get_or_create(track=self.b, title="new")
        self.assertTrue(created)
        self.assertIs(talk.track, self.b)
        self.assertEqual(Talk.objects.get_or_create(track=self.b, title="new"), (talk, False))
        moved, _ = Talk.objects.update_or_create(title="new", defaults={"track": self.a})
        self.assertEqual(moved.track_id, self.a.id)

    def test_a_new_object_is_flushed_for_a_lookup(self) -> None:
        self.assertEqual(self.found(track=self.store.add(Track("new"))), [])

    def test_what_can_not_be_looked_up_is_a_clear_error(self) -> None:
        for wrong, why in [
            (Track("new"), "Unsaved"),
            (StormEntry("x"), 'Must be "Track" instance'),
            (Author(name="x"), 'Must be "Track" instance'),
            ("x", "expected a Track or its key"),
            (10**30, "too large"),
        ]:
            for lookup in ({"track": wrong}, {"track__in": [wrong]}):
                with self.subTest(wrong), self.assertRaisesMessage(ValueError, why):
                    self.found(**lookup)
        with self.assertRaises(FieldError):
            self.found(track__title="a")
        with self.assertRaises(FieldError):
            list(Talk.objects.select_related("track"))


class ListTest(TracksTest):
    def test_five_hundred_objects_are_loaded_in_two_statements(self) -> None:
        tracks = [self.store.add(Track(f"track {number:03}")) for number in range(500)]
        self.store.flush()
        Talk.objects.all().delete()
        Talk.objects.bulk_create([Talk(track=track) for track in tracks])
        keys = [track.id for track in tracks]
        del tracks
        self.store.reset()
        with statements() as executed:
            talks = list(Talk.objects.prefetch_related("track"))
            titles = [talk.track.title for talk in talks]
        self.assertEqual(len(executed), 2)
        self.assertEqual(titles, [f"track {number:03}" for number in range(500)])
        self.assertEqual([talk.track.id for talk in talks], keys)

    def test_what_is_at_hand_is_not_loaded_again(self) -> None:
        talks = list(Talk.objects.prefetch_related("track"))
        with statements() as executed:
            models.prefetch_related_objects(talks, "track")
        self.assertEqual(executed, [])

    def test_none_and_missing_rows(self) -> None:
        LooseNote.objects.create()
        LooseNote.objects.create(track_id=self.b.id)
        LooseNote.objects.create(track_id=self.b.id)
        self.store.remove(self.b)
        Talk.objects.filter(track_id=self.b.id).delete()
        notes = list(LooseNote.objects.order_by("pk").prefetch_related("track"))
        self.assertIsNone(notes[0].track)
        self.assertEqual(notes[1].track_id, self.b.id)
        self.assertFalse(hasattr(notes[1], "track"))
        LooseNote.objects.exclude(track=None).delete()
        with statements() as executed:
            list(LooseNote.objects.prefetch_related("track"))
        self.assertEqual(len(executed), 1)

    def test_on_the_way_to_it_and_into_another_attribute(self) -> None:
        author = Author.objects.create(name="x")
        Talk.objects.update(speaker=author)
        with statements() as executed:
            found = Author.objects.prefetch_related("talk_set__track").get()
            tracks = [talk.track for talk in found.talk_set.all()]
        self.assertEqual(len(executed), 3)
        self.assertEqual(tracks, [self.a, self.b])
        talks = Talk.objects.prefetch_related(Prefetch("track", to_attr="its_track"))
        self.assertEqual([talk.its_track for talk in talks], [self.a, self.b])
        with self.assertRaisesMessage(ValueError, "can't have a queryset"):
            list(Talk.objects.prefetch_related(Prefetch("track", Author.objects.all())))


class DeletionTest(TracksTest):
    def test_the_database_does_what_on_delete_says(self) -> None:
        note = Note.objects.create(track=self.a)
        self.store.remove(self.a)
        self.assertEqual(list(Talk.objects.all()), [self.of_b])
        note.refresh_from_db()
        self.assertIsNone(note.track_id)

    def test_protection_is_the_databases_error(self) -> None:
        Guard.objects.create(track=self.b)
        with self.assertRaises(StormIntegrityError), transaction.atomic():
            self.store.remove(self.b)
            self.store.flush()
        self.assertIs(Guard.objects.get().track, self.b)
        with self.assertRaises(IntegrityError), transaction.atomic():
            Guard.objects.create(track_id=10**6)
            connection.check_constraints()

    def test_without_a_constraint_nothing_happens(self) -> None:
        note = LooseNote.objects.create(track=self.a)
        self.store.remove(self.a)
        note.refresh_from_db()
        self.assertIsNotNone(note.track_id)


class FormTest(TracksTest):
    def test_a_model_form_has_the_objects_as_choices(self) -> None:
        page = NoteForm().as_p()
        for track in (self.a, self.b):
            self.assertInHTML(f'<option value="{track.id}">{track.title}</option>', page)
        with statements() as executed:
            NoteForm().as_p()
        self.assertEqual(len(executed), 1)

    def test_a_model_form_saves_the_object(self) -> None:
        form = NoteForm({"track": str(self.b.id), "text": "x"})
        self.assertTrue(form.is_valid(), form.errors)
        note = form.save()
        self.assertIs(note.track, self.b)
        again = NoteForm({"track": "", "text": "x"}, instance=Note.objects.get())
        self.assertIn(f'value="{self.b.id}" selected', str(NoteForm(instance=note)["track"]))
        self.assertEqual(again.changed_data, ["track"])
        again.save()
        self.assertIsNone(Note.objects.get().track)

    def test_a_model_form_refuses_what_is_no_choice(self) -> None:
        for wrong in ("0", "x", "9" * 40):
            self.assertEqual(list(NoteForm({"track": wrong, "text": "x"}).errors), ["track"])
        self.assertEqual(list(TypedForm({"track": ""}).errors), ["track"])

    def test_the_choices_can_be_limited(self) -> None:
        field = Talk._meta.get_field("track").formfield(
            results=lambda: self.store.find(Track, title="a")
        )
        self.assertEqual([label for _, label in field.choices][1:], ["a"])

    def test_a_key_can_be_typed_in(self) -> None:
        self.assertInHTML(
            f'<input type="text" name="track" value="{self.a.id}" required id="id_track">',
            str(TypedForm(instance=self.of_a)["track"]),
        )
        form = TypedForm({"track": str(self.b.id)})
        self.assertTrue(form.is_valid(), form.errors)
        self.assertIs(form.save().track, self.b)
        self.assertFalse(TypedForm({"track": "0"}).is_valid())


class SerializationTest(TracksTest):
    def test_the_key_is_what_is_written_and_read(self) -> None:
        note = Note.objects.create(track=self.a)
        Note.objects.create(track=None)
        for form in ("json", "xml", "jsonl", "python"):
            with self.subTest(form):
                data = serializers.serialize(form, Note.objects.order_by("pk"))
                Note.objects.all().delete()
                for each in serializers.deserialize(form, data):
                    each.save()
                first, second = Note.objects.order_by("pk")
                self.assertEqual((first.pk, first.track), (note.pk, self.a))
                self.assertIsNone(second.track)
