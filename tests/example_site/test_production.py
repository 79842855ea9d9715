"""The example's production settings, and the secret key they keep."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from django.conf import settings
from django.test import SimpleTestCase, tag

from example_site.secret_key import secret_key_from_file


@tag("once")
class ProductionTests(SimpleTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.key_file = Path(folder.name, "key")

    def run_check(self, *arguments: str, **environment: str) -> str:
        process = subprocess.run(
            [sys.executable, settings.BASE_DIR / "manage.py", "check", *arguments],
            env=os.environ
            | {
                "DJANGO_SETTINGS_MODULE": "example_site.settings_production",
                "SECRET_KEY_FILE": str(self.key_file),
            }
            | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return process.stdout.strip()

    def test_the_deployment_check_has_nothing_to_say(self) -> None:
        self.assertEqual(
            self.run_check("--deploy"), "System check identified no issues (0 silenced)."
        )

    def test_it_speaks_up_when_there_is_something_to_say(self) -> None:
        self.assertIn("security.W009", self.run_check("--deploy", SECRET_KEY="short"))

    def test_the_key_stays_the_same_and_is_its_owners_alone(self) -> None:
        first = secret_key_from_file(self.key_file)
        self.assertGreaterEqual(len(first), 50)
        self.assertEqual(secret_key_from_file(self.key_file), first)
        self.assertEqual(stat.S_IMODE(self.key_file.stat().st_mode), 0o600)
