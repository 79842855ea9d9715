"""The steps of the machine: random work through both ORMs."""

from __future__ import annotations

import copy
from typing import Any

from django.db import connection
from django.db.models import F
from hypothesis import strategies as st
from hypothesis.stateful import rule
from storm.locals import SQL

from tests.storm_django.boxes import Item
from tests.storm_django.coherence_machine import (
    BOX,
    BOX_TABLE,
    DJANGO,
    ITEM,
    ITEM_TABLE,
    NUMBER,
    STORM,
    TEXT,
    CoherenceMachine,
    kinds,
    looks,
    numbers,
    picks,
    stored,
)

TABLES = {BOX: BOX_TABLE, ITEM: ITEM_TABLE}


class StormsWork(CoherenceMachine):
    """What Storm does. What the numbers and the flag mean is for each step to say."""

    def storm_adds(self, kind: str, pick: int, number: int, flag: bool) -> None:
        store, key = self.storm(), self.new_key(kind, pick)
        obj, row = STORM[kind](), self.new_row(kind, pick, number)
        obj.id = key
        for field, value in row.items():
            setattr(obj, field, copy.copy(value))
        if kind == ITEM and (box := self.held.get((BOX, row["box_id"]))) is not None:
            obj.box = box  # which may not have been sent
        store.add(obj)
        if (kind, key) in self.held:
            self.lost.append(self.held[kind, key])
        self.rows[kind, key], self.held[kind, key] = row, obj
        self.added.add((kind, key))

    def storm_loads(self, kind: str, pick: int, number: int, flag: bool) -> None:
        key = self.choose(kind, pick)
        if key is not None:
            cls = STORM[kind]
            store = self.storm()
            found = store.get(cls, key) if flag else store.find(cls, id=key).one()
            self.held[kind, key] = found

    def application_forgets(self, kind: str, pick: int, number: int, flag: bool) -> None:
        keys = sorted(key for key in self.held if key[0] == kind)
        if keys:
            self.held.pop(keys[pick % len(keys)])
        self.added &= self.held.keys()

    def storm_sets(self, kind: str, pick: int, number: int, flag: bool) -> None:
        self.storm()
        obj = self.choose_held(kind, pick)
        if obj is not None:
            field = TEXT[kind] if flag else NUMBER[kind]
            value: Any = f"storm {number}" if flag else number
            setattr(obj, field, value)
            self.rows[kind, obj.id][field] = value

    def storm_sets_an_expression(self, kind: str, pick: int, number: int, flag: bool) -> None:
        self.storm()
        obj = self.choose_held(kind, pick)
        if obj is not None:
            column = NUMBER[kind]
            self.store.flush()  # to set it again before it was sent replaces it
            setattr(obj, column, SQL(f"{column} + 1"))
            self.rows[kind, obj.id][column] += 1

    def storm_changes_in_place(self, kind: str, pick: int, number: int, flag: bool) -> None:
        self.storm()
        obj = self.choose_held(ITEM, pick)
        if obj is not None:
            obj.bag.append(number)
            self.rows[ITEM, obj.id]["bag"].append(number)

    def storm_moves(self, kind: str, pick: int, number: int, flag: bool) -> None:
        self.storm()
        obj, box = self.choose_held(ITEM, pick), self.choose_held(BOX, number)
        if obj is not None and (flag or box is not None):
            obj.box = None if flag else box
            self.rows[ITEM, obj.id]["box_id"] = None if flag else box.id

    def storm_sets_many(self, kind: str, pick: int, number: int, flag: bool) -> None:
        cls, column = STORM[kind], NUMBER[kind]
        self.storm().find(cls, getattr(cls, column) < number).set(**{column: pick})
        for row in self.rows_of(kind).values():
            if row[column] < number:
                row[column] = pick

    def storm_removes(self, kind: str, pick: int, number: int, flag: bool) -> None:
        self.storm()
        obj = self.choose_held(kind, pick)
        if obj is not None and not self.is_referred_to(kind, obj.id):
            if kind == BOX:
                self.store.flush()  # Storm may delete the box before it sends that items left it
            self.store.remove(obj)
            del self.rows[kind, obj.id], self.held[kind, obj.id]
            self.added.discard((kind, obj.id))


class DjangosWork(CoherenceMachine):
    """What Django does."""

    def django_creates(self, kind: str, pick: int, number: int, flag: bool) -> None:
        keys: list[int] = []
        for _ in range(1 + flag):
            key = self.new_key(kind, number)
            keys.append(key)
            self.rows[kind, key] = self.new_row(kind, pick, number)
            if not flag:
                DJANGO[kind].objects.create(pk=key, **stored(self.rows[kind, key]))
        if flag:
            DJANGO[kind].objects.bulk_create(
                DJANGO[kind](pk=key, **stored(self.rows[kind, key])) for key in keys
            )

    def django_saves(self, kind: str, pick: int, number: int, flag: bool) -> None:
        key = self.choose(kind, pick)
        if key is not None:
            row = self.rows[kind, key]
            if flag:
                obj = DJANGO[kind].objects.get(pk=key)
                setattr(obj, TEXT[kind], f"django {number}")
                obj.save(update_fields=[TEXT[kind]])
                row[TEXT[kind]] = f"django {number}"
            else:
                row = self.rows[kind, key] = self.new_row(kind, pick + 1, number)
                DJANGO[kind](pk=key, **stored(row)).save()

    def django_updates(self, kind: str, pick: int, number: int, flag: bool) -> None:
        column = NUMBER[kind]
        rows = DJANGO[kind].objects.filter(**{f"{column}__lt": number})
        rows.update(**{column: F(column) + 2})
        for row in self.rows_of(kind).values():
            if row[column] < number:
                row[column] += 2

    def django_moves(self, kind: str, pick: int, number: int, flag: bool) -> None:
        key, box = self.choose(ITEM, pick), None if flag else self.choose(BOX, number)
        if key is not None:
            Item.objects.filter(pk=key).update(box=box)
            self.rows[ITEM, key]["box_id"] = box

    def django_updates_in_bulk(self, kind: str, pick: int, number: int, flag: bool) -> None:
        keys = {self.choose(kind, picked) for picked in {pick, number}} - {None}
        if keys:
            rows = [DJANGO[kind](pk=key, **{NUMBER[kind]: 10 + (key or 0)}) for key in keys]
            DJANGO[kind].objects.bulk_update(rows, [NUMBER[kind]])
            for key in keys:
                self.rows[kind, key or 0][NUMBER[kind]] = 10 + (key or 0)

    def django_upserts(self, kind: str, pick: int, number: int, flag: bool) -> None:
        """One row that is there, perhaps, and one that is not."""
        fresh = self.new_key(kind, number)
        keys = {self.choose(kind, pick) or fresh, fresh}
        new = {key: self.new_row(kind, pick, number) for key in keys}
        DJANGO[kind].objects.bulk_create(
            [DJANGO[kind](pk=key, **stored(row)) for key, row in new.items()],
            update_conflicts=True,
            update_fields=[NUMBER[kind]],
            unique_fields=(
                ["pk"] if connection.features.supports_update_conflicts_with_target else None
            ),
        )
        for key, row in new.items():
            if (kind, key) in self.rows:
                self.rows[kind, key][NUMBER[kind]] = number
            else:
                self.rows[kind, key] = row

    def django_updates_or_creates(self, kind: str, pick: int, number: int, flag: bool) -> None:
        key = self.choose(kind, pick) or self.new_key(kind, number)
        row = self.rows.setdefault((kind, key), self.new_row(kind, pick, 0))
        DJANGO[kind].objects.update_or_create(
            pk=key,
            defaults={NUMBER[kind]: number},
            create_defaults=stored({**row, NUMBER[kind]: number}),
        )
        row[NUMBER[kind]] = number

    def django_deletes(self, kind: str, pick: int, number: int, flag: bool) -> None:
        """A box takes what is in it with it."""
        key = self.choose(kind, pick)
        if key is not None:
            rows = DJANGO[kind].objects.filter(pk=key)
            rows.get().delete() if flag else rows.delete()
            del self.rows[kind, key]
            if kind == BOX:
                for item, row in self.rows_of(ITEM).items():
                    if row["box_id"] == key:
                        del self.rows[ITEM, item]

    def raw_sql_updates(self, kind: str, pick: int, number: int, flag: bool) -> None:
        key, other = self.choose(kind, pick), self.choose(kind, pick + 1)
        if key is not None and other is not None:
            sql = f"UPDATE {TABLES[kind]} SET {NUMBER[kind]} = %s WHERE id = %s"
            with connection.cursor() as cursor:
                if flag:
                    cursor.executemany(sql, [(number, key), (number, other)])
                    self.rows[kind, other][NUMBER[kind]] = number
                else:
                    cursor.execute(sql, [number, key])
            self.rows[kind, key][NUMBER[kind]] = number

    def raw_sql_deletes(self, kind: str, pick: int, number: int, flag: bool) -> None:
        key = self.choose(ITEM, pick)
        if key is not None:
            with connection.cursor() as cursor:
                cursor.execute(f"delete from {ITEM_TABLE} where id = %s", [key])
            del self.rows[ITEM, key]

    def raw_sql_changes_a_key(self, kind: str, pick: int, number: int, flag: bool) -> None:
        key = self.choose(ITEM, pick)
        if key is not None:
            new = self.new_key(ITEM, pick)
            with connection.cursor() as cursor:
                cursor.execute(f"UPDATE {ITEM_TABLE} SET id = %s WHERE id = %s", [new, key])
            self.rows[ITEM, new] = self.rows.pop((ITEM, key))


STEPS = [
    *(name for name in vars(StormsWork) if name.startswith("storm_")),
    *(name for name in vars(DjangosWork) if name.startswith(("django_", "raw_"))),
    "application_forgets",
    *("begin", "begin", "begin", "end", "end"),
]


class BothWork(StormsWork, DjangosWork):
    """One step after the other, of any sort."""

    # Not a rule for each: Hypothesis leaves rules out of whole sequences, and has favourites.
    @rule(
        step=st.sampled_from(STEPS),
        kind=kinds,
        pick=picks,
        number=numbers,
        flag=st.booleans(),
        ways=looks,
    )
    def step(
        self, step: str, kind: str, pick: int, number: int, flag: bool, ways: list[str]
    ) -> None:
        if step == "begin":
            self.begin(pick)
        elif step == "end":
            if self.frames:
                self.end(well=flag)
        else:
            getattr(self, step)(kind, pick, number, flag)
        self.look(ways)
