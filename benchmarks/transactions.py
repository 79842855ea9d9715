"""Requests beside ``ATOMIC_REQUESTS``: ``python -m benchmarks.transactions --uri URI``.

The same views, behind Django's WSGI handler, in sites that have each a process of its own:
``TransactionMiddleware`` with the engine on a store, the same with Django's own engine, and
``ATOMIC_REQUESTS`` with Django's own engine, which has no other middleware. The store leaves its
isolation level to the server, as Django does. They take turns, a few requests each, so that a
change in the machine's speed hits all. Where a process happens to lie in memory makes up to a
tenth of its speed; so the processes are replaced some times. Printed for each kind of request:
the ratio of the times to those of ``ATOMIC_REQUESTS`` (median of the turns, and of that the median,
the least and the most of all processes), the ratio of the Python calls, and on PostgreSQL the
statements that reached the server. Where the view writes through both object mappers and Django
has its own engine, Storm has a connection of its own, which the view commits; not on SQLite, where
one would wait for the other.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from contextlib import ExitStack
from typing import Any

from storm.uri import URI

from benchmarks.process import Process
from benchmarks.statement_log import StatementLog, verbs

THEIRS = "ATOMIC_REQUESTS"
OURS = {"stock": "TransactionMiddleware, stock engine", "store": "TransactionMiddleware, store"}
KINDS = [THEIRS, *OURS]
REQUESTS = {
    "nothing": "no database",
    "read": "one read",
    "write": "five writes, Django",
    "both": "five writes, both",
}


def requests_of(uri: URI) -> list[str]:
    """The kinds of request that the database can serve."""
    return [name for name in REQUESTS if name != "both" or uri.scheme != "sqlite"]


def started(stack: ExitStack, kind: str, uri: URI) -> Process:
    """Start a site, to end with ``stack``."""
    process = Process("benchmarks.transactions_contender", kind, str(uri))
    stack.callback(process.close)
    return process


def statements_of(stack: ExitStack, kind: str, uri: URI) -> dict[str, str]:
    """What a request of each kind sends to a PostgreSQL server."""
    if uri.scheme != "postgres":
        return dict.fromkeys(REQUESTS, "")
    log = StatementLog(uri.host or "127.0.0.1", uri.port or 5432)
    stack.callback(log.close)
    uri = uri.copy()
    uri.host, uri.port = "127.0.0.1", log.port
    site = started(stack, kind, uri)
    found = {}
    for name in REQUESTS:
        site("run", name, 3)
        with log.collected() as statements:
            site("run", name, 1)
        found[name] = " ".join(verbs(statements))
    return found


def compare(sites: dict[str, Process], name: str, turns: int, each: int) -> dict[str, float]:
    """The medians of the ratios of neighbouring turns, ours to theirs."""
    ratios: dict[str, list[float]] = {kind: [] for kind in OURS}
    order = list(sites)
    for _ in range(turns):
        order.append(order.pop(0))
        times = {kind: sites[kind]("run", name, each) for kind in order}
        for kind in OURS:
            ratios[kind].append(times[kind] / times[THEIRS])
    return {kind: statistics.median(found) for kind, found in ratios.items()}


def times_of(uri: URI, processes: int, turns: int, each: int) -> dict[tuple[str, str], list[float]]:
    """By kind of request and of site, the ratio of each set of processes."""
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(processes):
        with ExitStack() as stack:
            sites = {kind: started(stack, kind, uri) for kind in KINDS}
            for name in requests_of(uri):
                for site in sites.values():
                    site("run", name, 20)
                for kind, ratio in compare(sites, name, turns, each).items():
                    found.setdefault((name, kind), []).append(ratio)
    return found


def measure(uri: URI, processes: int, turns: int, each: int) -> None:
    """Print one table."""
    with ExitStack() as stack:
        sites = {kind: started(stack, kind, uri) for kind in KINDS}
        sites[THEIRS]("make_table")
        for site in sites.values():
            for name in requests_of(uri):
                site("run", name, 20)
        calls = {
            (kind, name): site("calls", name)
            for kind, site in sites.items()
            for name in requests_of(uri)
        }
        statements: dict[str, Any] = {kind: statements_of(stack, kind, uri) for kind in sites}
    times = times_of(uri, processes, turns, each) if turns else {}
    print(f"{'request':21}{'':38}{'time':>7}{'least':>7}{'most':>7}{'calls':>7}  statements")
    for name in requests_of(uri):
        label = REQUESTS[name]
        for kind in KINDS:
            ratios = times.get((name, kind))
            summary = [statistics.median(ratios), min(ratios), max(ratios)] if ratios else []
            shown = "".join(f"{ratio:7.3f}" for ratio in summary)
            ratio = calls[kind, name] / calls[THEIRS, name]
            print(
                f"{label:21}{OURS.get(kind, kind):38}{shown:21}{ratio:7.3f}  "
                f"{statements[kind][name]}"
            )
            label = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--uri", default=os.environ.get("STORE_URI"), help="a scratch database")
    parser.add_argument("--processes", type=int, default=8, help="sets of processes")
    parser.add_argument("--turns", type=int, default=60, help="of each; 0 to count only")
    parser.add_argument("--each", type=int, default=5, help="requests in a turn")
    parser.add_argument("--show", help="print the functions that a request calls: store,nothing")
    arguments = parser.parse_args()
    if not arguments.uri:
        sys.exit("Name a scratch database: --uri postgres://user:secret@host/dbname")
    uri = URI(arguments.uri)
    if arguments.show:
        kind, name = arguments.show.split(",")
        with ExitStack() as stack:
            site = started(stack, kind, uri)
            site("make_table")
            site("run", name, 20)
            print(site("show", name))
        return
    measure(uri, arguments.processes, arguments.turns, arguments.each)


if __name__ == "__main__":
    main()
