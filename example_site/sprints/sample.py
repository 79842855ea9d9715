"""A summit to look at: rooms, two days of slots, people, and their sessions."""

from datetime import date, datetime, time, timedelta

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import AbstractUser
from django.db.transaction import atomic

from example_site.sprints import scheduling
from example_site.sprints.programme import Room, Slot
from example_site.sprints.sample_sessions import COMMENTS, SESSIONS
from storm_django import get_store

ROOMS = [("Estuary", 120), ("Mudflat", 40), ("Saltmarsh", 40), ("Tideline", 24)]

# (starts, ends, label); without a label it takes sessions.
SLOTS = [
    ("09:00", "09:30", "Coffee, and the plan for the day"),
    ("09:30", "10:20", ""),
    ("10:30", "11:20", ""),
    ("11:30", "12:20", ""),
    ("12:20", "14:00", "Lunch in the boathouse"),
    ("14:00", "14:50", ""),
    ("15:00", "15:50", ""),
    ("15:50", "16:20", "Tea and cake"),
    ("16:20", "17:10", ""),
]
DAYS = 2

PEOPLE = [
    ("aino", "Aino Lehtinen"),
    ("bram", "Bram de Wit"),
    ("chidi", "Chidi Okafor"),
    ("dagny", "Dagny Solberg"),
    ("emre", "Emre Şahin"),
    ("fern", "Fern Whitlock"),
    ("goran", "Goran Petrović"),
    ("hana", "Hana Nováková"),
    ("itzel", "Itzel Ramírez"),
    ("jonas", "Jonas Keller"),
]


@atomic
def load_sample(first_day: date) -> bool:
    """Fill an empty programme, with its first day on *first_day*.

    Returns whether it did: a programme that has rooms is left as it is.
    """
    if not get_store().find(Room).is_empty():
        return False
    rooms, slots = load_venue(first_day)
    people = {username: _person(username, name) for username, name in PEOPLE}
    for entry in SESSIONS:
        _add_session(entry, rooms, [slot for slot in slots if not slot.label], people)
    return True


def load_venue(first_day: date) -> tuple[list[Room], list[Slot]]:
    """Add the rooms, and the slots of two days from *first_day*, and return them in order."""
    store = get_store()
    rooms = [store.add(Room(name, seats)) for name, seats in ROOMS]
    slots = [store.add(slot) for day in range(DAYS) for slot in _slots(first_day, day)]
    store.flush()  # the database numbers them in this order
    return rooms, slots


def next_tuesday(today: date) -> date:
    """Return the first Tuesday after *today*."""
    return today + timedelta(days=-today.weekday() % 7 + 1)


def _slots(first_day: date, day: int) -> list[Slot]:
    on = first_day + timedelta(days=day)

    def at(clock: str) -> datetime:
        return datetime.combine(on, time.fromisoformat(clock))

    return [Slot(at(starts), at(ends), label) for starts, ends, label in SLOTS]


def _person(username: str, name: str) -> AbstractUser:
    first_name, last_name = name.split(" ", 1)
    person, _ = get_user_model().objects.get_or_create(
        username=username,
        defaults={
            "password": make_password(None),  # no password opens it
            "first_name": first_name,
            "last_name": last_name,
            "email": f"{username}@dunlin.example",
        },
    )
    return person


def _add_session(
    entry: dict,
    rooms: list[Room],
    slots: list[Slot],
    people: dict[str, AbstractUser],
) -> None:
    proposer, *others = (people[name] for name in entry["people"].split())
    session = scheduling.propose(proposer, entry["title"], entry["description"], entry["comment"])
    if "slot" in entry:
        scheduling.move(session, rooms[entry["room"]], slots[entry["slot"]])
    for person in others:
        scheduling.join(session, person)
    for name, text in COMMENTS.get(entry["title"], []):
        session.comments.create(user=people[name], text=text)
