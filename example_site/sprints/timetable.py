"""The programme arranged for the pages: days of slots by rooms."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from django.contrib.auth.models import AbstractUser, AnonymousUser

from example_site.sprints.programme import Room, Session, Slot
from storm_django import get_store
from storm_django.references import prefetch

HUES = 6  # as many as the style sheet has


@dataclass(frozen=True)
class Column:
    """A room, and the number of its colour, from 1."""

    room: Room
    hue: int


@dataclass(frozen=True)
class Cell:
    """A room at a time, with the session there, if any."""

    column: Column
    session: Session | None


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


def load_sessions() -> list[Session]:
    """Return all sessions, each with what a card shows."""
    return with_cards(get_store().find(Session))


def with_cards(sessions: Iterable[Session]) -> list[Session]:
    """Load what the cards of *sessions* show, with two queries however many they are."""
    return prefetch(sessions, "proposer", "attendance")


def attended(sessions: list[Session], visitor: AbstractUser | AnonymousUser) -> set[Session]:
    """Return those of *sessions*, loaded with their cards, that *visitor* attends."""
    return {
        session
        for session in sessions
        if any(attendance.user_id == visitor.pk for attendance in session.attendance)
    }


def make_columns() -> list[Column]:
    """Give each room a colour."""
    rooms = get_store().find(Room)
    return [Column(room, position % HUES + 1) for position, room in enumerate(rooms)]


def make_days(columns: list[Column], sessions: list[Session]) -> list[Day]:
    """Arrange *sessions* in the grid of all slots by rooms."""
    placed = {(session.slot_id, session.room_id): session for session in sessions}

    def row(slot: Slot) -> Row:
        if slot.label:
            return Row(slot, [])
        return Row(
            slot, [Cell(column, placed.get((slot.id, column.room.id))) for column in columns]
        )

    by_day = groupby(get_store().find(Slot), key=lambda slot: slot.starts.date())
    return [Day(day, [row(slot) for slot in slots]) for day, slots in by_day]
