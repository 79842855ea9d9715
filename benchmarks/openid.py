"""Signing in beside social-core and django-allauth: ``python -m benchmarks.openid``.

Each package is a site in a process of its own, on a database of its own on the same server, with
Django's own engine and the same middleware; the provider is one more process on loopback. A login
is begin and callback, in process; what the browser does at the provider is not timed. The packages
take turns, one login each, so that a change in the machine's speed hits all. Printed: the
statements, the fetches, and the ratio of the times (ours to theirs, median of the turns); then the
store's speed with a million nonces that are out of time, beside an empty table.

    pip install social-auth-app-django "django-allauth[openid]"
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.process import Process

MODULES = {"openid_auth": "openid_auth", "social-core": "social_django", "allauth": "allauth"}
US = "openid_auth"
# A kind of login: the provider's half that it uses, and whether each turn is somebody new.
LOGINS = {
    "first login": ("op", True),
    "returning": ("op", False),
    "returning, stateless": ("none", False),
}


@contextmanager
def running_provider() -> Iterator[str]:
    """Run the provider; yield its address."""
    command = [sys.executable, "-m", "benchmarks.openid_provider"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


@contextmanager
def new_database(uri: str, name: str) -> Iterator[dict[str, Any]]:
    """Make an empty database; yield it as Django's DATABASES has it."""
    parts = urlsplit(uri)
    if parts.scheme == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder, f"{name}.sqlite3"))
            yield {"ENGINE": "django.db.backends.sqlite3", "NAME": path}
        return
    import psycopg2

    given = {
        "host": parts.hostname,
        "port": parts.port,
        "user": parts.username,
        "password": parts.password,
    }
    name = f"benchmark_{name.replace('-', '_')}_{os.getpid()}"
    server = psycopg2.connect(dbname="postgres", **given)
    server.autocommit = True
    server.cursor().execute(f'CREATE DATABASE "{name}"')
    try:
        yield {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": name,
            **{key.upper(): str(value or "") for key, value in given.items()},
        }
    finally:
        server.cursor().execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        server.close()


def started(stack: ExitStack, uri: str, label: str, name: str, provider: str) -> Process:
    """Start a contender on a database of its own, to end with ``stack``."""
    database = stack.enter_context(new_database(uri, label))
    process = Process("benchmarks.openid_contender", name, json.dumps(database), provider)
    stack.callback(process.close)
    return process


def measure_logins(uri: str, turns: int, show_statements: bool) -> None:
    """Print the part of the table about logins."""
    names = [name for name, module in MODULES.items() if importlib.util.find_spec(module)]
    for name in MODULES.keys() - set(names):
        print(f"{name} is not installed, and is left out", file=sys.stderr)
    with ExitStack() as stack:
        provider = stack.enter_context(running_provider())
        sites = [started(stack, uri, name, name, provider) for name in names]
        cold = {site.name: site("login", "op", "cold") for site in sites}
        rows = {"very first, no association": {name: [cold[name]] for name in names}}
        for kind, (half, is_new) in LOGINS.items():
            found: dict[str, list[Any]] = {name: [] for name in names}
            for site in sites:
                site("login", half, "warm" + half)  # the account, and what is loaded once
            for turn in range(turns):
                for site in sites[turn % len(sites) :] + sites[: turn % len(sites)]:
                    person = f"person{turn}" if is_new else "warm" + half
                    found[site.name].append(site("login", half, person))
            rows[kind] = found
    for kind, found in rows.items():
        for name, results in found.items():
            print_row(kind, name, results, found[US])
            if show_statements and kind == "returning":
                print(*(f"      {sql}" for sql in results[-1]["sql"]), sep="\n")


def print_row(kind: str, name: str, results: list[Any], ours: list[Any]) -> None:
    statements = statistics.median_high(result["statements"] for result in results)
    fetches = statistics.median_high(result["fetches"] for result in results)
    milliseconds = statistics.median(result["seconds"] for result in results) * 1000
    ratio = ""
    if name != US and len(results) > 1:
        pairs = zip(ours, results, strict=True)
        ratio = f"{statistics.median(a['seconds'] / b['seconds'] for a, b in pairs):.2f}"
    print(f"{kind:28}{name:13}{statements:>11}{fetches:>9}{milliseconds:>9.1f}{ratio:>14}")


def measure_store(uri: str, nonces: int, turns: int) -> None:
    """Print the part of the table about the store."""
    vendor = urlsplit(uri).scheme
    with ExitStack() as stack:
        full, empty = (
            started(stack, uri, label, US, "http://127.0.0.1:9") for label in ("full", "empty")
        )
        full("fill", nonces)
        empty("use_nonces", 20, "warm")
        full("use_nonces", 20, "warm")
        times = [(full("use_nonces", 20, f"{n}-"), empty("use_nonces", 20, f"{n}-"))
                 for n in range(turns)]  # fmt: skip
        each = statistics.median(time for time, _ in times) / 20 * 1000
        ratio = statistics.median(one / other for one, other in times)
        seconds, forgotten = full("clean_up")
    print(f"{'use_nonce, ' + vendor:28}{nonces:>10,} old{each:>26.2f}{ratio:>14.2f}")
    print(f"{'cleanup, ' + vendor:28}{forgotten:>10,.0f} old{seconds * 1000:>26.0f}"
          f"{forgotten / seconds:>12,.0f}/s")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--uri", action="append", help="sqlite: or postgres://user@host:port/")
    parser.add_argument("--turns", type=int, default=60, help="logins of each kind (60)")
    parser.add_argument("--nonces", type=int, default=1_000_000, help="old ones in the store")
    parser.add_argument("--statements", action="store_true", help="show those of a returning login")
    arguments = parser.parse_args()
    heading = ("statements", "fetches", "ms", "ours/theirs")
    for uri in arguments.uri or ["sqlite:"]:
        print(f"\n{urlsplit(uri).scheme:28}{'':13}{{:>11}}{{:>9}}{{:>9}}{{:>14}}".format(*heading))
        measure_logins(uri, arguments.turns, arguments.statements)
        print(f"{'store':28}{'':13}{'':11}{'':9}{'ms':>9}{'full/empty':>14}")
        measure_store(uri, arguments.nonces, arguments.turns)


if __name__ == "__main__":
    main()
