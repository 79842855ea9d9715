"""A Storm class refers to Django models: assignment, order of flush, lists, and sets of rows."""

from __future__ import annotations

import gc
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.template import Context, Template
from django.test import TestCase, TransactionTestCase
from django.utils.functional import SimpleLazyObject
from storm.database import create_database
from storm.exceptions import FeatureError
from storm.locals import Int, Reference, Unicode
from storm.store import Store

from storm_django import get_store
from storm_django.references import prefetch
from tests.storm_django.models import Entry, StormEntry
from tests.storm_references.models import Author, LooseNote, Talk, Track, TrackTable
from tests.storm_references.statements import statements
from txmiddleware import commit_on_success


class StoreTest(TestCase):
    def setUp(self) -> None:
        self.store = get_store()
        self.author = Author.objects.create(name="ann")
        self.track = self.store.add(Track("main"))
        self.store.flush()

    def row(self, track: Track) -> Any:
        """What the database has."""
        self.store.flush()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT author_id, editor_name FROM tests_references_track WHERE id = %s",
                [track.id],
            )
            return cursor.fetchone()


class ReferenceTest(StoreTest):
    def test_an_instance_is_assigned_and_found_again(self) -> None:
        self.track.author = self.author
        self.assertEqual(self.track.author_id, self.author.pk)
        self.assertEqual(self.row(self.track), (self.author.pk, None))
        self.store.invalidate()
        self.assertEqual(self.track.author, self.author)

    def test_it_is_loaded_once(self) -> None:
        self.track.author_id = self.author.pk
        self.store.flush()
        with statements() as executed:
            author = self.track.author
        self.assertEqual(len(executed), 1)
        with statements() as executed:
            self.assertIs(self.track.author, author)
        self.assertEqual(executed, [])

    def test_it_is_forgotten_when_storm_invalidates_the_object(self) -> None:
        self.track.author = self.author
        self.store.flush()
        author = self.track.author
        Author.objects.update(name="anna")
        TrackTable.objects.update(title="changed")
        self.assertEqual(self.track.author.name, "anna")
        self.assertIsNot(self.track.author, author)

    def test_another_field_than_the_primary_key(self) -> None:
        self.track.editor = self.author
        self.assertEqual(self.track.editor_name, "ann")
        self.store.flush()
        self.store.invalidate()
        self.assertEqual(self.track.editor, self.author)

    def test_none_and_what_does_not_exist(self) -> None:
        self.assertIsNone(self.track.author)
        self.track.author = self.author
        self.track.author = None
        self.assertIsNone(self.track.author_id)
        self.assertIsNone(self.track.author)
        self.track.author_id = self.author.pk + 1
        self.assertIsNone(self.track.author)
        lone = Track()
        lone.author_id = self.author.pk
        self.assertIsNone(lone.author)

    def test_a_key_changes_what_it_refers_to(self) -> None:
        other = Author.objects.create(name="bob")
        self.track.author = self.author
        self.track.author_id = other.pk
        self.assertEqual(self.track.author, other)
        self.track.author = self.author.pk
        self.assertEqual(self.track.author, self.author)

    def test_what_is_no_author_can_not_be_assigned(self) -> None:
        for wrong in (Entry(), StormEntry("x"), self.track):
            with self.assertRaisesMessage(ValueError, 'must be a "Author" instance'):
                self.track.author = wrong
        elsewhere = Author(pk=self.author.pk)
        elsewhere._state.db = "plain"
        with self.assertRaisesMessage(ValueError, "in the database 'plain'"):
            self.track.author = elsewhere

    def test_a_new_instance_is_referred_to_once_it_is_saved(self) -> None:
        new = Track("new")
        for track in (self.track, self.store.add(new), Track("later")):
            author = Author(name=f"of {track.title}")
            track.author = author
            self.assertIs(track.author, author)
            author.save()
            self.store.add(track)
            self.assertEqual(self.row(track), (author.pk, None))
            self.assertEqual(track.author, author)

    def test_other_statements_do_not_hurry_what_waits(self) -> None:
        new = self.store.add(Track("new"))
        author = Author(name="x")
        new.author = author
        self.track.author = author
        self.track.title = "changed"
        self.assertEqual(Author.objects.count(), 1)
        Entry.objects.create(name="x")
        self.assertIs(self.track.author, author)
        author.save()
        self.assertEqual((self.track.title, self.track.author), ("changed", author))
        self.assertEqual(self.row(new), (author.pk, None))
        self.assertEqual(self.row(self.track), (author.pk, None))

    def test_a_savepoint_does_not_wait(self) -> None:
        self.track.author = author = Author(name="x")
        with self.assertRaisesMessage(ValueError, "save it before"), transaction.atomic():
            author.save()

    def test_a_new_object_is_sent_after_those_that_it_needs(self) -> None:
        class Remark:
            __storm_table__ = "tests_references_note"
            id = Int(primary=True)
            text = Unicode(default="")
            track_id = Int()
            track = Reference(track_id, Track.id)

        track = self.store.add(Track("new"))
        track.author = author = Author(name="x")
        remark = self.store.add(Remark())
        remark.track = track
        author.save()
        self.store.flush()
        self.assertEqual(remark.track_id, track.id)
        track = self.store.add(Track("newer"))
        track.author = Author(name="y")
        remark.track = track
        remark.text = "changed"
        track.author.save()
        self.store.flush()
        self.assertEqual((remark.track_id, remark.text), (track.id, "changed"))

    def test_not_to_save_a_new_instance_is_an_error(self) -> None:
        for track in (self.track, self.store.add(Track("new"))):
            track.author = author = Author(name="x")
            for flush in (self.store.flush, lambda: self.store.find(Track).count()):
                with self.assertRaisesMessage(ValueError, "Track.author of"):
                    flush()
            self.assertIs(track.author, author)
            track.author = None
            self.store.flush()
            self.assertEqual(self.row(track), (None, None))

    def test_what_waits_is_not_lost_with_the_last_name_for_it(self) -> None:
        author = Author(name="x")
        self.track.author = author
        self.store.add(Track("new")).author = author
        del self.track
        gc.collect()
        author.save()
        self.assertEqual(self.store.find(Track, author=author).count(), 2)

    def test_a_save_that_fails_changes_nothing(self) -> None:
        new = self.store.add(Track("new"))
        new.author = again = Author(name="ann")
        with self.assertRaises(IntegrityError):
            again.save()
        self.assertIs(new.author, again)

    def test_a_key_that_the_application_sets_is_taken_as_it_is(self) -> None:
        self.track.editor = editor = Author(name="x")
        self.assertEqual(self.row(self.track), (None, "x"))
        editor.save()
        self.assertEqual(self.track.editor, editor)

    def test_what_stands_for_an_instance(self) -> None:
        lazy = SimpleLazyObject(lambda: self.author)
        self.track.author = lazy
        self.assertEqual(self.row(self.track)[0], self.author.pk)
        self.assertEqual(self.store.find(Track, author=lazy).one(), self.track)

    def test_something_else_is_assigned_before_it_is_saved(self) -> None:
        author = Author(name="x")
        self.track.author = author
        self.track.author = self.author
        author.save()
        self.assertEqual(self.row(self.track)[0], self.author.pk)
        self.track.author = Author(name="y")
        self.track.author_id = author.pk
        self.store.flush()
        self.assertEqual(self.track.author, author)

    def test_an_object_that_is_removed_waits_for_nothing(self) -> None:
        self.track.author = Author(name="x")
        self.store.remove(self.track)
        new = self.store.add(Track("new"))
        new.author = Author(name="x")
        self.store.remove(new)
        self.store.flush()
        self.assertEqual(self.store.find(Track).count(), 0)

    def test_a_rollback_takes_back_what_waits(self) -> None:
        self.track.author = self.author
        author = Author(name="x")
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            self.track.author = author
            _ = 1 / 0
        self.assertEqual(self.track.author, self.author)
        author.save()
        self.assertEqual(self.row(self.track)[0], self.author.pk)

    def test_an_instance_whose_creation_was_rolled_back_does_not_come_back(self) -> None:
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            self.track.author = Author.objects.create(name="x")
            new = self.store.add(Track("new"))
            new.author = self.track.author
            _ = 1 / 0
        self.assertIsNone(self.track.author)
        self.assertIsNone(new.author)

    def test_queries_compare_the_key(self) -> None:
        other = self.store.add(Track("other"))
        self.track.author = self.author
        find = self.store.find
        self.assertEqual(list(find(Track, author=self.author)), [self.track])
        self.assertEqual(list(find(Track, Track.author == self.author.pk)), [self.track])
        self.assertEqual(list(find(Track, Track.author == None)), [other])  # noqa: E711
        self.assertEqual(list(find(Track, Track.author != self.author)), [])
        self.assertEqual(list(find(Track, Track.author.is_in([self.author]))), [self.track])
        for wrong in (Author(name="x"), Entry(pk=1)):
            with self.assertRaisesMessage(ValueError, "must be a saved"):
                find(Track, author=wrong)

    def test_a_subclass_has_the_reference_too(self) -> None:
        class MainTrack(Track):
            __storm_table__ = "tests_references_track"

        self.track.author = self.author
        main = self.store.find(MainTrack, author=self.author).one()
        self.assertEqual(main.author, self.author)
        self.assertEqual(prefetch([main], "author", "talks"), [main])


class SetTest(StoreTest):
    def test_the_rows_are_a_queryset(self) -> None:
        talks = [Talk.objects.create(track=self.track, title=title) for title in "ab"]
        Talk.objects.create(track=self.store.add(Track("other")))
        self.assertEqual(list(self.track.talks.all()), talks)
        self.assertEqual(list(self.track.talks), talks)
        self.assertEqual(self.track.talks.filter(title="a").get(), talks[0])
        self.assertEqual(self.track.talks.count(), 2)
        self.assertEqual(list(self.track.talks.using("default").order_by("-pk")), talks[::-1])
        page = Template("{% for talk in track.talks.all %}{{ talk.title }}{% endfor %}")
        self.assertEqual(page.render(Context({"track": self.track})), "ab")

    def test_rows_are_created_and_added(self) -> None:
        talk = self.track.talks.create(title="a")
        self.assertIs(talk.track, self.track)
        self.assertEqual(self.track.talks.get_or_create(title="a"), (talk, False))
        self.assertTrue(self.track.talks.get_or_create(title="b")[1])
        changed, _ = self.track.talks.update_or_create({"title": "c"}, title="b")
        self.assertEqual((changed.title, self.track.talks.count()), ("c", 2))
        other = self.store.add(Track("other"))
        other.talks.add(talk, Talk(title="new"))
        self.assertEqual([talk.title for talk in other.talks.all()], ["a", "new"])
        self.assertEqual(self.track.talks.get().title, "c")
        with self.assertRaisesMessage(TypeError, "Talk instance expected"):
            other.talks.add(self.author)
        with self.assertRaises(FeatureError):
            other.talks = []

    def test_a_new_object_is_flushed_first(self) -> None:
        self.assertEqual(list(self.store.add(Track("new")).talks), [])
        with self.assertRaisesMessage(ValueError, "needs a key"):
            Track("lone").talks.all()

    def test_a_set_of_a_class_needs_no_related_name(self) -> None:
        note = self.track.loose_notes.create()
        self.assertEqual(list(self.track.loose_notes), [note])


class ListTest(StoreTest):
    def test_five_hundred_objects_are_loaded_in_two_statements(self) -> None:
        authors = Author.objects.bulk_create(Author(name=f"a{n}") for n in range(500))
        authors = list(Author.objects.filter(name__startswith="a").exclude(name="ann"))
        self.store.find(Track).remove()
        for author in authors:
            self.store.add(Track(author.name)).author_id = author.pk
        self.store.flush()
        self.store.reset()
        with statements() as executed:
            tracks = prefetch(self.store.find(Track), "author")
            names = [track.author.name for track in tracks]
        self.assertEqual(len(executed), 2)
        self.assertEqual(names, [track.title for track in tracks])
        self.assertEqual(len(names), 500)

    def test_five_hundred_objects_with_their_sets_are_loaded_in_two_statements(self) -> None:
        self.store.find(Track).remove()
        tracks = [self.store.add(Track(f"{n:03}")) for n in range(500)]
        self.store.flush()
        Talk.objects.bulk_create(
            Talk(track=track, title=f"{track.title}{n}") for track in tracks for n in range(2)
        )
        del tracks
        self.store.reset()
        with statements() as executed:
            tracks = prefetch(self.store.find(Track), "talks")
            titles = [[talk.title for talk in track.talks.all()] for track in tracks]
        self.assertEqual(len(executed), 2)
        self.assertEqual(titles, [[f"{n:03}0", f"{n:03}1"] for n in range(500)])
        with statements() as executed:
            self.assertTrue(all(talk.track is tracks[0] for talk in tracks[0].talks.all()))
        self.assertEqual(executed, [])

    def test_both_and_what_is_behind_them(self) -> None:
        self.track.author = self.author
        Talk.objects.create(track=self.track, speaker=self.author)
        track = self.store.add(Track("without"))
        self.store.flush()
        with statements() as executed:
            prefetch([self.track, track], "author", "talks__speaker")
        # The objects are new to Storm since Django's INSERT: one statement reads both again.
        self.assertEqual(len(executed), 4)
        with statements() as executed:
            self.assertEqual(self.track.author, self.author)
            self.assertEqual(self.track.talks.all()[0].speaker, self.author)
            self.assertEqual(list(track.talks.all()), [])
            self.assertIsNone(track.author)
        self.assertEqual(executed, [])

    def test_what_is_prefetched_is_forgotten_after_a_write(self) -> None:
        prefetch([self.track], "talks")
        TrackTable.objects.update(title="changed")
        Talk.objects.create(track=self.track)
        self.assertEqual(len(self.track.talks.all()), 1)
        prefetch([self.track], "talks")
        self.track.talks.create()
        self.assertEqual(len(self.track.talks.all()), 2)

    def test_many_invalid_objects_are_read_in_one_statement(self) -> None:
        tracks = [self.store.add(Track(str(n))) for n in range(20)]
        self.store.flush()
        TrackTable.objects.update(title="x")
        with statements() as executed:
            prefetch(tracks, "author")
        self.assertEqual(len(executed), 1)

    def test_nothing_is_loaded_for_an_empty_list_or_for_none(self) -> None:
        with statements() as executed:
            self.assertEqual(prefetch([], "author"), [])
            self.assertEqual(prefetch([Track()], "author", "talks")[0].title, "")
        self.assertEqual(executed, [])

    def test_a_dangling_key_is_looked_up_once(self) -> None:
        self.track.author_id = self.author.pk + 1
        self.store.flush()
        prefetch([self.track], "author")
        with statements() as executed:
            self.assertIsNone(self.track.author)
        self.assertEqual(executed, [])

    def test_a_name_that_is_no_reference_is_an_error(self) -> None:
        for wrong in ("title", "no_such", ""):
            with self.assertRaisesMessage(AttributeError, "is no reference"):
                prefetch([self.track], wrong)

    def test_what_waits_is_left_alone(self) -> None:
        author = Author(name="x")
        self.track.author = author
        with self.assertRaisesMessage(ValueError, "unsaved Author"):
            prefetch(self.store.find(Track), "author")
        prefetch([self.track], "author")
        self.assertIs(self.track.author, author)


class CommittedTest(TransactionTestCase):
    def test_a_commit_takes_the_key_or_fails_as_a_whole(self) -> None:
        store = get_store()
        with commit_on_success():
            track = store.add(Track("main"))
            track.author = author = Author(name="x")
            author.save()
        with commit_on_success():
            self.assertEqual(track.author, author)
            self.assertEqual(track.author_id, author.pk)
        with self.assertRaisesMessage(ValueError, "unsaved Author"), commit_on_success():
            LooseNote.objects.create()
            track.author = Author(name="y")
        with commit_on_success():
            self.assertEqual(track.author, author)
            self.assertEqual(LooseNote.objects.count(), 0)

    def test_a_store_without_an_alias_uses_the_routers_database(self) -> None:
        other = Store(create_database("sqlite:"))
        self.addCleanup(other.close)
        other.execute(
            "CREATE TABLE tests_references_track "
            "(id INTEGER PRIMARY KEY, title TEXT, author_id INTEGER, editor_name TEXT)"
        )
        author = Author.objects.create(name="x")
        track = other.add(Track("elsewhere"))
        track.author = author
        other.flush()
        other.invalidate()
        self.assertEqual(track.author, author)
