"""Settings for Django's own test suite: SUITE_ENGINE (stock or storm) on SUITE_VENDOR.

The two engines get the same databases and the same options. MySQL's isolation is the server's own
in the store and read committed in Django, so it is named for both.
"""

import os

VENDOR = os.environ["SUITE_VENDOR"]
STORM = os.environ["SUITE_ENGINE"] == "storm"
PREFIX = "storm_suite" if STORM else "stock_suite"
POSTGRES = {"USER": "postgres", "HOST": "127.0.0.1", "PORT": "5432"}
MYSQL = {"USER": "root", "HOST": "127.0.0.1", "PORT": "3306"}


def database(name: str) -> dict[str, object]:
    """One entry of DATABASES."""
    if STORM:
        uri = {
            "sqlite": "sqlite:",
            "postgresql": f"postgres://postgres@127.0.0.1:5432/{PREFIX}_{name}"
            "?isolation=read-committed",
            "mysql": f"mysql://root@127.0.0.1:3306/{PREFIX}_{name}?isolation=read-committed",
        }[VENDOR]
        return {"ENGINE": "storm_django.backend", "NAME": uri} | _TEST
    if VENDOR == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    parts = {"postgresql": POSTGRES, "mysql": MYSQL}[VENDOR]
    return {"ENGINE": f"django.db.backends.{VENDOR}", "NAME": f"{PREFIX}_{name}"} | parts | _TEST


_TEST: dict[str, object] = (
    {"TEST": {"CHARSET": "utf8mb4", "COLLATION": "utf8mb4_general_ci"}} if VENDOR == "mysql" else {}
)
DATABASES = {"default": database("default"), "other": database("other")}

TEST_RUNNER = "tests.django_suite.recording.RecordingRunner"
SECRET_KEY = "django_tests_secret_key"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
