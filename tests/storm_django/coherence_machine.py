"""A model in memory of two tables, and the ways to compare it with what the ORMs say.

The steps are in ``coherence_work``. Each is done by one of the ORMs, or begins or ends a part of a
transaction. After it some of the ways to look at the tables are tried, in a random order: to look
reads things again, so to try them all, always in one order, would hide what is stale.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import transaction
from django.db import connection
from django.db import transaction as django_transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize
from storm.exceptions import LostObjectError

from storm_django import get_store
from tests.storm_django.boxes import Box, Item, StormBox, StormItem
from txmiddleware import commit_on_success

BOX, ITEM = "box", "item"
DJANGO: dict[str, Any] = {BOX: Box, ITEM: Item}
STORM: dict[str, Any] = {BOX: StormBox, ITEM: StormItem}
FIELDS = {BOX: ("label", "weight"), ITEM: ("box_id", "name", "count", "bag")}
NUMBER = {BOX: "weight", ITEM: "count"}
TEXT = {BOX: "label", ITEM: "name"}
BOX_TABLE, ITEM_TABLE = Box._meta.db_table, Item._meta.db_table

Row = dict[str, Any]
Key = tuple[str, int]  # BOX or ITEM, and the primary key

kinds = st.sampled_from([BOX, ITEM])
picks = st.integers(0, 20)
numbers = st.integers(0, 9)
ways_to_look = st.lists(
    st.sampled_from(
        ["held", "held", "held", "get", "django", "django", "find", "cursor", "sets", "sum"]
    ),
    min_size=1,
    max_size=3,
)
looks = st.just([]) | ways_to_look | ways_to_look  # without a look things stay pending


class Oops(Exception):
    """An error of the application."""


@dataclass
class Frame:
    """An open transaction or savepoint: how it is ended, and what was there when it began."""

    end: Callable[[bool], object]
    rows: dict[Key, Row]
    added: set[Key]


def plain(row: Any, kind: str) -> Row:
    """What a model of Django or an object of Storm says of its row."""
    found = {field: getattr(row, field) for field in FIELDS[kind]}
    if isinstance(found.get("bag"), (bytes, memoryview)):
        found["bag"] = pickle.loads(bytes(found["bag"]))
    return found


def stored(row: Row) -> Row:
    """The row as Django's fields take it."""
    return row if "bag" not in row else {**row, "bag": pickle.dumps(row["bag"])}


class CoherenceMachine(RuleBasedStateMachine):
    """``rows`` is the model; ``held`` are objects of Storm that the application has kept."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[Key, Row] = {}
        self.frames: list[Frame] = []
        self.held: dict[Key, Any] = {}
        self.added: set[Key] = set()  # of those held, by Storm's add()
        self.lost: list[Any] = []  # objects of Storm whose keys others have now
        self.last_key = 0
        self.store = get_store()

    def teardown(self) -> None:
        try:
            self.look(["held", "django", "cursor"])
            while self.frames:
                self.end(well=False)
                self.look(["held", "find"])
            self.look(["get", "held"])
        finally:
            for frame in reversed(self.frames):
                with suppress(Exception):
                    frame.end(False)
            transaction.abort()
            Item.objects.all().delete()
            Box.objects.all().delete()

    # To look.

    def look(self, ways: list[str]) -> None:
        idle = not self.frames
        for way in ways:
            getattr(self, "look_" + way.replace(" ", "_"))()
        if idle:
            transaction.abort()  # Storm has begun one

    def rows_of(self, kind: str) -> dict[int, Row]:
        return {key[1]: row for key, row in self.rows.items() if key[0] == kind}

    def look_django(self) -> None:
        for kind, model in DJANGO.items():
            found = {row.pk: plain(row, kind) for row in model.objects.all()}
            assert found == self.rows_of(kind), ("django", kind, found, self.rows_of(kind))

    def look_find(self) -> None:
        for kind, cls in STORM.items():
            found = {row.id: plain(row, kind) for row in self.store.find(cls)}
            assert found == self.rows_of(kind), ("find", kind, found, self.rows_of(kind))

    def look_held(self) -> None:
        for (kind, key), obj in self.held.items():
            row = self.rows.get((kind, key))
            try:
                found = plain(obj, kind)
            except LostObjectError:
                found = None
            assert found == row, ("held", kind, key, found, row)
            assert obj.id == key
        for obj in self.lost:
            try:
                found = obj.bag if isinstance(obj, StormItem) else obj.label
            except LostObjectError:
                continue
            raise AssertionError("lost", obj.id, found)

    def look_get(self) -> None:
        for (kind, key), obj in self.held.items():
            found = self.store.get(STORM[kind], key)
            assert found is (obj if (kind, key) in self.rows else None), ("get", kind, key, found)

    def look_cursor(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT id, label, weight FROM {BOX_TABLE}")
            found = {key: {"label": label, "weight": n} for key, label, n in cursor.fetchall()}
        assert found == self.rows_of(BOX), ("cursor", found, self.rows_of(BOX))

    def look_sets(self) -> None:
        """References and reference sets."""
        for (kind, key), obj in self.held.items():
            row = self.rows.get((kind, key))
            if row is None:
                continue
            if kind == BOX:
                inside = {n for n, item in self.rows_of(ITEM).items() if item["box_id"] == key}
                assert {item.id for item in obj.items} == inside, ("items", key, inside)
            else:
                box = obj.box
                assert (box and box.id) == row["box_id"], ("box", key, box and box.id, row)

    def look_sum(self) -> None:
        for kind, column in NUMBER.items():
            total = sum(row[column] for row in self.rows_of(kind).values())
            numbers = DJANGO[kind].objects.values_list(column, flat=True)
            assert sum(numbers.iterator(chunk_size=2)) == total
            assert DJANGO[kind].objects.filter(**{column: 3}).exists() == any(
                row[column] == 3 for row in self.rows_of(kind).values()
            )

    # To choose.

    def new_key(self, kind: str, pick: int = 0) -> int:
        """A key that no row has; every now and then one that a row had."""
        if pick % 3 == 1:
            # Not one of an object that was added before a savepoint: its end has to tell them.
            taken = self.rows.keys() | self.added.union(*(frame.added for frame in self.frames))
            for key in range(1, self.last_key + 1):
                if (kind, key) not in taken:
                    return key
        self.last_key += 1
        return self.last_key

    def choose(self, kind: str, pick: int) -> int | None:
        keys = sorted(self.rows_of(kind))
        if pick % 3:
            keys = [key for key in keys if (kind, key) in self.held] or keys
        return keys[pick % len(keys)] if keys else None

    def is_referred_to(self, kind: str, key: int) -> bool:
        return kind == BOX and any(row["box_id"] == key for row in self.rows_of(ITEM).values())

    def choose_held(self, kind: str, pick: int) -> Any:
        """An object of Storm, whose row is there."""
        keys = sorted(key for key in self.held if key[0] == kind and key in self.rows)
        return self.held[keys[pick % len(keys)]] if keys else None

    def new_row(self, kind: str, pick: int, number: int) -> Row:
        if kind == BOX:
            return {"label": f"box {number}", "weight": number}
        box = self.choose(BOX, pick)
        return {"box_id": box, "name": f"item {number}", "count": number, "bag": [number]}

    # Transactions.

    def storm(self) -> Any:
        """The store, in a transaction, which it begins in an idle thread."""
        if not self.frames:
            self.store.execute("SELECT 1")
            self.push(lambda well: transaction.commit() if well else transaction.abort())
        return self.store

    def push(self, end: Callable[[bool], object]) -> None:
        self.frames.append(Frame(end, copy.deepcopy(self.rows), set(self.added)))

    def enter(self, context: Any) -> None:
        context.__enter__()

        def leave(well: bool) -> None:
            context.__exit__(*((None, None, None) if well else (Oops, Oops(), None)))

        self.push(leave)

    @initialize(pick=picks, held=st.booleans())
    def start(self, pick: int, held: bool) -> None:
        """Three rows of each kind, which the application may hold."""
        for kind in (BOX, ITEM):
            for number in (1, 2, 3):
                row = self.new_row(kind, number, number)
                DJANGO[kind].objects.create(pk=number, **stored(row))
                self.rows[kind, number] = row
        self.last_key = 3
        if pick % 4:
            self.begin(pick)
        if held:
            self.held = {key: self.storm().get(STORM[key[0]], key[1]) for key in self.rows}

    def begin(self, pick: int) -> None:
        """A transaction, or a savepoint in one."""
        if not self.frames:
            contexts = [
                django_transaction.atomic(),
                commit_on_success(),
                transaction.manager,
            ]
            self.enter(contexts[pick % 3])
        elif len(self.frames) < 5:
            marks = [
                self.atomic_block,
                self.scope,
                self.zope_savepoint,
                self.raw_savepoint,
                self.savepoint_by_hand,
            ]
            marks[pick % 5]()

    def atomic_block(self) -> None:
        self.enter(django_transaction.atomic())

    def scope(self) -> None:
        self.enter(commit_on_success(savepoint=True))

    def zope_savepoint(self) -> None:
        savepoint = transaction.savepoint()
        self.push(lambda well: None if well else savepoint.rollback())

    def savepoint_by_hand(self) -> None:
        with django_transaction.atomic(savepoint=False):  # which Django wants around it
            sid = connection.savepoint()
        self.push(
            lambda well: (
                connection.savepoint_commit(sid) if well else connection.savepoint_rollback(sid)
            )
        )

    def raw_savepoint(self) -> None:
        name = f"raw_{len(self.frames)}"

        def execute(*statements: str) -> None:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)

        def end(well: bool) -> None:
            back = () if well else (f"rollback to savepoint {name}",)
            execute(*back, f"RELEASE SAVEPOINT {name}")

        with django_transaction.atomic(savepoint=False):
            execute(f"SAVEPOINT {name}")
        self.push(end)

    def end(self, *, well: bool) -> None:
        frame = self.frames.pop()
        frame.end(well)
        if not well:
            self.rows = frame.rows
            for key in self.added - frame.added:
                # Whether it was flushed decides whether the store still knows it.
                self.held.pop(key, None)
        self.added &= self.held.keys()
