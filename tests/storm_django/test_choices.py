"""Form fields that choose among Storm objects."""

from __future__ import annotations

import copy
from typing import Any

from django import forms
from django.test import TestCase
from storm.locals import Int, Unicode

from storm_django import get_store
from storm_django.choices import StormChoiceField, StormMultipleChoiceField
from storm_django.key_columns import UnusableKeyError
from tests.storm_django.models import StormEntry


class NamedEntry(StormEntry):
    """The same with a name for people."""

    def __str__(self) -> str:
        return f"entry {self.name}"


class ByName:
    """The same table with a key of text."""

    __storm_table__ = "tests_storm_django_entry"
    __storm_primary__ = "name"

    id = Int()
    name = Unicode()
    position = Int(default=0)


class TwoKeys:
    """A class with a key of two columns."""

    __storm_table__ = "tests_storm_django_entry"
    __storm_primary__ = "id", "position"

    id = Int()
    position = Int()


def first_entries() -> Any:
    """Those that a person may choose."""
    return get_store().find(NamedEntry, NamedEntry.position < 10).order_by(NamedEntry.position)


class EntryForm(forms.Form):
    entry = StormChoiceField(NamedEntry, first_entries)


class EntriesForm(forms.Form):
    entries = StormMultipleChoiceField(NamedEntry, first_entries, required=False)


class ChoiceTest(TestCase):
    def setUp(self) -> None:
        store = get_store()
        self.b, self.a, self.far = (
            store.add(NamedEntry(name, position))
            for name, position in [("b", 2), ("a", 1), ("f", 10)]
        )
        store.flush()

    def test_the_choices_are_made_in_one_query(self) -> None:
        page = str(EntryForm()["entry"])
        self.assertLess(page.index("entry a"), page.index("entry b"))
        self.assertNotIn("entry f", page)
        self.assertInHTML(f'<option value="{self.a.id}">entry a</option>', page)
        self.assertInHTML('<option value="" selected>---------</option>', page)

    def test_the_choices_are_those_of_the_moment(self) -> None:
        form = EntryForm()
        self.a.name = "new"
        self.assertIn("entry new", str(form["entry"]))

    def test_the_value_is_the_object(self) -> None:
        form = EntryForm({"entry": str(self.a.id)})
        self.assertTrue(form.is_valid(), form.errors)
        self.assertIs(form.cleaned_data["entry"], self.a)

    def test_what_is_not_among_the_choices_is_refused(self) -> None:
        hostile = ["", "x", "0", "-1", "1.5", "\0", "\ud800", "9" * 30, "9" * 9999, "1 OR 1=1"]
        for value in [str(self.far.id), *hostile]:
            with self.subTest(value[:40]):
                form = EntryForm({"entry": value})
                self.assertFalse(form.is_valid())
                self.assertEqual(list(form.errors), ["entry"])

    def test_a_key_of_text_is_refused_where_the_database_can_not_hold_it(self) -> None:
        field = StormChoiceField(ByName, lambda: get_store().find(ByName))
        self.assertEqual(field.clean("a").id, self.a.id)
        for value in ("\0", "\ud800", "no such"):
            with self.subTest(value), self.assertRaises(forms.ValidationError):
                field.clean(value)

    def test_the_initial_value_is_an_object_or_its_key(self) -> None:
        for initial in (self.b, self.b.id):
            form = EntryForm(initial={"entry": initial})
            self.assertIn(f'value="{self.b.id}" selected', str(form["entry"]))
            self.assertFalse(self.changed(form, self.b))
            self.assertTrue(self.changed(form, self.a))

    def changed(self, form: forms.Form, entry: NamedEntry) -> bool:
        return EntryForm({"entry": str(entry.id)}, initial=form.initial).has_changed()

    def test_a_field_that_is_not_required_may_be_empty(self) -> None:
        self.assertIsNone(StormChoiceField(NamedEntry, required=False).clean(""))

    def test_forms_do_not_share_their_choices(self) -> None:
        form = EntryForm()
        form.fields["entry"].empty_label = None
        self.assertNotIn("-----", str(form["entry"]))
        self.assertIn("-----", str(EntryForm()["entry"]))
        self.assertIn("-----", str(copy.deepcopy(EntryForm.base_fields["entry"]).widget.choices[0]))

    def test_a_text_input_takes_the_key(self) -> None:
        field = StormChoiceField(NamedEntry, first_entries, widget=forms.TextInput)
        self.assertIs(field.clean(str(self.a.id)), self.a)
        self.assertIn(f'value="{self.a.id}"', field.widget.render("e", field.prepare_value(self.a)))

    def test_several_are_found_in_one_query(self) -> None:
        form = EntriesForm({"entries": [str(self.b.id), str(self.a.id)]})
        self.assertTrue(form.is_valid(), form.errors)
        self.assertEqual(form.cleaned_data["entries"], [self.a, self.b])
        self.assertEqual(EntriesForm({}).fields["entries"].clean([]), [])

    def test_one_of_several_that_is_no_choice_is_refused(self) -> None:
        form = EntriesForm({"entries": [str(self.far.id), str(self.a.id)]})
        self.assertFalse(form.is_valid())
        self.assertIn(str(self.far.id), form.errors["entries"][0])

    def test_whether_several_have_changed(self) -> None:
        field = EntriesForm.base_fields["entries"]
        keys = [str(self.a.id), str(self.b.id)]
        self.assertFalse(field.has_changed([self.b, self.a], keys))
        self.assertFalse(field.has_changed(None, []))
        self.assertTrue(field.has_changed([self.b], keys))

    def test_a_class_that_can_not_be_chosen_from_is_an_error(self) -> None:
        for wrong, why in [(TwoKeys, "several columns"), (ChoiceTest, "not a Storm class")]:
            with self.assertRaisesMessage(UnusableKeyError, why):
                StormChoiceField(wrong)
