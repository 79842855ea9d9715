"""txmiddleware with Django's own engine on psycopg 3: what it makes of that driver's errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.db import connection
from django.test import TransactionTestCase

from tests.txmiddleware.test_without_storm import HIDE, ROOT
from tests.vendors import required

PSYCOPG3 = Path(sys.prefix) / "psycopg3"
"""Where `make test` installs psycopg 3: out of sight of everything else, which needs psycopg2."""


class Psycopg3Test(TransactionTestCase):
    def run_site(self) -> Any:
        site = (ROOT / "tests" / "txmiddleware" / "psycopg3_site.py").read_text()
        names = ("NAME", "USER", "PASSWORD", "HOST", "PORT")
        database = {"ENGINE": "django.db.backends.postgresql"}
        database |= {name: connection.settings_dict[name] for name in names}
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                HIDE + site.partition("import annotations\n")[2],
                json.dumps(database),
            ],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{PSYCOPG3}"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_errors_count_as_those_of_psycopg2(self) -> None:
        if connection.vendor != "postgresql":
            self.skipTest("psycopg is PostgreSQL's.")
        if not PSYCOPG3.exists():
            reason = f"psycopg 3 is not in {PSYCOPG3}: make test installs it there"
            if "psycopg3" in required():
                self.fail(f"TEST_REQUIRE names psycopg3, but {reason}")
            self.skipTest(reason)
        self.assertEqual(
            self.run_site(),
            {
                "fine": [200, 1, 1],
                "slow": [503, 1, 0],
                "slow, caught": [503, 1, 0],
                "killed": [200, 2, 1],
                "refused": [500, 3, 0],
                "pool": [False, True],
                "clash": [500, 1, 0],
                "clash, read committed": [500, 1, 0],
                "clash, serializable": [200, 2, 1],
            },
        )
