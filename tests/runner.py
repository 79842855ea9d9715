"""`manage.py test`: the suite once for each vendor that is to be had here, and a summary.

Each vendor is a process of its own, since a process has one STORE_URI: it runs the same command
line, with TEST_VENDOR set and with warnings as errors, and leaves its counts in TEST_COUNTS_FILE.
TEST_REQUIRE=postgresql,mysql,browser makes it a failure when one of these is not to be had;
interop in it stands for the OpenID provider in Ruby, psycopg3 for that driver.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.test.runner import DiscoverRunner, filter_tests_by_tags
from django.test.utils import iter_test_cases

from tests.vendors import VENDORS, MissingError, UnreachableError, Vendor, available, required

WARNINGS = [
    "error",
    # python3-openid 3.2.0 still asks defusedxml for it.
    "ignore:defusedxml.cElementTree is deprecated:DeprecationWarning:openid.oidutil",
    # Storm 1.3 calls it when it is imported; deprecated in Python 3.12.
    "ignore:datetime.datetime.utcfromtimestamp() is deprecated:DeprecationWarning:storm.tz",
]
# What single tests need besides a vendor: they ask TEST_REQUIRE themselves.
PARTNERS = ("interop", "psycopg3")
# A test tagged "browser" or "once" does not depend on the vendor: it runs once, on SQLite.
NOT_ON = {
    "sqlite": ("browser",),
    "postgresql": ("browser", "once"),
    "mysql": ("browser", "once"),
}


@dataclass
class Counts:
    """How many tests of one vendor ended how. An expected failure is a pass."""

    run: int = 0
    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    names: list[str] = field(default_factory=list, compare=False)
    """Of those that failed or broke."""

    @classmethod
    def of(cls, result: "PassCount") -> "Counts":
        """Count a result. Each test counts once, whatever its subtests did."""
        failed = _ids(test for test, *_ in result.failures) | _ids(result.unexpectedSuccesses)
        errors = _ids(test for test, *_ in result.errors) - failed
        skipped = _ids(test for test, *_ in result.skipped) - failed - errors
        return cls(
            result.testsRun,
            result.passed,
            len(failed),
            len(errors),
            len(skipped),
            sorted(failed | errors),
        )


class PassCount(unittest.TestResult):
    """A result that counts what passed.

    It does not follow from the other numbers: a setUpClass that fails is in their lists, but is
    none of the tests that were run.
    """

    passed = 0

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self.passed += 1

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addExpectedFailure(test, err)
        self.passed += 1


@dataclass
class Outcome:
    """What became of one vendor: its counts, or why it was left out."""

    name: str
    counts: Counts
    note: str
    seconds: float = 0
    left_out: bool = False
    interrupted: bool = False

    @property
    def failures(self) -> int:
        return self.counts.failed + self.counts.errors


class VendorRunner(DiscoverRunner):
    """Run the tests once for each vendor; within the process of one vendor, run them."""

    def __init__(
        self, vendors: Sequence[str] | None = None, exclude_tags: Any = None, **options: Any
    ) -> None:
        self.vendors = vendors or VENDORS
        self.vendor = os.environ.get("TEST_VENDOR", "")
        exclude_tags = [*(exclude_tags or []), *NOT_ON.get(self.vendor, ())]
        super().__init__(exclude_tags=exclude_tags, **options)

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--vendor",
            action="append",
            dest="vendors",
            choices=VENDORS,
            help="Run on this vendor only. Can be used multiple times. Default: all there are.",
        )

    def run_tests(self, test_labels: Sequence[str], **kwargs: Any) -> int:
        if self.vendor:
            failures: int = super().run_tests(test_labels or ["tests"], **kwargs)
            return failures
        outcomes = self._run_vendors(_required())
        if not (test_labels or self.tags or self.test_name_patterns):
            _refuse_empty_runs(outcomes)
        return _summarize(outcomes)

    def load_tests_for_label(self, label: str, discover_kwargs: Any) -> unittest.TestSuite:
        tests = super().load_tests_for_label(label, discover_kwargs)
        if self.vendor == "browser":
            # Not by way of --tag: several of those mean "or".
            tests = unittest.TestSuite(
                filter_tests_by_tags(iter_test_cases(tests), {"browser"}, set())
            )
        return tests

    def get_resultclass(self) -> type[PassCount]:
        base = super().get_resultclass() or unittest.TextTestResult
        return type(base.__name__, (PassCount, base), {})

    def suite_result(self, suite: Any, result: PassCount, **kwargs: Any) -> int:
        if path := os.environ.get("TEST_COUNTS_FILE"):
            Path(path).write_text(json.dumps(asdict(Counts.of(result))))
        failures: int = super().suite_result(suite, result, **kwargs)
        return failures

    def _run_vendors(self, required: frozenset[str]) -> list[Outcome]:
        outcomes = []
        for name in self.vendors:
            try:
                with available(name) as vendor:
                    outcomes.append(_run_vendor(vendor))
            except MissingError as missing:
                fails = name in required or isinstance(missing, UnreachableError)
                note = f"left out: {missing}"
                if name in required:
                    note += "; TEST_REQUIRE names it"
                outcomes.append(
                    Outcome(name, Counts(errors=1 if fails else 0), note, left_out=True)
                )
            if outcomes[-1].interrupted or (self.failfast and outcomes[-1].failures):
                break
        return outcomes


def _ids(tests: Iterable[Any]) -> set[str]:
    return {getattr(test, "test_case", test).id() for test in tests}


def _required() -> frozenset[str]:
    """Return the vendors that TEST_REQUIRE names; raise CommandError for a word that is none."""
    words = required()
    known = (*VENDORS, *PARTNERS)
    if unknown := sorted(words.difference(known)):
        raise CommandError(
            f"TEST_REQUIRE names {', '.join(unknown)}; it takes {', '.join(known)}, "
            "with commas between them."
        )
    return words


def _refuse_empty_runs(outcomes: list[Outcome]) -> None:
    """Count a vendor for which all tests were to run, and none was found, as an error."""
    for outcome in outcomes:
        if not (outcome.left_out or outcome.counts.run or outcome.failures):
            outcome.counts.errors = 1
            outcome.note = f"ran no test; {outcome.note}"


def _run_vendor(vendor: Vendor) -> Outcome:
    """Run this command line once more with the vendor in the environment."""
    print(f"\n=== {vendor.name}: {vendor.description} ===", flush=True)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        counts_file = Path(folder, "counts.json")
        status, interrupted = _call(
            [sys.executable, *sys.orig_argv[1:]],
            os.environ
            | {
                "PYTHONWARNINGS": ",".join(WARNINGS),
                "STORE_URI": vendor.uri,
                "TEST_COUNTS_FILE": str(counts_file),
                "TEST_VENDOR": vendor.name,
            },
        )
        complete = counts_file.exists()
        counts = Counts(**json.loads(counts_file.read_text())) if complete else Counts()
    outcome = Outcome(
        vendor.name,
        counts,
        vendor.description,
        seconds=time.monotonic() - begin,
        interrupted=interrupted,
    )
    if interrupted:
        outcome.note = f"interrupted; {outcome.note}"
    elif not complete or (status and not outcome.failures):
        outcome.note = f"broke off with exit status {status}; {outcome.note}"
    if not outcome.failures and (interrupted or status or not complete):
        counts.errors = 1
    return outcome


def _call(command: list[str], environment: dict[str, str]) -> tuple[int, bool]:
    """Run a command to its end; return its exit status, and whether Ctrl-C was pressed.

    The terminal sends Ctrl-C to the command too, which then removes its test databases.
    """
    interrupted = False
    with subprocess.Popen(command, env=environment) as process:
        while True:
            try:
                return process.wait(), interrupted
            except KeyboardInterrupt:
                interrupted = True


def _summarize(outcomes: list[Outcome]) -> int:
    """Print the table and, alone on the last line, the totals; return how many tests failed."""
    row = "{:<11}{:>6}{:>8}{:>8}{:>8}{:>9}{:>7}  {}"
    print("\n" + row.format("", "run", "passed", "failed", "errors", "skipped", "s", ""))
    for outcome in outcomes:
        counts = outcome.counts
        cells: list[object] = [
            counts.run,
            counts.passed,
            counts.failed,
            counts.errors,
            counts.skipped,
            f"{outcome.seconds:.0f}",
        ]
        if outcome.left_out:
            cells = ["-"] * len(cells)
        print(row.format(outcome.name, *cells, outcome.note).rstrip())
    print()
    for outcome in outcomes:
        for name in outcome.counts.names:
            print(f"failed on {outcome.name}: {name}")
    failed = sum(outcome.failures for outcome in outcomes)
    passed = sum(outcome.counts.passed for outcome in outcomes)
    skipped = sum(outcome.counts.skipped for outcome in outcomes)
    sys.stderr.flush()
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return failed
