"""The engine beside Django's own, on one server: ``python -m benchmarks.engine --uri URI``.

Both engines do the same work on the same tables, in turn, one operation each, so that a change in
the machine's speed hits both. Printed for each operation: the ratio of the times (ours to stock,
median of the pairs), the ratio of the Python calls, and on PostgreSQL the statements that
reached the server.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from storm.uri import URI

from benchmarks.rows import make_rows
from benchmarks.stock import isolated_alike, stock_database

Operation = Callable[[str], Any]


def configure(uri: URI) -> None:
    """Set Django up with the alias ``stock`` and the alias ``default`` on a store."""
    from django.conf import settings

    settings.configure(
        INSTALLED_APPS=["storm_django", "txmiddleware"],
        STORM_STORES={"main": str(isolated_alike(uri))},
        DATABASES={
            "default": {"ENGINE": "storm_django.backend", "NAME": "main", "CONN_MAX_AGE": None},
            "stock": stock_database(uri),
        },
        USE_TZ=True,
    )
    import django

    django.setup()


def make_operations() -> dict[str, Operation]:
    """The work to measure, by name; each takes the alias to do it on."""
    import transaction
    from django.db import transaction as django_transaction

    from storm_django import get_store

    Row, StormRow = make_rows("benchmark_row", "stock")

    def get(alias: str) -> Any:
        return Row.objects.using(alias).get(pk=500)

    def filter_100(alias: str) -> Any:
        return list(Row.objects.using(alias).filter(number=3, id__lte=1000))

    def create(alias: str) -> Any:
        return Row.objects.using(alias).create(name="new", number=77)

    def bulk_create_1000(alias: str) -> Any:
        rows = [Row(name="bulk", number=88) for _ in range(1000)]
        return Row.objects.using(alias).bulk_create(rows)

    def update(alias: str) -> Any:
        return Row.objects.using(alias).filter(pk=500).update(name="updated")

    def atomic(alias: str) -> None:
        with django_transaction.atomic(using=alias):
            Row.objects.using(alias).create(name="new", number=77)

    def mixed(alias: str) -> None:
        if alias == "stock":
            with django_transaction.atomic(using=alias):
                Row.objects.using(alias).get(pk=501)
                Row.objects.using(alias).create(name="new", number=77)
        else:
            get_store().get(StormRow, 501)
            Row.objects.using(alias).create(name="new", number=77)
            transaction.commit()

    return {
        "get": get,
        "filter, 100 rows": filter_100,
        "create": create,
        "bulk_create, 1000 rows": bulk_create_1000,
        "update": update,
        "atomic, one write": atomic,
        "mixed: Storm reads, Django writes": mixed,
    }


def compare_times(operation: Operation, rounds: int) -> float:
    """Ours to stock: the median of the ratios of neighbouring runs."""
    ratios = []
    for number in range(rounds):
        times = {}
        for alias in ("stock", "default") if number % 2 else ("default", "stock"):
            start = time.perf_counter()
            operation(alias)
            times[alias] = time.perf_counter() - start
        ratios.append(times["default"] / times["stock"])
    return statistics.median(ratios)


def count_calls(operation: Operation, alias: str) -> int:
    """How many Python calls one run makes."""
    profile = cProfile.Profile()
    profile.runcall(operation, alias)
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri", default=os.environ.get("STORE_URI"), required=False)
    parser.add_argument("--rounds", type=int, default=400)
    options = parser.parse_args()
    if not options.uri:
        sys.exit("Name a scratch database: --uri postgres://user:secret@host/dbname")

    from benchmarks.statement_log import StatementLog, verbs

    uri = URI(options.uri)
    log = None
    if uri.scheme == "postgres":
        log = StatementLog(uri.host or "127.0.0.1", uri.port or 5432)
        uri.host, uri.port = "127.0.0.1", log.port
    configure(uri)
    operations = make_operations()
    print(f"{'operation':36}{'time':>7}{'calls':>7}  statements, ours (stock)")
    for name, operation in operations.items():
        rounds = max(20, options.rounds // 20) if "1000" in name else options.rounds
        for alias in ("stock", "default"):
            for _ in range(10):
                operation(alias)
        calls = count_calls(operation, "default") / count_calls(operation, "stock")
        seen: dict[str, str] = {}
        for alias in ("stock", "default"):
            if log is not None:
                with log.collected() as statements:
                    operation(alias)
                seen[alias] = " ".join(verbs(statements))
        ratio = compare_times(operation, rounds)
        told = f"{seen['default']} ({seen['stock']})" if log is not None else ""
        print(f"{name:36}{ratio:7.3f}{calls:7.3f}  {told}", flush=True)


if __name__ == "__main__":
    main()
