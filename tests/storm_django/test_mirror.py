"""A mirror reads with Django and writes with Storm."""

from __future__ import annotations

import copy
import io
import pickle
import sys
import tempfile
from pathlib import Path
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.core import serializers
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.management import call_command
from django.db import (
    DatabaseError,
    IntegrityError,
    connection,
    models,
    transaction,
)
from django.db.models import F, ProtectedError
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save
from django.test import SimpleTestCase, TestCase, TransactionTestCase, override_settings, tag
from storm.locals import Bool, Int, Reference, Storm, Unicode

from storm_django import get_store
from storm_django.aliases import store_of_alias
from storm_django.mirror import mirror_of, missed_references, registered
from tests.storm_django.library import Book, Label, Sample, Shelf
from tests.storm_django.test_admin import Counter, book, shelf
from txmiddleware import commit_on_success

BOOK: Any = registered(Book)
SHELF: Any = registered(Shelf)


class WriteTest(TestCase):
    def setUp(self) -> None:
        self.store = get_store()

    def test_makes_an_object_with_the_defaults_of_the_class(self) -> None:
        row = BOOK.objects.create(title="Emma", kind=1)
        found = self.store.find(Book).one()
        self.assertEqual((row.pk, row.title), (found.id, "Emma"))
        self.assertEqual(
            (found.title, found.kind, found.lent, found.pages), ("Emma", "novel", False, None)
        )
        self.assertIs(row.storm_object, found)

    def test_none_overrules_a_default(self) -> None:
        class Late:
            __storm_table__ = "library_book"
            id = Int(primary=True)
            title = Unicode()
            blurb = Unicode(default="nothing yet")
            lent = Bool(default=False)

        mirror = mirror_of(Late)
        self.assertEqual(mirror.objects.create(title="a").storm_object.blurb, "nothing yet")
        self.assertIsNone(mirror.objects.create(title="b", blurb=None).storm_object.blurb)

    def test_changes_the_object_that_the_application_holds(self) -> None:
        found = book(title="Emma")
        row = BOOK.objects.get()
        row.title = "Persuasion"
        row.save()
        self.assertEqual(found.title, "Persuasion")
        self.assertIs(row.storm_object, found)

    def test_writes_what_differs_and_nothing_else(self) -> None:
        book(title="Emma", pages=1)
        row = BOOK.objects.get()
        row.pages = 2
        with Counter() as storm:
            row.save()
        updates = [sql for sql in storm.statements if sql.startswith("UPDATE")]
        self.assertEqual(len(updates), 1)
        self.assertIn("SET pages=2 WHERE", updates[0])

    def test_takes_what_django_would_convert(self) -> None:
        row = BOOK.objects.create(title="Emma", pages="12", printed="2024-02-29", price="1.5")
        self.assertEqual((row.pages, row.storm_object.pages), (12, 12))
        self.assertEqual(str(row.storm_object.printed), "2024-02-29")

    def test_what_a_validator_makes_of_a_value_arrives(self) -> None:
        self.assertEqual(BOOK.objects.create(title=" Emma ").title, "Emma")

    def test_what_a_validator_refuses_changes_nothing(self) -> None:
        found = book(title="Emma", pages=1)
        row = BOOK.objects.get()
        row.pages, row.title = 2, "EMMA"
        with self.assertRaises(ValidationError) as caught:
            row.save()
        self.assertEqual(caught.exception.message_dict, {"title": ["no shouting in the title"]})
        self.assertEqual((found.title, found.pages), ("Emma", 1))
        self.assertEqual(BOOK.objects.get().pages, 1)

    def test_a_clean_of_all_fields_tells_all_errors(self) -> None:
        with self.assertRaises(ValidationError) as caught:
            BOOK(title="EMMA", pages=2000).full_clean()
        self.assertEqual(
            caught.exception.message_dict,
            {"title": ["no shouting in the title"], "pages": ["too thick"]},
        )
        self.assertEqual(self.store.find(Book).count(), 0)

    def test_a_clean_changes_no_object(self) -> None:
        found = book(title="Emma")
        row = BOOK.objects.get()
        row.title = "Persuasion"
        row.full_clean()
        self.assertEqual(found.title, "Emma")

    def test_an_error_of_the_database_is_djangos_and_leaves_both_as_they_were(self) -> None:
        shelf("A")
        other = shelf("B")
        row = SHELF.objects.get(name="B")
        row.name = "A"
        with self.assertRaises(IntegrityError):
            row.save()
        self.assertEqual(other.name, "B")
        with self.assertRaises(IntegrityError):
            SHELF.objects.create(name="A")
        self.store.flush()
        self.assertEqual(SHELF.objects.count(), 2)

    def test_a_row_that_is_gone_is_not_made_again(self) -> None:
        found = book()
        row = BOOK.objects.get()
        self.store.remove(found)
        for options in ({}, {"force_update": True}, {"update_fields": ["title"]}):
            with self.subTest(options), self.assertRaisesMessage(DatabaseError, "any more"):
                row.save(**options)
        self.assertEqual(BOOK.objects.count(), 0)

    def test_update_fields_limits_what_is_written(self) -> None:
        found = book(title="Emma", pages=1)
        row = BOOK.objects.get()
        row.title, row.pages = "changed", 2
        row.save(update_fields=["pages"])
        self.assertEqual((found.title, found.pages), ("Emma", 2))

    def test_a_deferred_field_is_not_written(self) -> None:
        found = book(title="Emma", pages=1)
        row = BOOK.objects.only("pages").get()
        row.pages = 2
        row.save()
        self.assertEqual((found.title, found.pages), ("Emma", 2))

    def test_a_key_that_exists_is_refused_by_force_insert_only(self) -> None:
        mirror = mirror_of(Label)
        mirror.objects.create(code="a", text="x")
        with self.assertRaises(IntegrityError):
            mirror.objects.create(code="a", text="y")
        mirror(code="a", text="z").save()
        self.assertEqual([each.text for each in self.store.find(Label)], ["z"])

    def test_an_expression_is_refused(self) -> None:
        book(pages=1)
        row = BOOK.objects.get()
        row.pages = F("pages") + 1
        with self.assertRaisesMessage(TypeError, "pages is a database expression"):
            row.save()

    def test_an_object_of_the_application_can_be_given(self) -> None:
        made = Shelf("by the class")
        row = SHELF(name="by the form")
        row.storm_object = made
        row.save()
        self.assertIs(self.store.find(Shelf).one(), made)
        self.assertEqual(made.name, "by the form")

    def test_sends_djangos_signals(self) -> None:
        seen: list[Any] = []

        def note(signal: Any, created: Any = None, **kwargs: Any) -> None:
            seen.append((signal, created, kwargs["sender"]))

        for signal in (pre_save, post_save, pre_delete, post_delete):
            signal.connect(note, sender=SHELF)
            self.addCleanup(signal.disconnect, note, sender=SHELF)
        row = SHELF.objects.create(name="A")
        row.save()
        row.delete()
        self.assertEqual(
            seen,
            [
                (pre_save, None, SHELF),
                (post_save, True, SHELF),
                (pre_save, None, SHELF),
                (post_save, False, SHELF),
                (pre_delete, None, SHELF),
                (post_delete, None, SHELF),
            ],
        )

    def test_a_database_without_a_store_is_a_clear_error(self) -> None:
        with self.assertRaisesMessage(ImproperlyConfigured, "DATABASES['plain'] has no store"):
            store_of_alias("plain")


class DeleteTest(TestCase):
    def setUp(self) -> None:
        self.store = get_store()

    def test_removes_the_object(self) -> None:
        found = book()
        events: list[str] = []
        from storm.info import get_obj_info

        get_obj_info(found).event.hook("removed", lambda info: events.append("removed"))
        row = BOOK.objects.get()
        self.assertEqual(row.delete(), (1, {"tests_storm_django.Book": 1}))
        self.assertEqual(events, ["removed"])
        self.assertIsNone(row.pk)
        with self.assertRaises(ValueError):
            row.delete()

    def test_a_query_removes_the_objects_of_its_rows(self) -> None:
        for title in "abc":
            book(title=title)
        with Counter() as storm:
            self.assertEqual(BOOK.objects.exclude(title="a").delete()[0], 2)
        self.assertEqual(len([sql for sql in storm.statements if sql.startswith("SELECT")]), 1)
        self.assertEqual([each.title for each in self.store.find(Book)], ["a"])

    def test_what_others_refer_to_is_protected(self) -> None:
        place = shelf()
        book(shelf_id=place.id)
        for delete in (SHELF.objects.get().delete, SHELF.objects.all().delete):
            with self.assertRaises(ProtectedError):
                delete()
        self.assertEqual(self.store.find(Shelf).count(), 1)

    def test_a_cascade_removes_with_storm(self) -> None:
        class Place:
            __storm_table__ = "library_shelf"
            id = Int(primary=True)
            name = Unicode()

        class Volume:
            __storm_table__ = "library_book"
            id = Int(primary=True)
            shelf_id = Int()
            shelf = Reference(shelf_id, Place.id)

        volume = mirror_of(Volume, columns={"shelf": {"on_delete": models.CASCADE}})
        place = shelf()
        book(shelf_id=place.id)
        kept = book()
        removed = volume.objects.get(shelf__name="A").storm_object
        self.assertEqual(mirror_of(Place).objects.get().delete()[0], 2)
        self.assertEqual([each.id for each in self.store.find(Book)], [kept.id])
        self.assertIsNone(self.store.of(removed))

    def test_a_row_that_is_gone_counts_nothing(self) -> None:
        found = book()
        row = BOOK.objects.get()
        self.store.remove(found)
        self.assertEqual(row.delete()[0], 0)

    def test_what_the_database_refuses_leaves_both_as_they_were(self) -> None:
        if not connection.features.can_defer_constraint_checks:
            place = shelf()
            book(shelf_id=place.id)
            lonely = mirror_of(type("Lonely", (Shelf,), {"id": Shelf.id, "name": Shelf.name}))
            with self.assertRaises(IntegrityError):
                lonely.objects.get().delete()
            self.assertEqual(place.name, "A")


class ReadTest(TestCase):
    def test_the_rest_of_the_class_is_that_of_the_object(self) -> None:
        book(title="Emma", pages=400, shelf_id=shelf().id)
        row = BOOK.objects.get()
        self.assertEqual(row.thickness, "thick")
        self.assertEqual(row.summary(), "Emma on the shelf A")
        self.assertIs(BOOK.thickness, Book.thickness)
        self.assertIs(BOOK.made.__func__, Book.made.__func__)
        with self.assertRaises(BOOK.DoesNotExist):
            BOOK(title="new").thickness  # noqa: B018

    def test_has_the_name_that_the_class_gives(self) -> None:
        self.assertEqual(str(SHELF(name="x")), "Shelf")
        self.assertEqual(str(SHELF.objects.create(name="x")), "the shelf x")
        self.assertEqual(str(BOOK(pk=7)), "Book 7")
        self.assertEqual(str(SHELF(pk=-1, name="x")), "Shelf -1")

    def test_one_statement_loads_all_storm_objects_of_a_query(self) -> None:
        for number in range(30):
            book(title=f"{number}", shelf_id=shelf(f"{number}").id)
        for query in (
            BOOK.objects.select_related("shelf"),
            BOOK.objects.prefetch_related("shelf"),
            BOOK.objects.select_related("shelf").iterator(),
        ):
            get_store().invalidate()
            with Counter() as storm:
                for row in query:
                    self.assertTrue(row.thickness)
                    self.assertTrue(str(row.shelf))
            self.assertEqual(len(storm.statements), 2, storm.statements)

    def test_what_storm_has_pending_is_seen(self) -> None:
        found = book(title="Emma")
        found.title = "pending"
        get_store().add(Shelf("pending too"))
        self.assertEqual(BOOK.objects.get().title, "pending")
        self.assertEqual(SHELF.objects.get().name, "pending too")

    def test_values_and_deletion_do_not_mix(self) -> None:
        book()
        self.assertEqual(list(BOOK.objects.values_list("title", flat=True)), ["Emma"])
        with self.assertRaises(TypeError):
            BOOK.objects.values("title").delete()

    def test_can_be_copied_and_pickled(self) -> None:
        book(title="Emma")
        row = BOOK.objects.get()
        self.assertEqual(row.thickness, "thin")
        for other in (copy.copy(row), copy.deepcopy(row), pickle.loads(pickle.dumps(row))):
            self.assertEqual((other, other.title, other.thickness), (row, "Emma", "thin"))


class FixtureTest(TestCase):
    def test_goes_out_and_straight_back_into_the_table(self) -> None:
        place = shelf()
        book(title="Emma", shelf_id=place.id, kind="comic")
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder, "library.json"))
            call_command("dumpdata", "tests_storm_django.book", SHELF._meta.label, output=path)
            BOOK.objects.all().delete()
            SHELF.objects.all().delete()
            Book.events.clear()
            call_command("loaddata", path, verbosity=0)
        self.assertEqual(Book.events, [])
        found = get_store().find(Book).one()
        self.assertEqual((found.title, found.kind, found.shelf.name), ("Emma", "comic", "A"))

    def test_all_types_go_out_and_back(self) -> None:
        mirror: Any = registered(Sample)
        get_store().add(Sample())
        made = Sample()
        made.odd, made.pickled, made.word = "abc", [1], "yes"
        get_store().add(made)
        before = list(mirror.objects.values())
        text = serializers.serialize("json", mirror.objects.all())
        mirror.objects.all().delete()
        for row in serializers.deserialize("json", text):
            row.save()
        self.assertEqual(list(mirror.objects.values()), before)

    def test_its_content_type_is_not_stale(self) -> None:
        kind = ContentType.objects.get_for_model(BOOK)
        self.assertIs(kind.model_class(), BOOK)
        call_command("remove_stale_contenttypes", interactive=False, verbosity=0)
        self.assertTrue(ContentType.objects.filter(pk=kind.pk).exists())


class ScopeTest(TransactionTestCase):
    def test_a_save_alone_is_committed(self) -> None:
        SHELF.objects.create(name="A")
        self.assertFalse(connection.in_atomic_block)
        self.assertTrue(connection.get_autocommit())
        get_store().rollback()
        self.assertEqual(SHELF.objects.count(), 1)
        SHELF.objects.all().delete()
        get_store().rollback()
        self.assertEqual(SHELF.objects.count(), 0)

    def test_a_refused_save_does_not_doom_the_scope(self) -> None:
        with commit_on_success():
            SHELF.objects.create(name="A")
            with self.assertRaises(IntegrityError):
                SHELF.objects.create(name="A")
            SHELF.objects.create(name="B")
        self.assertEqual(SHELF.objects.count(), 2)

    def test_a_rollback_takes_the_object_back(self) -> None:
        with commit_on_success():
            place = shelf("A")
        with commit_on_success():
            row = SHELF.objects.get()
            with self.assertRaises(ZeroDivisionError), transaction.atomic():
                row.name = "B"
                row.save()
                _ = 1 / 0
            self.assertEqual((place.name, row.storm_object.name), ("A", "A"))


class Parent(Storm):
    """A tree."""

    __storm_table__ = "tree"
    id = Int(primary=True)
    parent_id = Int()
    parent = Reference(parent_id, "Parent.id")
    leaf_id = Int()
    leaf = Reference(leaf_id, "Leaf.id")
    back = Reference(id, "Leaf.id", on_remote=True)


class Leaf(Storm):
    """A leaf, which refers back."""

    __storm_table__ = "leaf"
    __storm_order__ = "-class_", "id"
    id = Int(primary=True)
    class_ = Unicode(name="class")
    parent_id = Int(allow_none=False)
    parent = Reference(parent_id, Parent.id)


class MakeTest(SimpleTestCase):
    def test_references_are_foreign_keys(self) -> None:
        parent, leaf = mirror_of(Parent), mirror_of(Leaf)
        self.assertIs(parent._meta.get_field("parent").remote_field.model, parent)
        self.assertIs(parent._meta.get_field("leaf").remote_field.model, leaf)
        key: Any = leaf._meta.get_field("parent")
        self.assertIs(key.remote_field.model, parent)
        self.assertEqual((key.column, key.null, key.db_constraint), ("parent_id", False, False))
        self.assertEqual(
            [field.name for field in parent._meta.concrete_fields], ["id", "parent", "leaf"]
        )

    def test_one_that_is_named_as_a_column_stays_one(self) -> None:
        class Twig:
            __storm_table__ = "twig"
            id = Int(primary=True)
            parent_id = Int()
            parent = Reference(parent_id, Parent.id)

        mirror = mirror_of(Twig, columns={"parent_id": {"help_text": "a number"}})
        self.assertEqual(mirror._meta.get_field("parent_id").help_text, "a number")
        self.assertFalse(mirror._meta.get_field("parent_id").is_relation)

    def test_names_and_order_are_those_that_django_allows(self) -> None:
        mirror = mirror_of(Leaf)
        self.assertEqual(mirror._meta.get_field("class").column, "class")
        self.assertEqual(mirror._meta.ordering, ["-class", "id"])
        self.assertEqual(mirror.check(), [])

    def test_is_made_once(self) -> None:
        self.assertIs(mirror_of(Leaf), mirror_of(Leaf))
        with self.assertRaisesMessage(ImproperlyConfigured, "made with other options"):
            mirror_of(Leaf, columns={"class_": {"max_length": 3}})

    def test_belongs_to_no_app_unless_it_is_told(self) -> None:
        from django.apps import apps

        self.assertNotIn(mirror_of(Leaf), apps.get_models(include_auto_created=True))
        self.assertIn(BOOK, apps.get_models())
        self.assertFalse(BOOK._meta.managed)

    def test_two_classes_of_one_name_have_two(self) -> None:
        def make() -> Any:
            class Same:
                __storm_table__ = "same"
                id = Int(primary=True)

            return Same

        one, two = make(), make()
        self.assertIsNot(mirror_of(one), mirror_of(two))
        self.assertNotEqual(mirror_of(one)._meta.label, mirror_of(two)._meta.label)

    def test_a_table_in_a_schema_is_quoted_in_its_parts(self) -> None:
        class Far:
            __storm_table__ = "archive.far"
            id = Int(primary=True)

        self.assertEqual(mirror_of(Far)._meta.db_table, '"archive"."far"')

    def test_meta_goes_into_the_model(self) -> None:
        class Ox:
            __storm_table__ = "ox"
            id = Int(primary=True)

        mirror = mirror_of(Ox, meta={"verbose_name_plural": "oxen"})
        self.assertEqual(mirror._meta.verbose_name_plural, "oxen")

    def test_what_can_have_none_says_why(self) -> None:
        class Plain:
            pass

        class Pair:
            __storm_table__ = "pair"
            __storm_primary__ = "left", "right"
            left = Int()
            right = Int()

        class Clash:
            __storm_table__ = "clash"
            id = Int(primary=True)
            save = Int()

        class Twice:
            __storm_table__ = "twice"
            id = Int(primary=True)
            a = Int()
            a_ = Int(name="b")

        class Nobody:
            __storm_table__ = "nobody"
            id = Int(primary=True)

        Nobody.__module__ = "elsewhere"
        Entry = type("Entry", (Nobody,), {})
        for storm_class, options, message in [
            (Plain, {}, "is no Storm class"),
            (Pair, {}, "primary key"),
            (
                Clash,
                {},
                "Clash.save can't be a field of a Django model: the name is taken by Django",
            ),
            (
                Twice,
                {},
                "Twice.a_ can't be a field of a Django model: the name is taken by another",
            ),
            (Nobody, {"columns": {"nothing": {}}}, "columns names nothing"),
            (Nobody, {"store": "nowhere"}, "behind no alias"),
            (Entry, {"app_label": "tests_storm_django"}, "has a model Entry already"),
        ]:
            with (
                self.subTest(message),
                self.assertRaisesMessage(ImproperlyConfigured, message),
            ):
                mirror_of(storm_class, **options)

    def test_of_the_default_store_needs_no_router(self) -> None:
        class Near:
            __storm_table__ = "near"
            id = Int(primary=True)

        self.assertIsNone(mirror_of(Near, store="main").check() or None)
        self.assertEqual(missed_references(BOOK), [])


@tag("once")
class MigrationTest(TransactionTestCase):
    def test_a_migration_has_them_once_and_for_all(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            package = Path(folder, "written_migrations")
            package.mkdir()
            Path(package, "__init__.py").touch()
            sys.path.insert(0, folder)
            self.addCleanup(sys.path.remove, folder)
            modules = {"tests_storm_django": "written_migrations"}
            with override_settings(MIGRATION_MODULES=modules):
                call_command("makemigrations", "tests_storm_django", verbosity=0)
                text = Path(package, "0001_initial.py").read_text()
                self.assertIn("name='Book'", text)
                self.assertIn("'managed': False", text)
                self.assertNotIn("storm_django.column_fields", text.replace("tests.", ""))
                call_command("makemigrations", "tests_storm_django", check=True, verbosity=0)
                sql = io.StringIO()
                call_command("sqlmigrate", "tests_storm_django", "0001", stdout=sql)
                # The one of the table's own model.
                self.assertEqual(sql.getvalue().count('CREATE TABLE "library_shelf"'), 1)
