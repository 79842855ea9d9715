"""The programme of the summit, as Storm classes: rooms, slots, and the sessions placed in them."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.urls import reverse
from django.utils.dateformat import format as format_date
from storm.locals import DateTime, Int, Reference, Unicode

from storm_django.references import DjangoReference


class Room:
    """A room of the venue."""

    __storm_table__ = "sprint_room"
    __storm_order__ = "id"

    id = Int(primary=True)
    name = Unicode(allow_none=False)
    seats = Int(allow_none=False)

    def __init__(self, name: str, seats: int) -> None:
        self.name = name
        self.seats = seats

    def __str__(self) -> str:
        return f"{self.name} ({self.seats} seats)"


class Slot:
    """A stretch of time, the same in all rooms.

    `starts` and `ends` are the clock on the venue's wall: datetimes without a time zone.
    A slot with a `label` (lunch, coffee) is for everybody, and takes no sessions.
    """

    __storm_table__ = "sprint_slot"
    __storm_order__ = "starts"

    id = Int(primary=True)
    starts = DateTime(allow_none=False)
    ends = DateTime(allow_none=False)
    label = Unicode(allow_none=False)

    def __init__(self, starts: datetime, ends: datetime, label: str = "") -> None:
        self.starts = starts
        self.ends = ends
        self.label = label

    def __str__(self) -> str:
        return f"{format_date(self.starts, 'D j M')}, {self.times}"

    @property
    def times(self) -> str:
        """The clock times, for people: "09:30-10:20" with an en dash."""
        return f"{self.starts:%H:%M}\N{EN DASH}{self.ends:%H:%M}"


class Session:
    """A session that somebody proposed; without a room and a slot until a driver places it.

    `proposer` is a Django user, or None when their account is gone. `attendance` and `comments`
    are the Django objects that refer to it (`models`).
    """

    __storm_table__ = "sprint_session"
    __storm_order__ = "id"

    id = Int(primary=True)
    title = Unicode(allow_none=False)
    description = Unicode(allow_none=False)
    proposer_id = Int(allow_none=False)
    room_id = Int(default=None)
    slot_id = Int(default=None)

    proposer = DjangoReference(proposer_id, settings.AUTH_USER_MODEL)
    room = Reference(room_id, Room.id)
    slot = Reference(slot_id, Slot.id)

    # By the related_name of the fields in models.py.
    attendance: Any
    comments: Any

    def __init__(self, title: str, description: str, proposer: AbstractUser) -> None:
        self.title = title
        self.description = description
        self.proposer = proposer

    def __str__(self) -> str:
        return str(self.title)

    def get_absolute_url(self) -> str:
        """The session's page."""
        return reverse("session", args=[self.id])
