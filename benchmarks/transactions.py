"""Requests beside ``ATOMIC_REQUESTS``: ``python -m benchmarks.transactions --uri URI``.

The same views, behind Django's WSGI handler, in sites that have each a process of its own:
``TransactionMiddleware`` with the engine on a store, the same with Django's own engine, and
``ATOMIC_REQUESTS`` with Django's own engine, which has no other middleware. A store states its
isolation level; so on PostgreSQL there is one more, ``ATOMIC_REQUESTS`` where ``OPTIONS`` state
the same level. They take turns, a few requests each, so that a change in the machine's speed hits
all. Printed for each kind of request: the ratio of the times (ours to ``ATOMIC_REQUESTS``, and to
that with a stated level, median of the turns), the ratio of the Python calls, and on PostgreSQL
the statements that reached the server. Where the view writes through both object mappers and
Django has its own engine, Storm has a connection of its own, which the view commits.
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

THEIRS, STATED = "ATOMIC_REQUESTS", "ATOMIC_REQUESTS, level stated"
OURS = {"stock": "TransactionMiddleware, stock engine", "store": "TransactionMiddleware, store"}
REQUESTS = {
    "nothing": "no database",
    "read": "one read",
    "write": "five writes, Django",
    "both": "five writes, both",
}


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


def compare(
    sites: dict[str, Process], name: str, turns: int, each: int
) -> dict[tuple[str, str], float]:
    """The medians of the ratios of neighbouring turns, ours to theirs."""
    pairs = [(ours, theirs) for ours in OURS for theirs in sites if theirs not in OURS]
    ratios: dict[tuple[str, str], list[float]] = {pair: [] for pair in pairs}
    order = list(sites)
    for _ in range(turns):
        order.append(order.pop(0))
        times = {kind: sites[kind]("run", name, each) for kind in order}
        for ours, theirs in pairs:
            ratios[ours, theirs].append(times[ours] / times[theirs])
    return {pair: statistics.median(found) for pair, found in ratios.items() if found}


def measure(uri: URI, turns: int, each: int) -> None:
    """Print one table."""
    kinds = [THEIRS, STATED, *OURS] if uri.scheme == "postgres" else [THEIRS, *OURS]
    with ExitStack() as stack:
        sites = {kind: started(stack, kind, uri) for kind in kinds}
        sites[THEIRS]("make_table")
        for site in sites.values():
            for name in REQUESTS:
                site("run", name, 20)
        calls = {
            (kind, name): site("calls", name) for kind, site in sites.items() for name in REQUESTS
        }
        statements: dict[str, Any] = {kind: statements_of(stack, kind, uri) for kind in sites}
        print(f"{'request':21}{'':38}{'time':>7}{'stated':>7}{'calls':>7}  statements")
        for name, label in REQUESTS.items():
            times = compare(sites, name, turns, each)
            for kind in sites:
                ratio = calls[kind, name] / calls[THEIRS, name]
                time, stated = (
                    f"{times[kind, theirs]:.3f}" if (kind, theirs) in times else ""
                    for theirs in (THEIRS, STATED)
                )
                print(
                    f"{label:21}{OURS.get(kind, kind):38}{time:>7}{stated:>7}{ratio:7.3f}  "
                    f"{statements[kind][name]}"
                )
                label = ""
            sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--uri", default=os.environ.get("STORE_URI"), help="a scratch database")
    parser.add_argument("--turns", type=int, default=200, help="0 to count only")
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
    measure(uri, arguments.turns, arguments.each)


if __name__ == "__main__":
    main()
