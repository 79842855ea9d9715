"""What `manage.py test` itself promises: counts, TEST_REQUIRE, the summary."""

import contextlib
import io
import os
import unittest
from collections.abc import Iterator
from importlib.util import find_spec
from unittest import mock

from django.core.management.base import CommandError
from django.test import SimpleTestCase, tag

from tests import runner
from tests.runner import Counts, Outcome, PassCount, VendorRunner
from tests.vendors import MissingError, UnreachableError, Vendor, available


class Kinds(unittest.TestCase):
    """One test of each kind; the loader does not find them, for load_tests leaves them out."""

    def passes(self) -> None:
        pass

    def fails(self) -> None:
        self.fail("as it should")

    def breaks(self) -> None:
        raise ValueError("as it should")

    def is_skipped(self) -> None:
        self.skipTest("as it should")

    @unittest.expectedFailure
    def fails_as_expected(self) -> None:
        self.fail("as it should")

    @unittest.expectedFailure
    def passes_against_expectation(self) -> None:
        pass

    def fails_in_two_subtests(self) -> None:
        for number in range(3):
            with self.subTest(number=number):
                self.assertEqual(number, 0)


class NoSetUp(Kinds):
    @classmethod
    def setUpClass(cls) -> None:
        raise ValueError("as it should")


def count(*tests: unittest.TestCase) -> Counts:
    result = PassCount()
    unittest.TestSuite(tests).run(result)
    return Counts.of(result)


@tag("once")
class CountsTests(SimpleTestCase):
    def test_each_kind_of_end_is_counted(self) -> None:
        self.assertEqual(count(Kinds("passes")), Counts(run=1, passed=1))
        self.assertEqual(count(Kinds("fails")), Counts(run=1, failed=1))
        self.assertEqual(count(Kinds("breaks")), Counts(run=1, errors=1))
        self.assertEqual(count(Kinds("is_skipped")), Counts(run=1, skipped=1))

    def test_an_expected_failure_passes_and_an_unexpected_success_fails(self) -> None:
        self.assertEqual(count(Kinds("fails_as_expected")), Counts(run=1, passed=1))
        self.assertEqual(count(Kinds("passes_against_expectation")), Counts(run=1, failed=1))

    def test_what_failed_or_broke_is_named(self) -> None:
        names = count(Kinds("passes"), Kinds("fails"), Kinds("breaks")).names
        self.assertEqual([name.rpartition(".")[2] for name in names], ["breaks", "fails"])

    def test_a_test_with_two_failing_subtests_is_one_failure(self) -> None:
        self.assertEqual(count(Kinds("fails_in_two_subtests")), Counts(run=1, failed=1))

    def test_a_class_that_cannot_be_set_up_is_one_error_and_no_test(self) -> None:
        tests = [NoSetUp("passes"), NoSetUp("fails")]
        self.assertEqual(count(*tests), Counts(run=0, errors=1))


@contextlib.contextmanager
def environment(**variables: str) -> Iterator[None]:
    with mock.patch.dict(os.environ, variables):
        os.environ.pop("TEST_VENDOR", None)
        yield


@contextlib.contextmanager
def no_servers(name: str) -> Iterator[Vendor]:
    raise MissingError(f"no {name} in this test")
    yield


def summary_of(vendors: list[str], **variables: str) -> tuple[int, list[str]]:
    """Run the runner for vendors that are all missing; return its result and its output."""
    output = io.StringIO()
    with environment(**variables), contextlib.redirect_stdout(output):
        failures = VendorRunner(vendors=vendors).run_tests([])
    return failures, output.getvalue().splitlines()


@tag("once")
class SummaryTests(SimpleTestCase):
    def setUp(self) -> None:
        patch = mock.patch.object(runner, "available", no_servers)
        patch.start()
        self.addCleanup(patch.stop)

    def test_a_missing_vendor_is_left_out_with_its_reason(self) -> None:
        failures, lines = summary_of(["mysql"], TEST_REQUIRE="")
        self.assertEqual(failures, 0)
        self.assertIn("left out: no mysql in this test", "\n".join(lines))
        self.assertEqual(lines[-1], "0 passed, 0 failed, 0 skipped")

    def test_a_missing_vendor_that_is_required_is_a_failure(self) -> None:
        failures, lines = summary_of(["mysql", "browser"], TEST_REQUIRE="postgresql, mysql")
        self.assertEqual(failures, 1)
        self.assertIn("TEST_REQUIRE names it", "\n".join(lines))
        self.assertEqual(lines[-1], "0 passed, 1 failed, 0 skipped")

    def test_a_required_word_that_is_no_vendor_is_refused(self) -> None:
        with self.assertRaisesMessage(CommandError, "TEST_REQUIRE names oracle"):
            summary_of(["mysql"], TEST_REQUIRE="mysql,oracle")

    def test_a_whole_run_without_a_test_is_a_failure(self) -> None:
        empty = Outcome("sqlite", Counts(), "")
        runner._refuse_empty_runs([empty])
        self.assertEqual(empty.failures, 1)

    def test_the_last_line_adds_up_the_vendors(self) -> None:
        output = io.StringIO()
        counts = Counts(run=6, passed=2, failed=1, errors=1, skipped=2)
        with contextlib.redirect_stdout(output):
            failed = runner._summarize([Outcome("sqlite", counts, ""), Outcome("x", counts, "")])
        self.assertEqual(failed, 4)
        self.assertEqual(output.getvalue().splitlines()[-1], "4 passed, 4 failed, 4 skipped")

    def test_the_names_of_what_failed_come_before_the_last_line(self) -> None:
        output = io.StringIO()
        counts = Counts(run=2, failed=2, names=["tests.a", "tests.b"])
        with contextlib.redirect_stdout(output):
            runner._summarize([Outcome("sqlite", counts, "")])
        self.assertEqual(
            output.getvalue().splitlines()[-3:],
            [
                "failed on sqlite: tests.a",
                "failed on sqlite: tests.b",
                "0 passed, 2 failed, 0 skipped",
            ],
        )


@tag("once")
class VendorTests(SimpleTestCase):
    @unittest.skipUnless(find_spec("psycopg2"), "psycopg2 is not installed")
    def test_a_named_server_that_does_not_answer_is_no_vendor_left_out(self) -> None:
        uri = "postgres://postgres@127.0.0.1:1/x"  # nothing listens on port 1
        with (
            environment(TEST_POSTGRES_URI=uri),
            self.assertRaisesMessage(UnreachableError, "TEST_POSTGRES_URI"),
            available("postgresql"),
        ):
            self.fail("there is a server on port 1")

    def test_without_chromium_there_is_no_browser(self) -> None:
        with (
            environment(PATH="/nowhere"),
            self.assertRaisesMessage(MissingError, "no Chromium found"),
            available("browser"),
        ):
            self.fail("there is a browser in /nowhere")


def load_tests(loader: unittest.TestLoader, *_: object) -> unittest.TestSuite:
    cases = [CountsTests, SummaryTests, VendorTests]
    return unittest.TestSuite(map(loader.loadTestsFromTestCase, cases))
