"""Forms and views on a store that is not that of the default alias."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from django.test import SimpleTestCase, tag

ROOT = Path(__file__).resolve().parent.parent.parent


@tag("once")
class SecondStoreTest(SimpleTestCase):
    def test_objects_and_choices_are_those_of_the_store_that_is_named(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "tests.storm_django.second_store"),
                    *(f"{folder}/first.sqlite3", f"{folder}/second.sqlite3"),
                ],
                cwd=ROOT,
                capture_output=True,
                text=True,
            )
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[:2], ["/1/", "[] ['first in attic']"])
        self.assertEqual(lines[2:4], ["/1/", "[] ['moved in cellar']"])
        self.assertIn("invalid_choice", lines[4])
        self.assertEqual(lines[5], "302 []")
