"""pytest-django with the middleware on: what one test did in either ORM, no other finds."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from django.test import SimpleTestCase

ROOT = Path(__file__).resolve().parent.parent.parent
MISSING = [name for name in ("pytest", "pytest_django") if importlib.util.find_spec(name) is None]

CONFIGURATION = """
[pytest]
DJANGO_SETTINGS_MODULE = tests.settings
addopts = -p no:cacheprovider
"""

TESTS = """
import pytest
from django.db import connection, transaction
from django.http import HttpResponse
from django.urls import path

from storm_django import get_store
from tests.storm_django.models import Entry, StormEntry
from txmiddleware import commit_on_success, is_managed, on_commit

BOTH = ["a (django)", "a (storm)"]


def write(name="a"):
    Entry.objects.create(name=f"{name} (django)")
    get_store().add(StormEntry(f"{name} (storm)"))


def names():
    return sorted(Entry.objects.values_list("name", flat=True))


def view(request, outcome):
    write(outcome)
    if outcome == "error":
        raise ValueError
    on_commit(lambda: ran.append("ours"))
    transaction.on_commit(lambda: ran.append("django"))
    return HttpResponse("done")


ran = []
urlpatterns = [path("<outcome>/", view)]
pytestmark = pytest.mark.urls(__name__)


@pytest.fixture(autouse=True)
def middleware(settings):
    settings.MIDDLEWARE = ["txmiddleware.middleware.TransactionMiddleware"]
    ran.clear()


@pytest.fixture
def a(db):
    write()


@pytest.mark.parametrize("time", [1, 2])
def test_each_test_begins_with_nothing(db, client, time):
    assert names() == []
    assert get_store().find(StormEntry).count() == 0
    write("test")
    client.raise_request_exception = False
    assert client.post("/fine/").status_code == 200
    assert client.post("/error/").status_code == 500
    assert names() == ["fine (django)", "fine (storm)", "test (django)", "test (storm)"]
    assert get_store().find(StormEntry).count() == 4


def test_a_request_that_fails_undoes_its_own_work_alone(a, client):
    client.raise_request_exception = False
    client.post("/error/")
    assert names() == BOTH


def test_callbacks_can_be_captured(db, client, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/fine/")
    assert ran.count("django") == 1


@pytest.mark.parametrize("time", [1, 2])
def test_a_transactional_test_commits_and_is_cleaned_up(transactional_db, client, time):
    assert names() == []
    with commit_on_success():
        write()
    assert client.post("/fine/").status_code == 200
    assert sorted(ran) == ["django", "ours"]
    with connection.copy().cursor() as outside:
        outside.execute("SELECT count(*) FROM tests_storm_django_entry")
        assert outside.fetchone() == (4,)
        outside.db.close()
    assert not is_managed()


def test_storm_work_that_was_never_flushed_is_gone_too(db):
    get_store().add(StormEntry("never flushed"))


def test_nothing_was_left(db):
    assert names() == []
    assert list(get_store().find(StormEntry)) == []


def test_a_test_without_a_database_is_refused_one():
    with pytest.raises(RuntimeError):
        names()
    with pytest.raises(RuntimeError):
        get_store().find(StormEntry).count()
"""


@unittest.skipIf(MISSING, f"{' and '.join(MISSING)} not installed")
class PytestTest(SimpleTestCase):
    def test_isolation_holds_for_both_orms(self) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        # Databases of their own, beside those of this run.
        environment.pop("TEST_SQLITE_FILES", None)
        uri, _, options = environment["STORE_URI"].partition("?")
        if not uri.startswith("sqlite:"):
            environment["STORE_URI"] = f"{uri}_pytest" + (f"?{options}" if options else "")
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "pytest.ini").write_text(CONFIGURATION)
            Path(folder, "test_isolation.py").write_text(TESTS)
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "--create-db"],
                env=environment,
                cwd=folder,
                capture_output=True,
                text=True,
            )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"\b9 passed\b")
