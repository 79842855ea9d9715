"""What people can fill in."""

from itertools import groupby
from typing import Any

from django import forms
from django.utils.dateformat import format as format_date

from example_site.sprints.models import Comment
from example_site.sprints.programme import Room, Slot


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


class MoveForm(forms.Form):
    """A place for a session: a time and a room, or neither; cleaned into Storm objects."""

    slot = forms.TypedChoiceField(label="Time", required=False, coerce=int, empty_value=None)
    room = forms.TypedChoiceField(label="Room", required=False, coerce=int, empty_value=None)

    def __init__(self, *args: Any, rooms: list[Room], slots: list[Slot], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rooms = {room.id: room for room in rooms}
        self.slots = {slot.id: slot for slot in slots if not slot.label}
        self.fields["room"].choices = [("", "No room")] + [
            (room.id, f"{room.name} ({room.seats} seats)") for room in rooms
        ]
        by_day = groupby(self.slots.values(), key=lambda slot: slot.starts.date())
        self.fields["slot"].choices = [("", "Not scheduled")] + [
            (format_date(day, "l j F"), [(slot.id, slot.times) for slot in slots_of_day])
            for day, slots_of_day in by_day
        ]

    def clean_slot(self) -> Slot | None:
        return self.slots.get(self.cleaned_data["slot"])

    def clean_room(self) -> Room | None:
        return self.rooms.get(self.cleaned_data["room"])

    def clean(self) -> None:
        cleaned = self.cleaned_data
        if {"slot", "room"} <= cleaned.keys() and (cleaned["slot"] is None) != (
            cleaned["room"] is None
        ):
            raise forms.ValidationError(
                "Choose both a time and a room, or neither to take the session off the schedule."
            )
