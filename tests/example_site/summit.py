"""A small summit, for tests of the example site."""

from datetime import date, datetime, time, timedelta

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser, Group
from django.db.transaction import atomic
from django.http import HttpResponse
from django.test import TestCase
from django.urls import reverse

from example_site.sprints import halfway, scheduling
from example_site.sprints.apps import DRIVERS
from example_site.sprints.models import Attendance
from example_site.sprints.programme import Room, Session, Slot
from example_site.sprints.sample import load_venue
from storm_django import get_store

FIRST_DAY = date(2030, 6, 4)  # a Tuesday

BUILDS = "Reproducible builds: the last two hundred"
RISCV = "A release architecture called riscv64"
IMAGES = "Reproducible images"
PHONES = "Packaging for phones"
FONT = "A typeface for the terminal"

# Where each session is, and who goes; the first proposed it.
SESSIONS = {
    BUILDS: (("Estuary", 0, "10:30"), ["aino", "chidi"]),
    RISCV: (("Mudflat", 0, "10:30"), ["goran"]),
    IMAGES: (("Mudflat", 1, "10:30"), ["aino"]),
    PHONES: (None, ["chidi", "aino"]),
    FONT: (None, ["hana"]),
}
NAMES = {
    "aino": "Aino Lehtinen",
    "chidi": "Chidi Okafor",
    "dora": "Dora Lind",
    "fern": "Fern Whitlock",
    "goran": "Goran Petrović",
    "hana": "Hana Nováková",
}


def get_session(title: str) -> Session:
    """The session called *title*."""
    return get_store().find(Session, title=title).one()


def get_room(name: str) -> Room:
    """The room called *name*."""
    return get_store().find(Room, name=name).one()


def get_slot(day: int, clock: str) -> Slot:
    """The slot that starts on *day* (0 or 1) at *clock* ("10:30")."""
    starts = datetime.combine(FIRST_DAY + timedelta(days=day), time.fromisoformat(clock))
    return get_store().find(Slot, starts=starts).one()


# The following read in a transaction of their own where none is open: whoever reads with Storm is
# in a transaction until it ends, and would keep the server under test from writing.


@atomic
def id_of_session(title: str) -> int:
    """The id of the session called *title*."""
    return get_session(title).id


@atomic
def place(room: str, day: int, clock: str) -> dict[str, int]:
    """A room and a slot, as the form for moving sends them."""
    return {"room": get_room(room).id, "slot": get_slot(day, clock).id}


@atomic
def count_rows() -> dict[str, int]:
    """The number of rows in each table that a proposal writes to."""
    return halfway.count_rows()


@atomic
def place_of(title: str) -> tuple[str, str] | None:
    """The room and the start of a session, as in ("Estuary", "Tue 10:30"); None without."""
    session = get_session(title)
    if session.slot is None:
        return None
    return session.room.name, f"{session.slot.starts:%a %H:%M}"


@atomic
def attends(username: str, title: str) -> bool:
    """Whether a person goes to a session."""
    return Attendance.objects.filter(
        user__username=username, session_id=get_session(title).id
    ).exists()


@atomic
def remove_programme() -> None:
    """Empty Storm's tables, which a TransactionTestCase does not."""
    store = get_store()
    for table in (Session, Slot, Room):
        store.find(table).remove()


@atomic
def load_summit() -> None:
    """Fill an empty programme with the above. `dora` is a driver; she and `fern` go nowhere."""
    load_venue(FIRST_DAY)
    people = {}
    for username, name in NAMES.items():
        first, last = name.split()
        people[username] = get_user_model().objects.create_user(
            username, first_name=first, last_name=last
        )
    people["dora"].groups.add(Group.objects.get(name=DRIVERS))
    for title, (where, (proposer, *others)) in SESSIONS.items():
        session = scheduling.propose(people[proposer], title, f"About {title}.", "Please come.")
        if where is not None:
            room, day, clock = where
            scheduling.move(session, get_room(room), get_slot(day, clock))
        for username in others:
            scheduling.join(session, people[username])


class SummitTestCase(TestCase):
    """A test with the summit; nobody is signed in."""

    @classmethod
    def setUpTestData(cls) -> None:
        load_summit()

    def sign_in(self, username: str) -> AbstractUser:
        """Sign in without a provider."""
        user = get_user_model().objects.get(username=username)
        self.client.force_login(user, "django.contrib.auth.backends.ModelBackend")
        return user

    def post(self, name: str, title: str, **data: object) -> HttpResponse:
        """Post *data* to the address called *name* of a session."""
        return self.client.post(reverse(name, args=[get_session(title).id]), data)

    def get_page(self, title: str) -> HttpResponse:
        """The page of a session."""
        return self.client.get(reverse("session", args=[get_session(title).id]))

    def move(self, title: str, room: str, day: int, clock: str) -> HttpResponse:
        """Ask for a session to be moved."""
        return self.post("move", title, **place(room, day, clock))
