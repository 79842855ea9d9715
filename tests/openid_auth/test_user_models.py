"""User models of a site's own. A process has one, so each is tried in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from django.test import SimpleTestCase, tag

ROOT = Path(__file__).parents[2]


@tag("once")
class UserModelTests(SimpleTestCase):
    def run_project(self, model: str, tests: int) -> None:
        package = "tests.openid_auth.custom_user"
        command = [
            *(sys.executable, "-m", "django", "test", f"{package}.signing_in.{model}Tests"),
            *("--settings", f"{package}.settings", "--verbosity", "1"),
        ]
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")
        }
        environment |= {"CUSTOM_USER": model, "PYTHONPATH": str(ROOT)}
        ended = subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120
        )
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertIn("\nOK", ended.stderr)
        self.assertIn(f"Ran {tests} tests", ended.stderr)

    def test_another_key_and_another_name_for_the_username(self) -> None:
        self.run_project("Person", 8)

    def test_an_email_address_for_the_username_and_no_groups(self) -> None:
        self.run_project("Member", 5)
