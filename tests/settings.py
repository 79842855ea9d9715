"""The example site's settings, made for tests. tests.runner sets STORE_URI, the store's URI."""

import os
import tempfile
from pathlib import Path

from example_site.settings import *

TEST_RUNNER = "tests.runner.VendorRunner"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast, and only that

# A test package with a models.py is an app, and has tables in the test database.
INSTALLED_APPS = [
    *INSTALLED_APPS,
    *(
        f"tests.apps.{config}"
        for package, config in [
            ("storm_django", "StormDjangoTests"),
            ("storm_references", "ReferencesTests"),
            ("txmiddleware", "TxmiddlewareTests"),
            ("openid_auth", "OpenIDAuthTests"),
        ]
        if (BASE_DIR / "tests" / package / "models.py").exists()
    ),
]

# Files rather than memory: the browser's requests then have connections of their own, and a test
# can look at the database from outside. The name is this run's, and that of its child processes.
_FILES = os.environ.setdefault(
    "TEST_SQLITE_FILES", str(Path(tempfile.gettempdir()) / f"storm-django-{os.getpid()}")
)
if STORM_STORES["main"]["URI"].startswith("sqlite:"):
    DATABASES["default"]["TEST"] = {"NAME": f"{_FILES}-test.sqlite3"}

# A database of a stock engine beside the store's.
DATABASES["plain"] = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": str(BASE_DIR / "plain.sqlite3"),
    "TEST": {"NAME": f"{_FILES}-test-plain.sqlite3"},
}

# The tests have an ArrayField for its column. The app would only add lookups, and statements at
# each connection.
SILENCED_SYSTEM_CHECKS = [
    *SILENCED_SYSTEM_CHECKS,
    "postgres.E005",
    "txmiddleware.W003",  # two databases in one transaction are what some tests are about
]
