"""What people can fill in."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from django import forms
from django.utils.dateformat import format as format_date

from example_site.sprints.models import Comment
from example_site.sprints.programme import Room, Slot
from storm_django import get_store
from storm_django.choices import StormChoiceField, StormChoiceIterator


class ProposeForm(forms.Form):
    """A new session."""

    title = forms.CharField(
        max_length=100,
        help_text="What it is about, in a few words. At most 100 characters.",
    )
    description = forms.CharField(
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text="What will be talked about or worked on, and what should come out of it.",
    )
    comment = forms.CharField(
        label="First comment",
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What people should read or bring. It starts the discussion of the session.",
    )


class CommentForm(forms.ModelForm):
    """Something to say about a session."""

    class Meta:
        model = Comment
        fields = ["text"]
        labels = {"text": "Your comment"}
        widgets = {"text": forms.Textarea(attrs={"rows": 3})}


class PlaceForm(forms.BaseForm):
    """A form with a room and a slot: both, or neither."""

    def clean(self) -> Any:
        cleaned = super().clean() or self.cleaned_data
        if {"slot", "room"} <= cleaned.keys() and (cleaned["slot"] is None) != (
            cleaned["room"] is None
        ):
            raise forms.ValidationError(
                "Choose both a time and a room, or neither to take the session off the schedule."
            )
        return cleaned


class SlotsByDay(StormChoiceIterator):
    """The choices of a time, under the day that it is on."""

    def __iter__(self) -> Iterator[Any]:
        yield "", self.field.empty_label
        for day, slots in groupby(self.field.results(), key=lambda slot: slot.starts.date()):
            yield format_date(day, "l j F"), [(slot.id, slot.times) for slot in slots]


class SlotField(StormChoiceField):
    """A time that takes sessions."""

    choices = property(SlotsByDay)


class MoveForm(PlaceForm, forms.Form):
    """A place for a session: a time and a room, or neither."""

    slot = SlotField(
        Slot,
        lambda: get_store().find(Slot, label=""),
        label="Time",
        required=False,
        empty_label="Not scheduled",
    )
    room = StormChoiceField(Room, required=False, empty_label="No room")
