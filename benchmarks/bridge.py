"""What coherence costs: ``python -m benchmarks.bridge --uri URI``.

First, work of Django alone: with the bridge on, and with it off, which is Django's own cursors on
the same wrapper. The two take turns, one operation each, so that a change in the machine's speed
hits both. Printed: the ratio of the times (on to off, median of the pairs) and that of the Python
calls.

Then a request in which both ORMs read and write the same rows, against the same request with the
bridge off and the flushes and invalidations written by hand: the statements of both.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from storm.uri import URI

from benchmarks.engine import configure, count_calls
from benchmarks.rows import make_rows

TABLE = "benchmark_bridge_row"


@contextmanager
def bridge(on: bool) -> Iterator[None]:
    """Have Django's cursors keep the two ORMs in step, or not."""
    from django.db import connections
    from django.db.backends.utils import CursorWrapper

    connection: Any = connections["default"]
    if not on:
        connection.make_cursor = lambda cursor: CursorWrapper(cursor, connection)
    try:
        yield
    finally:
        connection.__dict__.pop("make_cursor", None)


class Count:
    """A tracer of Storm's and a wrapper of Django's that count statements."""

    def __init__(self) -> None:
        self.storm = self.django = 0

    def connection_raw_execute(self, *args: Any) -> None:
        self.storm += 1

    def __call__(self, execute: Callable[..., Any], *args: Any) -> Any:
        self.django += 1
        return execute(*args)


def count_statements(operation: Callable[[], Any]) -> Count:
    """How many statements of each ORM one run makes."""
    from django.db import connection
    from storm.tracer import install_tracer, remove_tracer

    count = Count()
    install_tracer(count)
    try:
        with connection.execute_wrapper(count):
            operation()
    finally:
        remove_tracer(count)
    return count


def django_alone(Row: Any) -> dict[str, Callable[[], Any]]:
    """Work of Django alone, by name."""
    from django.db import connection, transaction

    from txmiddleware import commit_on_success

    def raw() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    def scope() -> None:
        with commit_on_success():
            for key in range(1, 11):
                Row.objects.get(pk=key)
            Row.objects.filter(pk=1).update(name="updated")

    def atomic() -> None:
        with transaction.atomic():
            Row.objects.get(pk=1)
            Row.objects.filter(pk=1).update(name="updated")

    def bulk() -> None:
        with transaction.atomic():
            Row.objects.bulk_create([Row(name="bulk", number=88) for _ in range(500)])
            transaction.set_rollback(True)

    return {
        "SELECT 1, raw": raw,
        "get": lambda: Row.objects.get(pk=500),
        "filter, 100 rows": lambda: list(Row.objects.filter(number=3, id__lte=1000)),
        "update": lambda: Row.objects.filter(pk=500).update(name="updated"),
        "atomic, get and update": atomic,
        "a scope, 11 statements": scope,
        "bulk_create, 500 rows": bulk,
    }


def mixed(Row: Any, StormRow: Any, by_hand: str) -> None:
    """A request in which each ORM needs what the other has written.

    ``by_hand`` is "" (the bridge does it), "invalidate" (all, as one writes it without thinking)
    or "autoreload" (only what one knows has changed, and that it is still there).
    """
    from storm_django import get_store
    from txmiddleware import commit_on_success

    def flush() -> None:
        if by_hand:
            store.flush()

    def changed(*objects: Any) -> None:
        if by_hand == "invalidate":
            store.invalidate()
        elif by_hand:
            for obj in objects:
                store.autoreload(obj)

    with commit_on_success():
        store = get_store()
        first, second, third = (store.get(StormRow, key) for key in (1, 2, 3))
        first.name, second.number = "storm", 5
        flush()
        assert Row.objects.filter(name="storm").exists()
        row = Row.objects.get(pk=2)
        row.number += 1
        row.save()
        changed(second)
        assert (second.number, third.name) == (6, "row 3")
        first.number = 7
        flush()
        Row.objects.filter(number__in=[6, 7]).update(name="django")
        changed(first, second, third)
        assert (first.name, first.number, third.name) == ("django", 7, "row 3")
        second.name = "storm"
        flush()
        extra = Row.objects.create(name="extra", number=99)
        assert Row.objects.filter(name="storm").count() == 1
        assert store.get(StormRow, 1).name == "django"
        extra.delete()
        if by_hand:
            store.invalidate()
        assert (first.name, second.name) == ("django", "storm")
        Row.objects.filter(pk__in=[1, 2]).update(name="row", number=0)
        changed(first, second)


def compare_times(operation: Callable[[], Any], rounds: int) -> float:
    """On to off: the median of the ratios of neighbouring runs."""
    ratios = []
    for number in range(rounds):
        times = {}
        for on in (True, False) if number % 2 else (False, True):
            with bridge(on):
                start = time.perf_counter()
                operation()
                times[on] = time.perf_counter() - start
        ratios.append(times[True] / times[False])
    return statistics.median(ratios)


def main() -> None:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri", default=os.environ.get("STORE_URI"), required=False)
    parser.add_argument("--rounds", type=int, default=1000)
    options = parser.parse_args()
    if not options.uri:
        sys.exit("Name a scratch database: --uri postgres://user:secret@host/dbname")
    configure(URI(options.uri))
    from storm_django import get_store

    django_row, storm_row = make_rows(TABLE)
    get_store()  # made, and used by nobody
    print(f"{'Django alone, bridge on to off':36}{'time':>7}{'calls':>7}")
    for name, operation in django_alone(django_row).items():
        calls = {}
        for on in (True, False):
            with bridge(on):
                for _ in range(10):
                    operation()
                calls[on] = count_calls(lambda alias, operation=operation: operation(), "")
        rounds = max(20, options.rounds // 20) if "500" in name else options.rounds
        ratio = compare_times(operation, rounds)
        print(f"{name:36}{ratio:7.3f}{calls[True] / calls[False]:7.3f}", flush=True)

    print(f"\n{'a mixed request, statements':36}{'Storm':>7}{'Django':>7}{'ratio':>7}")
    totals = {}
    for by_hand in ("", "invalidate", "autoreload"):
        with bridge(not by_hand):
            count = count_statements(lambda by_hand=by_hand: mixed(django_row, storm_row, by_hand))
        totals[by_hand] = count.storm + count.django
        ratio = totals[""] / totals[by_hand]
        name = f"by hand: flush, {by_hand}" if by_hand else "the bridge"
        print(f"{name:36}{count.storm:7}{count.django:7}{ratio:7.3f}")


if __name__ == "__main__":
    main()
