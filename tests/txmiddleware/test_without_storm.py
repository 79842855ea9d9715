"""txmiddleware in a project that has no Storm: the engine is a stock one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from django.test import SimpleTestCase, tag

ROOT = Path(__file__).resolve().parent.parent.parent

HIDE = '''
import sys

class Hidden:
    """Storm is not installed here."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("storm", "storm_django", "openid_auth"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
'''

PROJECT = """
import json
import logging

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="of a test",
    ALLOWED_HOSTS=["testserver"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.sqlite3"}},
    INSTALLED_APPS=["txmiddleware"],
    MIDDLEWARE=["txmiddleware.middleware.TransactionMiddleware"],
    ROOT_URLCONF="__main__",
)
django.setup()
logging.disable(logging.CRITICAL)

from django.core.management import call_command
from django.db import OperationalError, connection, models, transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from txmiddleware import attempts, commit_on_success, is_managed, on_abort, on_commit

class Entry(models.Model):
    name = models.CharField(max_length=40)

    class Meta:
        app_label = "site"

def view(request, outcome):
    Entry.objects.create(name=outcome)
    on_commit(lambda: ran.append(f"{outcome} committed"))
    on_abort(lambda: ran.append(f"{outcome} aborted"))
    if outcome == "conflict" and request.tx_attempt < 3:
        raise OperationalError("database is locked")
    if outcome == "error":
        raise ValueError
    return HttpResponse(status=200)

urlpatterns = [path("<outcome>/", view)]

ran = []
found = {}

def names():
    with connection.copy().cursor() as outside:
        outside.execute("SELECT name FROM site_entry ORDER BY id")
        committed = [name for (name,) in outside.fetchall()]
        outside.db.close()
    Entry.objects.all().delete()
    return committed

with connection.schema_editor() as editor:
    editor.create_model(Entry)

found["checks"] = call_command("check")
client = Client(raise_request_exception=False)
for outcome in ("fine", "error", "conflict"):
    found[outcome] = [client.post(f"/{outcome}/").status_code, names()]
found["callbacks"] = list(ran)

with commit_on_success():
    Entry.objects.create(name="outer")
    try:
        with commit_on_success(savepoint=True):
            Entry.objects.create(name="inner")
            raise ValueError
    except ValueError:
        pass
found["savepoint"] = names()

try:
    with commit_on_success():
        Entry.objects.create(name="outer")
        try:
            with commit_on_success():
                raise ValueError
        except ValueError:
            pass
except transaction.TransactionManagementError as error:
    found["doomed"] = [type(error).__name__, names()]

calls = []

@attempts(3)
def task():
    calls.append(None)
    Entry.objects.create(name=f"attempt {len(calls)}")
    if len(calls) < 2:
        raise OperationalError("database is locked")

task()
found["attempts"] = names()
found["idle"] = connection.get_autocommit() and not is_managed()
print(json.dumps(found))
"""

IMPORTS = """
import json
import sys

import django
from django.conf import settings

settings.configure(INSTALLED_APPS=["txmiddleware"])
django.setup()
import txmiddleware
import txmiddleware.databases
import txmiddleware.middleware
import txmiddleware.views

unwanted = ("storm", "storm_django", "openid_auth", "openid", "tenacity")
print(json.dumps([name for name in unwanted if name in sys.modules]))
"""


@tag("once")
class WithoutStormTest(SimpleTestCase):
    """In a process of its own."""

    def run_script(self, script: str) -> Any:
        """What the script prints, read as JSON."""
        environment = {
            key: value
            for key, value in os.environ.items()
            if key not in ("DJANGO_SETTINGS_MODULE", "STORE_URI")
        }
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, "-c", script],
                env=environment | {"PYTHONPATH": str(ROOT)},
                cwd=folder,
                capture_output=True,
                text=True,
            )
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout.splitlines()[-1])

    def test_storm_is_really_hidden(self) -> None:
        for name in ("storm", "storm_django.stores"):
            script = f"{HIDE}\ntry:\n    import {name}\nexcept ImportError:\n    print('true')\n"
            self.assertIs(self.run_script(script), True)

    def test_a_project_without_storm_has_all_of_it(self) -> None:
        self.assertEqual(
            self.run_script(HIDE + PROJECT),
            {
                "checks": None,
                "fine": [200, ["fine"]],
                "error": [500, []],
                "conflict": [200, ["conflict"]],
                "callbacks": [
                    "fine committed",
                    "error aborted",
                    "conflict aborted",
                    "conflict aborted",
                    "conflict committed",
                ],
                "savepoint": ["outer"],
                "doomed": ["TransactionDoomed", []],
                "attempts": ["attempt 2"],
                "idle": True,
            },
        )

    def test_it_imports_nothing_that_it_does_not_need(self) -> None:
        self.assertEqual(self.run_script(IMPORTS), [])
