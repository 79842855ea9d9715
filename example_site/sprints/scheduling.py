"""The rules of the programme: who may change what, and what clashes.

Each function writes through both object mappers inside a savepoint: it does all of its work or,
when it raises, none. The database decides what clashes (`schema`, `Attendance.Meta`), so that
two requests at once cannot both win; the explanation for people is looked up afterwards.
"""

from django.contrib.auth.models import AbstractUser
from django.db import IntegrityError as DjangoIntegrityError
from django.db.transaction import atomic
from storm.exceptions import IntegrityError as StormIntegrityError
from storm.expr import Update
from storm.store import Store

from example_site.sprints.apps import DRIVERS
from example_site.sprints.models import Attendance
from example_site.sprints.programme import Room, Session, Slot
from storm_django import get_store

INTEGRITY_ERRORS = (StormIntegrityError, DjangoIntegrityError)


class Refused(Exception):
    """A rule of the programme says no. The message is for the person who asked."""


def is_driver(user: AbstractUser) -> bool:
    """Tell whether *user* may move sessions."""
    return user.is_authenticated and user.groups.filter(name=DRIVERS).exists()


@atomic
def propose(user: AbstractUser, title: str, description: str, comment: str) -> Session:
    """Add a session, with *user* as the first to attend it and *comment* as its first comment."""
    session = get_store().add(Session(title, description, user))
    session.comments.create(user=user, text=comment)
    return session


def move(session: Session, room: Room | None, slot: Slot | None) -> None:
    """Put *session* into *room* at *slot*; with None for both, take it off the schedule.

    Raises Refused when another session is there, or when somebody who attends (the proposer
    always does) is elsewhere at that time.
    """
    try:
        with atomic():
            _lock(session)
            session.room, session.slot = room, slot
            Store.of(session).flush()
    except INTEGRITY_ERRORS as error:
        raise Refused(why_not_there(session, room, slot)) from error


def join(session: Session, user: AbstractUser) -> None:
    """Have *user* attend *session*; nothing happens if they do already.

    Raises Refused when they are elsewhere at that time.
    """
    try:
        with atomic():
            _lock(session)
            session.attendance.get_or_create(user=user, defaults={"slot_id": session.slot_id})
    except INTEGRITY_ERRORS as error:
        raise Refused(_why_not_then(session, user)) from error


def leave(session: Session, user: AbstractUser) -> None:
    """Have *user* no longer attend *session*. Raises Refused when they proposed it."""
    if session.proposer_id == user.pk:
        raise Refused("You proposed this session, so it cannot go ahead without you.")
    session.attendance.filter(user=user).delete()


def taken_places(but: Session) -> dict[str, str]:
    """Return the titles of all sessions that have a place, except *but*, by slot and room."""
    placed = Store.of(but).find(Session, Session.slot_id != None, Session.id != but.id)  # noqa: E711
    return {f"{other.slot_id}-{other.room_id}": other.title for other in placed}


def _lock(session: Session) -> None:
    """Make others who move or join *session* wait until this transaction has ended.

    Without it, somebody who joins while a driver moves the session is noted for its old slot.
    """
    store = Store.of(session)
    store.execute(Update({Session.slot_id: Session.slot_id}, Session.id == session.id, Session))
    store.autoreload(session)


# What the database refused in a race may not be visible to this transaction.
_RACE = "Somebody else was there a moment earlier. Look at the schedule and try again."


def why_not_there(session: Session, room: Room, slot: Slot) -> str:
    """Say why the database refused to have *session* in *room* at *slot*."""
    there = Store.of(session).find(Session, room=room, slot=slot).one()
    if there is not None:
        return f"{room.name} is taken on {slot.starts:%A} at {slot.times}, by “{there.title}”."
    elsewhere = (
        Attendance.objects.filter(slot=slot, user__in=session.attendance.values("user"))
        .exclude(session=session)
        .select_related("user")
        .prefetch_related("session")
    )
    reasons = [
        f"{attendance.user.get_full_name() or attendance.user.username} is at "
        f"“{attendance.session.title}”"
        for attendance in elsewhere
    ]
    if not reasons:
        return _RACE
    more = f", and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    return f"On {slot.starts:%A} at {slot.times} " + "; ".join(reasons[:3]) + more + "."


def _why_not_then(session: Session, user: AbstractUser) -> str:
    attendance = user.attendance_set.filter(slot=session.slot).first()
    if attendance is None:
        return _RACE
    return f"You are at “{attendance.session.title}” at that time. Leave it first to join this one."
