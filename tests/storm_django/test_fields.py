"""A Django model refers to a Storm object: assignment, order of flush, and for how long."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import weakref
from typing import Any

import transaction as zope_transaction
from django.core.exceptions import ImproperlyConfigured, ObjectDoesNotExist, ValidationError
from django.db import connection, models, transaction
from django.test import TestCase, TransactionTestCase
from django.test.utils import isolate_apps
from django.utils.functional import SimpleLazyObject
from storm.database import create_database
from storm.store import Store

from storm_django import get_store
from storm_django.fields import StormForeignKey
from tests.storm_django.models import StormEntry
from tests.storm_references.models import Author, LooseNote, Note, Talk, Track, TrackTable
from tests.storm_references.statements import statements
from txmiddleware import commit_on_success


class RefersTest(TestCase):
    def setUp(self) -> None:
        self.store = get_store()
        self.track = self.store.add(Track("main"))
        self.store.flush()

    def lost_track(self) -> int:
        """The key of a track that does not exist."""
        track = self.store.add(Track("gone"))
        self.store.flush()
        key: int = track.id
        self.store.remove(track)
        self.store.flush()
        return key

    def test_an_object_is_assigned_and_found_again(self) -> None:
        talk = Talk.objects.create(track=self.track)
        self.assertEqual(talk.track_id, self.track.id)
        again = Talk.objects.get(pk=talk.pk)
        self.assertEqual(again.track_id, self.track.id)
        self.assertIs(again.track, self.track)

    def test_an_object_that_storm_has_at_hand_costs_no_statement(self) -> None:
        talk = Talk.objects.create(track=self.track)
        talk = Talk.objects.get(pk=talk.pk)
        self.track.title  # noqa: B018  (Storm reads again what Django's INSERT made invalid)
        with statements() as executed:
            self.assertIs(talk.track, self.track)
            self.assertIs(talk.track, self.track)
        self.assertEqual(executed, [])

    def test_a_key_can_be_assigned_as_in_storm(self) -> None:
        talk = Talk(track=self.track.id)
        self.assertIs(talk.track, self.track)
        other = self.store.add(Track("other"))
        self.store.flush()
        talk.track_id = other.id
        self.assertIs(talk.track, other)
        talk.track = str(self.track.id)
        self.assertIs(talk.track, self.track)

    def test_none_is_no_object(self) -> None:
        note = Note.objects.create(track=self.track)
        note.track = None
        self.assertIsNone(note.track_id)
        self.assertIsNone(note.track)
        note.save()
        self.assertIsNone(Note.objects.get().track)
        talk = Talk()
        with self.assertRaises(Talk.track.RelatedObjectDoesNotExist):
            talk.track  # noqa: B018
        self.assertFalse(hasattr(talk, "track"))

    def test_a_new_object_is_flushed_when_its_key_is_needed(self) -> None:
        for save in (Talk.save, lambda talk: Talk.objects.bulk_create([talk])):
            track = self.store.add(Track("new"))
            talk = Talk(track=track)
            self.assertIs(talk.track, track)
            save(talk)
            self.assertIsNotNone(track.id)
            self.assertEqual(Talk.objects.last().track_id, track.id)
        track = self.store.add(Track("new"))
        talk.track = track
        Talk.objects.bulk_update([talk], ["track"])
        self.assertEqual(Talk.objects.last().track_id, track.id)

    def test_an_object_may_get_into_the_store_after_it_was_assigned(self) -> None:
        track = Track("new")
        talk = Talk(track=track)
        self.assertIs(talk.track, track)
        self.store.add(track)
        talk.save()
        self.assertEqual(talk.track_id, track.id)

    def test_an_object_in_no_store_can_not_be_saved(self) -> None:
        for note in (Note(track=Track("new")), Talk(track=Track("new"))):
            with self.assertRaisesMessage(ValueError, "unsaved related object 'track'"):
                note.save()
            refused = self.assertRaisesMessage(ValueError, "unsaved related object 'track'")
            with refused, transaction.atomic():
                type(note).objects.bulk_create([note])
        self.assertEqual(Note.objects.count(), 0)

    def test_what_is_no_track_can_not_be_assigned(self) -> None:
        talk = Talk()
        for wrong in (StormEntry("x"), Author(name="x"), object(), "x", "9" * 99, 1 << 70, [1]):
            with self.subTest(wrong), self.assertRaisesMessage(ValueError, 'be a "Track" instance'):
                talk.track = wrong
        self.assertIsNone(talk.track_id)

    def test_an_object_of_another_store_can_not_be_assigned(self) -> None:
        other = Store(create_database("sqlite:"))
        self.addCleanup(other.close)
        track = Track("elsewhere")
        other.add(track)
        with self.assertRaisesMessage(ValueError, "not that of this thread"):
            Talk(track=track)
        talk = Talk()
        talk._state.db = "plain"
        with self.assertRaisesMessage(ValueError, "in database 'plain'"):
            talk.track = self.track

    def test_a_database_without_a_store_has_no_objects(self) -> None:
        talk = Talk(track=self.track.id)
        talk._state.db = "plain"
        with self.assertRaisesMessage(ImproperlyConfigured, "storm_django.backend"):
            talk.track  # noqa: B018

    def test_the_key_follows_the_object_until_it_is_saved(self) -> None:
        self.track.id += 1000
        talk = Talk(track=self.track)
        self.track.id += 1000
        self.assertEqual(talk.track_id, self.track.id)
        talk.save()
        self.assertEqual(Talk.objects.get().track_id, self.track.id)

    def test_a_key_that_was_changed_later_is_another_objects(self) -> None:
        note = LooseNote.objects.create(track=self.track)
        self.assertIs(note.track, self.track)
        before = self.track.id
        self.track.id += 1000
        self.store.flush()
        self.assertEqual(note.track_id, before)
        with self.assertRaises(ObjectDoesNotExist):
            note.track  # noqa: B018

    def test_a_key_without_a_row_is_an_error_that_templates_know(self) -> None:
        note = LooseNote.objects.create(track=self.lost_track())
        with self.assertRaises(ObjectDoesNotExist):
            note.track  # noqa: B018

    def test_an_object_that_was_removed_does_not_come_back(self) -> None:
        note = LooseNote.objects.create(track=self.track)
        self.assertIs(note.track, self.track)
        self.store.remove(self.track)
        with self.assertRaises(ObjectDoesNotExist):
            note.track  # noqa: B018

    def test_an_object_whose_creation_was_rolled_back_does_not_come_back(self) -> None:
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            track = self.store.add(Track("new"))
            talk = Talk.objects.create(track=track)
            self.assertIs(talk.track, track)
            note = LooseNote(track=track)
            _ = 1 / 0
        for refers in (talk, note):
            with self.assertRaises(ObjectDoesNotExist):
                refers.track  # noqa: B018

    def test_a_new_object_that_was_rolled_back_before_a_flush_is_unsaved_again(self) -> None:
        note = Note()
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            note.track = self.store.add(Track("new"))
            _ = 1 / 0
        with self.assertRaisesMessage(ValueError, "unsaved related object"):
            note.save()

    def test_a_copy_refers_to_the_same_object(self) -> None:
        new = self.store.add(Track("new"))
        for track in (self.track, new):
            talk = Talk(track=track)
            for copied in (copy.copy(talk), copy.deepcopy(talk)):
                self.assertIs(copied.track, track)
                copied.track = self.track
                self.assertIs(talk.track, track)

    def test_a_pickle_has_the_key_only(self) -> None:
        saved = Talk.objects.create(track=self.track)
        self.assertIs(saved.track, self.track)
        new = Talk(track=self.store.add(Track("new")))
        for talk in (saved, new):
            pickled = pickle.dumps(talk)
            self.assertNotIn(b"Track", pickled.replace(b"TrackTable", b""))
            again = pickle.loads(pickled)
            self.assertEqual(again.track_id, talk.track_id)
            self.assertIs(again.track, talk.track)

    def test_a_list_with_its_objects_can_be_pickled(self) -> None:
        Talk.objects.create(track=self.track)
        talks = pickle.loads(pickle.dumps(list(Talk.objects.prefetch_related("track"))))
        self.assertIs(talks[0].track, self.track)

    def test_an_object_lives_as_long_as_an_instance_refers_to_it(self) -> None:
        note = Note(track=self.track)
        reference = weakref.ref(self.track)
        del self.track
        self.store.invalidate()
        gc.collect()
        self.assertIs(note.track, reference())
        del note
        self.store.invalidate()
        gc.collect()
        self.assertIsNone(reference())

    def test_what_stands_for_an_object(self) -> None:
        lazy = SimpleLazyObject(lambda: self.track)
        talk = Talk.objects.create(track=lazy)
        self.assertEqual(Talk.objects.get(track=lazy), talk)

    def test_a_row_that_django_deleted_does_not_come_back(self) -> None:
        note = LooseNote.objects.create(track=self.track)
        TrackTable.objects.all().delete()
        self.assertFalse(hasattr(note, "track"))

    def test_an_object_without_a_key_can_not_be_pickled(self) -> None:
        with self.assertRaisesMessage(ValueError, "add it to the store"):
            pickle.dumps(Talk(track=Track("new")))

    def test_what_the_database_has_now_is_read_again(self) -> None:
        other = self.store.add(Track("other"))
        talk = Talk.objects.create(track=self.track)
        Talk.objects.update(track=other)
        self.assertIs(talk.track, self.track)
        talk.refresh_from_db()
        self.assertIs(talk.track, other)
        talk.track = self.store.add(Track("forgotten"))
        talk.refresh_from_db(fields=["track"])
        self.assertIs(talk.track, other)

    def test_a_deferred_key_is_read_when_it_is_used(self) -> None:
        Talk.objects.create(track=self.track)
        for queryset in (Talk.objects.defer("track"), Talk.objects.only("title")):
            talk = queryset.get()
            self.assertEqual(talk.get_deferred_fields() & {"track_id"}, {"track_id"})
            self.assertIs(talk.track, self.track)
        other = self.store.add(Track("other"))
        talk = Talk.objects.only("title").get()
        talk.track = other
        talk.save()
        self.assertEqual(Talk.objects.get().track, other)
        self.assertEqual(Talk.objects.only("track").get().track_id, other.id)

    def test_validation_sees_whether_the_row_exists(self) -> None:
        Talk(track=self.track, title="x", speaker=Author.objects.create(name="a")).full_clean()
        Note(track=self.store.add(Track("new")), text="x").full_clean()
        note = LooseNote(track_id=self.lost_track())
        for wrong, code in [(note.track_id, "invalid"), ("x", "invalid"), ("9" * 40, "invalid")]:
            note.track_id = wrong
            with self.subTest(wrong), self.assertRaises(ValidationError) as caught:
                note.clean_fields()
            self.assertEqual(caught.exception.error_dict["track"][0].code, code)
        with self.assertRaises(ValidationError) as caught:
            Talk().full_clean()
        self.assertEqual(caught.exception.error_dict["track"][0].code, "null")

    def test_an_object_of_another_thread_is_looked_up_again(self) -> None:
        talk = Talk(track=self.track)
        found = []

        def other_thread() -> None:
            try:
                with commit_on_success():
                    found.append(getattr(talk, "track", None))
            finally:
                connection.close()

        thread = threading.Thread(target=other_thread)
        thread.start()
        thread.join()
        # The row is not committed, so the other thread can't see it; this one can.
        self.assertEqual(found, [None])
        self.assertIs(talk.track, self.track)


class CommittedTest(TransactionTestCase):
    def test_a_reference_lives_on_after_a_commit(self) -> None:
        with commit_on_success():
            track = get_store().add(Track("main"))
            talk = Talk.objects.create(track=track)
        self.addCleanup(zope_transaction.abort)
        self.assertIs(talk.track, track)
        self.assertEqual(talk.track.title, "main")

    def test_another_threads_store_has_an_object_of_its_own(self) -> None:
        with commit_on_success():
            talk = Talk.objects.create(track=get_store().add(Track("main")))
        found: list[Track] = []

        def other_thread() -> None:
            with commit_on_success():
                found.append(talk.track)
                found.append(Store.of(talk.track) is get_store())
            connection.close()

        thread = threading.Thread(target=other_thread)
        thread.start()
        thread.join()
        self.assertTrue(found[1])
        with commit_on_success():
            self.assertIsNot(talk.track, found[0])
            self.assertEqual(talk.track.title, "main")

    def test_a_reference_assigned_in_a_transaction_that_was_aborted(self) -> None:
        with self.assertRaises(ZeroDivisionError), commit_on_success():
            track = get_store().add(Track("main"))
            talk = Talk.objects.create(track=track)
            _ = 1 / 0
        with commit_on_success():
            with self.assertRaises(ObjectDoesNotExist):
                talk.track  # noqa: B018
            self.assertEqual(Talk.objects.count(), 0)


class InheritanceTest(TestCase):
    """Models in an app registry of their own, on the table of another."""

    def define(self, base: Any = models.Model, **attributes: Any) -> Any:
        meta = type(
            "Meta", (), {"app_label": "tests_references", "db_table": LooseNote._meta.db_table}
        )
        return type("Defined", (base,), {"__module__": __name__, "Meta": meta, **attributes})

    @isolate_apps("tests.storm_references")
    def test_a_field_of_an_abstract_model(self) -> None:
        class Base(models.Model):
            track = StormForeignKey(Track, models.SET_NULL, null=True)

            class Meta:
                abstract = True

        model = self.define(Base)
        track = get_store().add(Track("main"))
        self.assertIs(model.objects.create(track=track).track, track)
        self.assertIs(model.track.field.model, model)
        self.assertEqual(LooseNote.objects.get().track, track)

    @isolate_apps("tests.storm_references")
    def test_a_field_that_is_the_primary_key(self) -> None:
        model = self.define(track=StormForeignKey(Track, models.CASCADE, primary_key=True))
        track = get_store().add(Track("main"))
        LooseNote.objects.create(track=track)
        found = model.objects.get(pk=track)
        self.assertEqual((found.pk, found.track), (track.id, track))
        self.assertEqual(model.objects.in_bulk([track.id]), {track.id: found})
        self.assertEqual(hash(found), hash(model(track=track)))
