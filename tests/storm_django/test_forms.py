"""Forms of Storm classes."""

from __future__ import annotations

import datetime
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib.auth.models import AbstractUser, User
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import MaxValueValidator, MinLengthValidator, validate_slug
from django.db import IntegrityError
from django.forms import modelformset_factory
from django.test import TestCase
from storm.locals import Bool, Enum, Int, Unicode
from storm.store import Store

from example_site.sprints.programme import Room, Session, Slot
from storm_django import get_store
from storm_django.forms import StormChoiceField, StormForm, storm_form
from storm_django.mirror import mirror_of
from storm_django.validators import validated_by
from tests.storm_django.models import Entry, State, StormEntry, StormTyped, Unique
from tests.storm_django.statements import statements


def never_both(obj: Any, attribute: str, value: Any) -> Any:
    """Refuses a value that does not fit another of the same object."""
    if value and obj.position == 13:
        raise ValidationError("What is at 13 is never done.", code="thirteen")
    return value


def make_user() -> AbstractUser:
    """Somebody who proposes a session."""
    return User.objects.create(username="mei")


class ValidatedEntry:
    """The table of entries, with validators of both kinds."""

    __storm_table__ = Entry._meta.db_table

    id = Int(primary=True)
    name = Unicode(allow_none=False, validator=validated_by(MinLengthValidator(3), validate_slug))
    position = Int(default=0, allow_none=False, validator=validated_by(MaxValueValidator(99)))
    done = Bool(default=False, allow_none=False, validator=never_both)


class NamedEntry:
    """The table with a key that people type."""

    __storm_table__ = Entry._meta.db_table

    name = Unicode(primary=True)
    position = Int(default=0, allow_none=False)
    done = Bool(default=False, allow_none=False)


class StatedTyped:
    """A table with an enum whose values are not those of the database."""

    __storm_table__ = StormTyped.__storm_table__

    id = Int(primary=True)
    state = Enum(map={"draft": 1, "final": 2})


class PairEntry:
    """The table with a key of two columns."""

    __storm_table__ = Entry._meta.db_table
    __storm_primary__ = ("name", "position")

    name = Unicode()
    position = Int()


class StormUnique:
    """A table whose values the database keeps unique; no form knows."""

    __storm_table__ = Unique._meta.db_table

    id = Int(primary=True)
    value = Int(allow_none=False)


class EntryForm(StormForm):
    """A form as an application writes it."""

    class Meta:
        model = ValidatedEntry
        fields = ("name", "position", "done")
        labels = {"name": "Title"}
        widgets = {"name": forms.Textarea}
        error_messages = {"name": {"required": "Say what it is."}}

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name == "taken":
            raise ValidationError("That one is taken.")
        return name


class FormTest(TestCase):
    def setUp(self) -> None:
        self.store = get_store()

    def entry(self, **values: Any) -> ValidatedEntry:
        """A row that is there before."""
        entry = ValidatedEntry()
        entry.name = "before"
        for name, value in values.items():
            setattr(entry, name, value)
        self.store.add(entry)
        self.store.flush()
        return entry


class FieldsTest(FormTest):
    def test_the_fields_are_those_of_the_columns_types(self) -> None:
        fields = storm_form(StormTyped, fields="__all__").base_fields
        expected = {
            "text": forms.CharField,
            "flag": forms.NullBooleanField,
            "amount": forms.DecimalField,
            "day": forms.DateField,
            "clock": forms.TimeField,
            "moment": forms.DateTimeField,
            "document": forms.JSONField,
            "key": forms.UUIDField,
            "state": forms.TypedChoiceField,
        }
        self.assertEqual({name: type(field) for name, field in fields.items()}, expected)
        self.assertEqual([field.required for field in fields.values()], [False] * 9)

    def test_what_may_not_be_none_is_required(self) -> None:
        fields = EntryForm.base_fields
        self.assertTrue(fields["name"].required and fields["position"].required)
        self.assertEqual(fields["position"].initial, 0)

    def test_the_options_of_meta_are_djangos(self) -> None:
        form = EntryForm({})
        self.assertEqual(form.fields["name"].label, "Title")
        self.assertIsInstance(form.fields["name"].widget, forms.Textarea)
        self.assertEqual(form.errors["name"], ["Say what it is."])
        fields = storm_form(ValidatedEntry, exclude=["done"]).base_fields
        self.assertEqual(list(fields), ["name", "position"])
        with self.assertRaisesMessage(ImproperlyConfigured, "fields"):
            storm_form(ValidatedEntry)

    def test_making_a_form_class_needs_no_statement(self) -> None:
        with statements() as executed, self.assertNumQueries(0):
            storm_form(Session, fields="__all__")
        self.assertEqual(executed, [])

    def test_two_threads_may_be_the_first_to_make_one(self) -> None:
        ready = threading.Barrier(4)
        self.addCleanup(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(1e-6)

        def make(storm_class: type) -> Any:
            ready.wait()
            return storm_form(storm_class, fields="__all__")._meta.model

        with ThreadPoolExecutor(4) as threads:
            for number in range(5):
                storm_class = type(f"Fresh{number}", (ValidatedEntry,), {})
                mirrors = set(threads.map(make, [storm_class] * 4))
                self.assertEqual(len(mirrors), 1)

    def test_a_subclass_of_a_form_keeps_its_class(self) -> None:
        class Shorter(EntryForm):
            class Meta(EntryForm.Meta):
                fields = ("name",)

        self.assertEqual(list(Shorter().fields), ["name"])
        Shorter({"name": "shorter"}).save()
        self.assertEqual(Entry.objects.get().name, "shorter")

    def test_a_mirror_can_be_the_model_too(self) -> None:
        form = forms.modelform_factory(mirror_of(ValidatedEntry), form=StormForm, fields=["name"])(
            {"name": "mirrored"}
        )
        self.assertIsInstance(form.save(), ValidatedEntry)

    def test_a_key_of_several_columns_is_refused_with_its_name(self) -> None:
        with self.assertRaisesMessage(ImproperlyConfigured, "PairEntry"):
            storm_form(PairEntry, fields="__all__")


class SaveTest(FormTest):
    def test_a_new_object_is_added_and_has_its_key(self) -> None:
        saved = EntryForm({"name": "opening", "position": "3", "done": "on"}).save()
        self.assertIsInstance(saved, ValidatedEntry)
        self.assertIs(Store.of(saved), self.store)
        self.assertEqual((saved.name, saved.position, saved.done), ("opening", 3, True))
        self.assertEqual(Entry.objects.get().pk, saved.id)

    def test_an_object_is_changed(self) -> None:
        entry = self.entry(position=7)
        form = EntryForm({"name": "after", "position": "8"}, instance=entry)
        self.assertIs(form.save(), entry)
        self.assertEqual((entry.name, entry.position, entry.done), ("after", 8, False))
        self.assertEqual(Entry.objects.get().name, "after")

    def test_a_form_shows_the_object(self) -> None:
        form = EntryForm(instance=self.entry(position=7))
        self.assertEqual(form.initial["position"], 7)
        self.assertIn('value="7"', str(form["position"]))

    def test_saving_what_was_not_changed_sends_nothing(self) -> None:
        entry = self.entry(position=7)
        form = EntryForm({"name": "before", "position": "7"}, instance=entry)
        with statements() as executed:
            form.save()
        self.assertEqual([sql for sql in executed if not sql.startswith("SELECT")], [])
        self.assertFalse(form.has_changed())

    def test_an_object_without_a_store_is_added(self) -> None:
        entry = ValidatedEntry()
        entry.done = True
        form = EntryForm({"name": "given", "position": "1"}, instance=entry)
        form.fields.pop("done")
        self.assertIs(form.save(), entry)
        self.assertIs(Store.of(entry), self.store)
        self.assertTrue(Entry.objects.get().done)

    def test_an_object_that_waits_for_its_flush_is_changed(self) -> None:
        entry = ValidatedEntry()
        entry.name = "waiting"
        self.store.add(entry)
        self.assertIs(EntryForm({"name": "flushed", "position": 1}, instance=entry).save(), entry)
        self.assertEqual(Entry.objects.get().name, "flushed")

    def test_what_the_form_lacks_can_be_set_on_its_instance(self) -> None:
        form = storm_form(Session, fields=["title", "description"])(
            {"title": "t", "description": "d"}
        )
        self.assertTrue(form.is_valid())
        user = make_user()
        form.instance.proposer_id = user.pk
        self.assertEqual(form.save().proposer_id, user.pk)
        form = storm_form(ValidatedEntry, fields=["name"])({"name": "new"}, instance=self.entry())
        form.instance.position = 5
        form.save()
        self.assertEqual(list(Entry.objects.values_list("name", "position")), [("new", 5)])

    def test_without_commit_nothing_is_written(self) -> None:
        form = EntryForm({"name": "later", "position": "1"})
        instance = form.save(commit=False)
        self.assertEqual(Entry.objects.count(), 0)
        instance.position = 2
        instance.save()
        self.assertEqual(instance.storm_object.position, 2)
        self.assertEqual(Entry.objects.get().position, 2)

    def test_what_others_changed_meanwhile_stays(self) -> None:
        entry = self.entry(position=1)
        form = storm_form(ValidatedEntry, fields=["name"])({"name": "new"}, instance=entry)
        self.assertTrue(form.is_valid())
        entry.position = 2
        Entry.objects.update(done=True)
        form.save()
        self.assertEqual((entry.name, entry.position, entry.done), ("new", 2, True))

    def test_a_row_that_is_gone_is_an_error_of_the_database(self) -> None:
        entry = self.entry()
        form = EntryForm({"name": "gone", "position": "1"}, instance=entry)
        self.assertTrue(form.is_valid())
        Entry.objects.all().delete()
        with self.assertRaisesMessage(Exception, "not in the database"):
            form.save()

    def test_what_the_database_refuses_is_djangos_error_and_changes_neither(self) -> None:
        form_class = storm_form(StormUnique, fields=["value"])
        form_class({"value": "1"}).save()
        second = form_class({"value": "2"}).save()
        for instance in (None, second):
            with self.subTest(instance), self.assertRaises(IntegrityError):
                form_class({"value": "1"}, instance=instance).save()
        self.assertEqual(second.value, 2)
        self.assertEqual(sorted(Unique.objects.values_list("value", flat=True)), [1, 2])

    def test_a_key_that_people_type_is_theirs_once(self) -> None:
        form_class = storm_form(NamedEntry, fields="__all__")
        saved = form_class({"name": "typed", "position": "1"}).save()
        again = form_class({"name": "typed", "position": "2"})
        self.assertIn("name", again.errors)  # there is one already
        form = form_class({"name": "other", "position": "3"}, instance=saved)
        self.assertIs(form.save(), saved)
        self.assertEqual(list(Entry.objects.values_list("name", "position")), [("typed", 3)])

    def test_every_type_comes_back_as_it_was_typed(self) -> None:
        form_class = storm_form(StormTyped, fields="__all__")
        data = {
            "text": "text",
            "flag": "true",
            "amount": "12.3400",
            "day": "2026-01-31",
            "clock": "09:30:00",
            "moment": "2026-01-31 10:30:00",  # in Brussels
            "document": '{"a": [1, null]}',
            "key": "12345678-1234-5678-1234-567812345678",
            "state": "2",
        }
        typed = form_class(data).save()
        self.assertEqual(typed.amount, Decimal("12.34"))
        self.assertEqual(
            typed.moment, datetime.datetime(2026, 1, 31, 9, 30, tzinfo=datetime.timezone.utc)
        )
        self.assertEqual((typed.state, typed.document), (State.ACCEPTED, {"a": [1, None]}))
        form = form_class(data, instance=typed)
        self.assertTrue(form.is_valid(), form.errors)
        self.assertEqual(form.changed_data, [])
        cleared = form_class({}, instance=typed).save()
        self.assertEqual((cleared.amount, cleared.day, cleared.state), (None, None, None))

    def test_a_formset_edits_many(self) -> None:
        first, second = self.entry(name="first"), self.entry(name="second")
        formset_class = modelformset_factory(
            mirror_of(ValidatedEntry), form=EntryForm, extra=1, can_delete=True
        )
        data = {"form-TOTAL_FORMS": "3", "form-INITIAL_FORMS": "2"}
        for number, (entry, name) in enumerate([(first, "1st"), (second, "2nd"), (None, "3rd")]):
            data[f"form-{number}-id"] = str(entry.id) if entry else ""
            data[f"form-{number}-name"] = name
            data[f"form-{number}-position"] = str(number)
        formset = formset_class({**data, "form-1-DELETE": "on"})
        self.assertTrue(formset.is_valid(), formset.errors)
        formset.save()
        rows = Entry.objects.order_by("position").values_list("name", "position")
        self.assertEqual((first.name, list(rows)), ("1st", [("1st", 0), ("3rd", 2)]))

    def test_an_enum_is_a_choice(self) -> None:
        typed = self.store.add(StatedTyped())
        typed.state = "final"
        form_class = storm_form(StatedTyped, fields=["state"])
        self.assertIn('<option value="2" selected>final</option>', str(form_class(instance=typed)))
        form_class({"state": "1"}, instance=typed).save()
        self.assertEqual(typed.state, "draft")

    def test_an_object_of_another_class_is_refused(self) -> None:
        with self.assertRaisesMessage(TypeError, "takes objects of ValidatedEntry"):
            EntryForm(instance=StormEntry("other"))
        with self.assertRaisesMessage(TypeError, "takes objects of ValidatedEntry"):
            EntryForm(instance=mirror_of(NamedEntry)())

    def test_a_store_without_an_alias_is_refused(self) -> None:
        with self.assertRaisesMessage(ImproperlyConfigured, "'none' is behind no alias"):
            EntryForm(store="none")
        self.assertIsNotNone(EntryForm({"name": "there", "position": 1}, store="main").save().id)


class ErrorsTest(FormTest):
    def test_a_form_that_is_not_valid_changes_nothing(self) -> None:
        entry = self.entry(position=7)
        form = EntryForm({"name": "changed", "position": "100"}, instance=entry)
        self.assertFalse(form.is_valid())
        self.assertEqual((entry.name, entry.position), ("before", 7))
        with statements() as executed:
            self.store.flush()
        self.assertEqual(executed, [])
        with self.assertRaisesMessage(ValueError, "didn't validate"):
            form.save()
        self.assertEqual(Entry.objects.get().name, "before")

    def test_a_new_object_that_is_not_valid_is_in_no_store(self) -> None:
        self.assertFalse(EntryForm({"name": "?", "position": "1"}).is_valid())
        self.store.flush()
        self.assertEqual(Entry.objects.count(), 0)

    def test_what_a_validator_refuses_is_an_error_of_the_field(self) -> None:
        form = EntryForm({"name": "?", "position": "100"})
        self.assertEqual(
            form.errors,
            {
                "name": [
                    "Ensure this value has at least 3 characters (it has 1).",
                    "Enter a valid “slug” consisting of letters, numbers, underscores or hyphens.",
                ],
                "position": ["Ensure this value is less than or equal to 99."],
            },
        )

    def test_a_validator_sees_the_object_as_it_would_be(self) -> None:
        for instance in (None, self.entry(position=13)):
            with self.subTest(instance):
                form = EntryForm(
                    {"name": "friday", "position": "13", "done": "on"}, instance=instance
                )
                self.assertEqual(form.errors, {"done": ["What is at 13 is never done."]})

    def test_the_forms_own_checks_come_too(self) -> None:
        self.assertEqual(
            EntryForm({"name": "taken", "position": "x"}).errors,
            {"name": ["That one is taken."], "position": ["Enter a whole number."]},
        )

    def test_hostile_input_is_an_error_and_no_exception(self) -> None:
        for position in ("9" * 30, "-" + "9" * 5000, "nan", "1e400", "\0", "{}"):
            with self.subTest(position[:9]):
                self.assertIn("position", EntryForm({"name": "abc", "position": position}).errors)
        for name in ("a\0c", "", "   ", "\ud800abc"):
            with self.subTest(repr(name)):
                self.assertIn("name", EntryForm({"name": name, "position": "1"}).errors)
        for name, text in [
            ("amount", "NaN"),
            ("day", "2026-02-31"),
            ("key", "abc"),
            ("state", "3"),
            ("document", "{"),
        ]:
            with self.subTest(name):
                form = storm_form(StormTyped, fields=[name])({name: text})
                self.assertEqual(list(form.errors), [name])

    def test_what_is_not_in_the_form_can_not_be_sent(self) -> None:
        entry = self.entry(position=7)
        form_class = storm_form(ValidatedEntry, fields=["name"])
        form_class({"name": "new", "position": "9", "id": "1"}, instance=entry).save()
        self.assertEqual((entry.name, entry.position), ("new", 7))


class ReferenceTest(FormTest):
    def setUp(self) -> None:
        super().setUp()
        self.room = self.store.add(Room("Attic", 20))
        self.slot = self.store.add(
            Slot(datetime.datetime(2026, 1, 31, 9), datetime.datetime(2026, 1, 31, 10))
        )
        self.store.flush()
        self.form_class = storm_form(Session, fields=["title", "description", "room", "slot"])
        self.data = {"title": "Title", "description": "Text", "room": self.room.id}

    def test_a_reference_is_a_choice_of_the_other_class(self) -> None:
        form = self.form_class({**self.data, "slot": self.slot.id})
        self.assertTrue(form.is_valid(), form.errors)
        form.instance.proposer_id = make_user().pk
        session = form.save()
        self.assertIs(session.room, self.room)
        self.assertIs(session.slot, self.slot)
        again = self.form_class(instance=session)
        self.assertIn(f'<option value="{self.room.id}" selected>', str(again["room"]))

    def test_an_object_that_is_not_there_is_no_choice(self) -> None:
        form = self.form_class({**self.data, "room": self.room.id + 99})
        self.assertEqual(list(form.errors), ["room"])

    def test_a_reference_that_may_be_none_can_be_emptied(self) -> None:
        session = Session("Title", "Text", make_user())
        session.room, session.slot = self.room, self.slot
        self.store.add(session)
        self.store.flush()
        self.form_class({**self.data, "room": "", "slot": ""}, instance=session).save()
        self.assertIsNone(session.room)

    def test_a_choice_on_a_query_is_a_field_of_a_form(self) -> None:
        class SmallRooms(forms.Form):
            room = StormChoiceField(Room, lambda: get_store().find(Room, Room.seats < 50))

        self.assertIs(
            SmallRooms({"room": self.room.id}).fields["room"].clean(self.room.id), self.room
        )
