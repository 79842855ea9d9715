"""Storm's own test suite on plain Storm and on ours: ``make storm-suite VENDOR=sqlite``.

The tests are those of the installed ``storm.tests``. Each runs on plain Storm and then with stores
of which Django uses the connection too (see ``tests.storm_suite.sharing``). Prints each test that
passes on plain Storm and not on ours, and exits with 1 if there is any.

TEST_POSTGRES_URI and TEST_MYSQL_URI name the server, as for our own tests. The database storm_suite
is made there and dropped again. Storm's tests of two-phase commit need a PostgreSQL server that has
max_prepared_transactions.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from storm.database import create_database
from storm.uri import URI

from tests.storm_suite.different import DIFFERENT
from tests.vendors import available

ROOT = Path(__file__).resolve().parents[2]
DATABASE = "storm_suite"
VARIABLES = {
    "postgresql": ("STORM_POSTGRES_URI", "STORM_POSTGRES_HOST_URI"),
    "mysql": ("STORM_MYSQL_URI", "STORM_MYSQL_HOST_URI"),
}


@contextlib.contextmanager
def test_database(vendor: str) -> Iterator[dict[str, str]]:
    """Make the database; yields the variables that name it to Storm's tests."""
    if vendor == "sqlite":
        yield {}
        return
    with available(vendor) as server:
        uri = URI(server.uri)
        uri.database = "postgres" if vendor == "postgresql" else "mysql"
        if vendor == "postgresql":
            uri.options["isolation"] = "autocommit"
        connection = create_database(uri).connect()
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
        connection.execute(f"CREATE DATABASE {DATABASE}")
        try:
            uri = URI(server.uri)
            uri.database = DATABASE
            yield dict.fromkeys(VARIABLES[vendor], str(uri))
        finally:
            connection.execute(f"DROP DATABASE {DATABASE}")
            connection.close()


def run(vendor: str, engine: str, log: Path) -> dict[str, str]:
    """Run the suite; returns the outcome of each test."""
    results = log.with_suffix(".json")
    with test_database(vendor) as variables, log.open("w") as output:
        subprocess.run(
            [sys.executable, "-m", "tests.storm_suite.run", vendor, engine, str(results)],
            cwd=ROOT,
            env={
                **os.environ,
                **variables,
                "DJANGO_SETTINGS_MODULE": "tests.storm_suite.settings",
            },
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if not results.exists():
        sys.exit(f"The run on {engine} broke off:\n{log.read_text()[-2000:]}")
    outcomes: dict[str, str] = json.loads(results.read_text())
    return outcomes


def main() -> int:
    """Run, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.storm_suite", description=__doc__)
    parser.add_argument("--vendor", choices=("sqlite", "postgresql", "mysql"), required=True)
    parser.add_argument("--logs", type=Path, help="Keep the two logs in this folder.")
    options = parser.parse_args()

    with contextlib.ExitStack() as stack:
        folder = options.logs or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(exist_ok=True)
        plain = run(options.vendor, "plain", folder / f"{options.vendor}-plain.log")
        ours = run(options.vendor, "ours", folder / f"{options.vendor}-ours.log")

    passed = sorted(test for test, outcome in plain.items() if outcome == "passed")
    missing = [test for test in passed if ours.get(test) != "passed"]
    short = [test for test in missing if test not in DIFFERENT]
    for test in missing:
        if test in DIFFERENT:
            print(f"differs with a reason: {test}: {DIFFERENT[test]}")
    for test in short:
        print(f"falls short: {test}: {ours.get(test, 'not run')}")
    print(
        f"Storm on {options.vendor}: {len(plain)} tests; {len(passed)} pass on plain Storm, "
        f"{sum(outcome == 'passed' for outcome in ours.values())} on ours; "
        f"{len(missing) - len(short)} differ with a reason, {len(short)} fall short"
    )
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
