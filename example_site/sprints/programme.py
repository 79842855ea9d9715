"""The programme of the summit, as Storm classes: rooms, slots, and the sessions placed in them."""

from datetime import datetime

from storm.locals import DateTime, Int, Reference, Unicode


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

    @property
    def times(self) -> str:
        """The clock times, for people: "09:30-10:20" with an en dash."""
        return f"{self.starts:%H:%M}\N{EN DASH}{self.ends:%H:%M}"


class Session:
    """A session that somebody proposed; without a room and a slot until a driver places it.

    `proposer_id` is the id of a Django user.
    """

    __storm_table__ = "sprint_session"
    __storm_order__ = "id"

    id = Int(primary=True)
    title = Unicode(allow_none=False)
    description = Unicode(allow_none=False)
    proposer_id = Int(allow_none=False)
    room_id = Int()
    slot_id = Int()

    room = Reference(room_id, Room.id)
    slot = Reference(slot_id, Slot.id)

    def __init__(self, title: str, description: str, proposer_id: int) -> None:
        self.title = title
        self.description = description
        self.proposer_id = proposer_id
