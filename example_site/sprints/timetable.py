"""The programme arranged for the pages: days of slots by rooms, and cards of sessions."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser, AnonymousUser
from storm.store import Store

from example_site.sprints.models import Attendance
from example_site.sprints.programme import Room, Session, Slot

Person = AbstractUser | AnonymousUser

HUES = 6  # as many as the style sheet has


@dataclass(frozen=True)
class Card:
    """A session as the lists show it."""

    session: Session
    proposer: AbstractUser | None  # None: their account is gone
    going: int
    mine: bool  # the visitor attends it


@dataclass(frozen=True)
class Column:
    """A room, and the number of its colour, from 1."""

    room: Room
    hue: int


@dataclass(frozen=True)
class Cell:
    """A room at a time, with the card of the session there, if any."""

    column: Column
    card: Card | None


@dataclass(frozen=True)
class Row:
    """A slot, with a cell for each room; a slot with a label has none."""

    slot: Slot
    cells: list[Cell]


@dataclass(frozen=True)
class Day:
    """A day of the summit, with its rows in the order of time."""

    date: date
    rows: list[Row]


def make_cards(sessions: Iterable[Session], visitor: Person) -> list[Card]:
    """Return a card for each of *sessions*, with two queries however many they are."""
    sessions = list(sessions)
    proposers = get_user_model().objects.in_bulk({session.proposer_id for session in sessions})
    attendance = Attendance.objects.filter(session_id__in=[session.id for session in sessions])
    pairs = list(attendance.values_list("session_id", "user_id"))
    going = Counter(session_id for session_id, _ in pairs)
    mine = {session_id for session_id, user_id in pairs if user_id == visitor.pk}
    return [
        Card(
            session=session,
            proposer=proposers.get(session.proposer_id),
            going=going[session.id],
            mine=session.id in mine,
        )
        for session in sessions
    ]


def make_columns(rooms: list[Room]) -> list[Column]:
    """Give each room a colour."""
    return [Column(room, position % HUES + 1) for position, room in enumerate(rooms)]


def make_days(columns: list[Column], slots: list[Slot], cards: list[Card]) -> list[Day]:
    """Arrange *cards* in the grid of *slots* (in the order of time) by rooms."""
    placed = {(card.session.slot_id, card.session.room_id): card for card in cards}

    def row(slot: Slot) -> Row:
        if slot.label:
            return Row(slot, [])
        return Row(
            slot, [Cell(column, placed.get((slot.id, column.room.id))) for column in columns]
        )

    by_day = groupby(slots, key=lambda slot: slot.starts.date())
    return [Day(day, [row(slot) for slot in day_slots]) for day, day_slots in by_day]


def load_places(store: Store) -> tuple[list[Room], list[Slot]]:
    """Return all rooms, and all slots in the order of time."""
    return list(store.find(Room)), list(store.find(Slot))
