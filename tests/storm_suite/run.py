"""One run of Storm's suite, on plain Storm or on ours; a process of its own.

``python -m tests.storm_suite.run VENDOR plain|ours FILE`` writes the outcome of each test to FILE.
"""

from __future__ import annotations

import json
import sys
import unittest
from collections.abc import Callable
from pathlib import Path

import django

from tests.django_suite.recording import RecordingResult
from tests.storm_suite.modules import load_modules


def forgetting(forget: Callable[[], None]) -> type[RecordingResult]:
    """A result that calls ``forget()`` after each test, whose failure is the test's."""

    class Result(RecordingResult):
        def stopTest(self, test: unittest.TestCase) -> None:
            try:
                forget()
            except Exception:
                self.addError(test, sys.exc_info())
            super().stopTest(test)

    return Result


def main(vendor: str, engine: str, results: str) -> None:
    """Load, patch, run, write."""
    modules = list(load_modules(vendor))
    resultclass = RecordingResult
    if engine == "ours":
        django.setup()
        from tests.storm_suite import sharing

        sharing.share(modules)
        resultclass = forgetting(sharing.forget_aliases)
    loader = unittest.defaultTestLoader
    suite = unittest.TestSuite(loader.loadTestsFromModule(module) for module in modules)
    runner = unittest.TextTestRunner(resultclass=resultclass)
    result = runner.run(suite)
    assert isinstance(result, RecordingResult)
    Path(results).write_text(json.dumps(result.outcomes))


if __name__ == "__main__":
    main(*sys.argv[1:])
