"""Management commands as a user runs them, in a small project of its own."""

from __future__ import annotations

import shutil
import tempfile
import textwrap
from pathlib import Path
from typing import ClassVar

from django.db import connection
from django.test import TransactionTestCase
from storm.uri import URI

from storm_django import get_store_uri
from tests.project import django_admin

CLIENTS = {"sqlite": "sqlite3", "postgresql": "psql", "mysql": "mysql"}
MIGRATION = """
from django.db import migrations, models
from storm_django import get_store

def fill(apps, schema_editor):
    apps.get_model("books", "Book").objects.create(title="by django")
    get_store().execute("INSERT INTO books_book (title) VALUES ('by storm')")

def fill_by_hand(apps, schema_editor):
    apps.get_model("books", "Book").objects.create(title="not atomic")
    store = get_store()
    assert store.execute("SELECT count(*) FROM books_book").get_one() == (3,)
    store.execute("INSERT INTO books_book (title) VALUES ('not atomic by storm')")
    store.commit()
"""
FILES = {
    "settings.py": """
        import os
        SECRET_KEY = "of a test"
        STATIC_URL = "static/"
        USE_TZ = True
        STORM_STORES = {"main": os.environ["BOOKS_URI"]}
        DATABASES = {"default": {"ENGINE": "storm_django.backend", "NAME": "main"}}
        DATABASES["default"]["TEST"] = {"NAME": os.environ["BOOKS_TEST_NAME"] or None}
        DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
        INSTALLED_APPS = ["storm_django", "txmiddleware", "books"]
        MIDDLEWARE = ["txmiddleware.middleware.TransactionMiddleware"]
        ROOT_URLCONF = "books.urls"
        CACHES = {"default": {
            "BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "books_cache",
        }}
    """,
    "books/__init__.py": "",
    "books/models.py": """
        from django.db import models

        class Book(models.Model):
            title = models.CharField(max_length=40)
    """,
    "books/urls.py": """
        from django.http import HttpResponse
        from django.urls import path
        from storm_django import get_store
        from books.models import Book

        def add(request):
            Book.objects.create(title="by django")
            store = get_store()
            store.execute("INSERT INTO books_book (title) VALUES ('by storm')")
            return HttpResponse(str(store.execute("SELECT count(*) FROM books_book").get_one()[0]))

        urlpatterns = [path("add/", add)]
    """,
    "books/fixtures/two.json": """
        [{"model": "books.book", "pk": 101, "fields": {"title": "one"}},
         {"model": "books.book", "pk": 102, "fields": {"title": "two"}}]
    """,
    "books/migrations/__init__.py": "",
    "books/migrations/0001_initial.py": MIGRATION
    + """
class Migration(migrations.Migration):
    operations = [
        migrations.CreateModel("Book", [
            ("id", models.AutoField(primary_key=True)),
            ("title", models.CharField(max_length=40)),
        ]),
    ]
""",
    "books/migrations/0002_fill.py": MIGRATION
    + """
class Migration(migrations.Migration):
    dependencies = [("books", "0001_initial")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
""",
    "books/migrations/0003_fill_by_hand.py": MIGRATION
    + """
class Migration(migrations.Migration):
    atomic = False
    dependencies = [("books", "0002_fill")]
    operations = [migrations.RunPython(fill_by_hand, migrations.RunPython.noop)]
""",
    "books/tests.py": """
        import threading
        from urllib.request import urlopen

        import transaction
        from django.db import connection, connections
        from django.test import LiveServerTestCase, TestCase, TransactionTestCase
        from storm.uri import URI
        from storm_django import get_store, get_store_uri
        from books.models import Book

        FROM_MIGRATIONS = 4

        def stores():
            # The test database is where Django is too, in a parallel worker a copy of it.
            assert connection.settings_dict["NAME"] == URI(get_store_uri()).database
            assert "test" in connection.settings_dict["NAME"] or "memory" in (
                connection.settings_dict["NAME"])
            found = get_store().execute("SELECT count(*) FROM books_book").get_one()[0]
            assert found == Book.objects.count()
            return found

        class Plain:
            def test_one(self):
                self.check()

            def test_two(self):
                self.check()

        class RolledBack(Plain, TestCase):
            fixtures = ["two"]

            @classmethod
            def setUpTestData(cls):
                cls.book = Book.objects.create(title="of the class")

            def check(self):
                self.assertEqual(stores(), FROM_MIGRATIONS + 3)
                get_store().execute("INSERT INTO books_book (title) VALUES ('x')")
                self.client.get("/add/")
                self.assertEqual(stores(), FROM_MIGRATIONS + 6)

        class RolledBackToo(RolledBack):
            pass

        class Serialized(Plain, TransactionTestCase):
            serialized_rollback = True

            def check(self):
                self.assertEqual(stores(), FROM_MIGRATIONS)
                get_store().execute("INSERT INTO books_book (title) VALUES ('x')")
                transaction.commit()

        class Flushed(Plain, TransactionTestCase):
            fixtures = ["two"]

            def check(self):
                self.assertEqual(stores() % FROM_MIGRATIONS, 2)
                get_store().execute("INSERT INTO books_book (title) VALUES ('x')")
                transaction.commit()

        class Live(Plain, LiveServerTestCase):
            serialized_rollback = True

            def check(self):
                with urlopen(self.live_server_url + "/add/") as response:
                    self.assertEqual(response.read(), b"6")
                self.assertEqual(stores(), FROM_MIGRATIONS + 2)
                transaction.abort()
    """,
}


class ManagementTest(TransactionTestCase):
    """One project for each test, on the vendor of this run."""

    uri: ClassVar[str]

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name, text in FILES.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text if text.startswith("\nfrom") else textwrap.dedent(text))
        uri = URI(get_store_uri())
        self.test_name = ""
        if connection.vendor == "sqlite":
            uri.database = str(self.folder / "books.sqlite3")
        else:
            uri.database = f"{uri.database}_books"
            quoted = connection.ops.quote_name(uri.database)
            with connection.cursor() as cursor:
                cursor.execute(f"DROP DATABASE IF EXISTS {quoted}")
                cursor.execute(f"CREATE DATABASE {quoted}")
            self.addCleanup(self.drop, quoted)
        self.uri = str(uri)

    def drop(self, quoted: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {quoted}")

    def manage(self, *arguments: str, fails: bool = False) -> str:
        done = django_admin(
            self.folder, *arguments, BOOKS_URI=self.uri, BOOKS_TEST_NAME=self.test_name
        )
        self.assertEqual(done.returncode != 0, fails, done.stdout)
        return done.stdout

    def storm(self, sql: str) -> str:
        """What a new process gets from its store."""
        return self.manage(
            "shell",
            "--verbosity=0",
            "-c",
            f"from storm_django import get_store; print([*get_store().execute({sql!r})])",
        ).strip()

    def titles(self) -> str:
        return self.storm("SELECT title FROM books_book ORDER BY id")

    def test_migrations_of_both_kinds_and_what_undoes_them(self) -> None:
        self.manage("migrate")
        written = "[('by django',), ('by storm',), ('not atomic',), ('not atomic by storm',)]"
        self.assertEqual(self.titles(), written)
        self.manage("migrate", "books", "0001")
        self.manage("migrate", "books", "zero")
        self.assertIn("[ ] 0001_initial", self.manage("showmigrations"))

    def test_a_migration_that_fails_takes_storms_rows_along(self) -> None:
        migration = self.folder / "books/migrations/0002_fill.py"
        migration.write_text(
            migration.read_text().replace("(fill,", "(lambda *args: (fill(*args), 1 / 0),")
        )
        self.assertIn("ZeroDivisionError", self.manage("migrate", fails=True))
        self.assertEqual(self.titles(), "[]")

    def test_sqlmigrate_inspectdb_and_createcachetable(self) -> None:
        self.assertIn("CREATE TABLE", self.manage("sqlmigrate", "books", "0001"))
        self.manage("migrate")
        self.assertIn("class BooksBook(models.Model)", self.manage("inspectdb", "books_book"))
        self.manage("createcachetable")
        self.manage(
            "shell",
            "--verbosity=0",
            "-c",
            "from django.core.cache import cache; cache.set('a', 1); assert cache.get('a') == 1",
        )
        self.assertEqual(self.storm("SELECT count(*) FROM books_cache"), "[(1,)]")

    def test_dumpdata_flush_and_loaddata(self) -> None:
        self.manage("migrate")
        self.manage("dumpdata", "books", "--output", "dump.json")
        before = self.titles()
        self.manage("flush", "--noinput")
        self.assertEqual(self.titles(), "[]")
        self.manage("loaddata", "dump.json")
        self.assertEqual(self.titles(), before)
        self.manage("loaddata", "two")
        self.assertEqual(self.storm("SELECT title FROM books_book WHERE id = 102"), "[('two',)]")

    def test_dbshell(self) -> None:
        if shutil.which(CLIENTS[connection.vendor]) is None:
            self.skipTest(f"{CLIENTS[connection.vendor]} is not installed")
        arguments = {
            "sqlite": ["select 6 * 7"],
            "postgresql": ["-t", "-c", "select 6 * 7"],
            "mysql": ["-N", "-e", "select 6 * 7"],
        }[connection.vendor]
        self.assertIn("42", self.manage("dbshell", "--", *arguments))

    def test_the_tests_of_a_project(self) -> None:
        ran = "Ran 10 tests"
        self.assertIn(ran, self.manage("test", "--noinput", "--reverse"))
        self.assertIn(ran, self.manage("test", "--noinput", "--parallel", "2"))
        if connection.vendor == "sqlite":
            # The others are in memory, which the live server's thread shares.
            self.test_name = str(self.folder / "test_books.sqlite3")
            self.assertIn(ran, self.manage("test", "--noinput"))
            self.assertIn(ran, self.manage("test", "--noinput", "--parallel", "2"))
        # A test database that is kept has no rows of the migrations once it was flushed.
        kept = ("test", "--noinput", "books.tests.RolledBack", "books.tests.RolledBackToo")
        for arguments in ([], ["--parallel", "2"], ["--parallel", "2"]):
            output = self.manage(*kept, "--keepdb", "-v", "2", *arguments)
            self.assertIn("Ran 4 tests", output)
        self.assertIn("Using existing clone", output)
        self.manage(*kept, "--parallel", "2")  # which drops what was kept
