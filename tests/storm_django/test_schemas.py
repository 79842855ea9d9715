"""manage.py storm_schema, and the schema of a test database."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import textwrap
from contextlib import ExitStack, closing, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import transaction
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.db.transaction import atomic
from django.test import TransactionTestCase, override_settings
from django.test.utils import CaptureQueriesContext
from storm.locals import create_database
from storm.schema import Schema
from storm.store import Store
from storm.zope.schema import ZSchema
from storm.zope.zstorm import global_zstorm

from storm_django import get_store, get_store_uri
from storm_django.conf import conf
from storm_django.schemas import SchemaError, exclusive, get_schema, upgrade_schema
from tests.storm_django.models import Entry

URI = settings.STORM_STORES["main"]["URI"]
NUMBERS = itertools.count()
BEGINNING = """
    import sys
    from storm.schema import Schema
    from storm.schema.patch import PatchSet

    schema = Schema(
        ["CREATE TABLE storm_patched (id INTEGER)"],
        ["DROP TABLE storm_patched"],
        ["DELETE FROM storm_patched"],
        PatchSet(sys.modules[__name__]),
    )

    def make_schema(store):
        return schema
"""
CHILD = """
import sys
import django
from django.conf import settings
from django.core.management import call_command
settings.STORM_STORES["main"]["SCHEMA"] = sys.argv[1]
django.setup()
call_command("storm_schema", "upgrade")
"""


def insert(number: int) -> str:
    """A patch that leaves a row behind."""
    return f'''
        """Insert {number}.

        And nothing more.
        """

        def apply(store):
            store.execute("INSERT INTO storm_patched VALUES ({number})")
    '''


class SchemaTestCase(TransactionTestCase):
    """A package with a schema, and patches as the test writes them."""

    def setUp(self) -> None:
        # The example site's own schema keeps its patches in the same table.
        self.rename("patch", "patch_of_the_site")
        self.addCleanup(self.rename, "patch_of_the_site", "patch")
        self.addCleanup(self.drop)
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        sys.path.insert(0, str(self.folder))
        self.addCleanup(sys.path.remove, str(self.folder))

    def rename(self, old: str, new: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    def drop(self) -> None:
        transaction.abort()
        with connection.cursor() as cursor:
            for table in ("storm_patched", "storm_half", "patch"):
                cursor.execute(f"DROP TABLE IF EXISTS {table}")

    def write(self, *patches: str, beginning: str = BEGINNING) -> None:
        """Have a package with these patches be the schema of the settings."""
        self.package = self.folder / f"schema_of_a_test_{next(NUMBERS)}"
        self.package.mkdir()
        (self.package / "__init__.py").write_text(textwrap.dedent(beginning))
        self.add(*patches)
        self.use("schema")

    def add(self, *patches: str) -> None:
        """Add patches after those that are there."""
        first = len(list(self.package.glob("patch_*.py"))) + 1
        for number, source in enumerate(patches, first):
            (self.package / f"patch_{number}.py").write_text(textwrap.dedent(source))

    def use(self, name: str) -> None:
        path = f"{self.package.name}.{name}"
        self.enterContext(override_settings(STORM_STORES={"main": {"URI": URI, "SCHEMA": path}}))

    def call(self, *args: str, **options: Any) -> list[str]:
        out = StringIO()
        call_command("storm_schema", *args, stdout=out, **options)
        self.assertFalse(connection.in_atomic_block)
        return out.getvalue().splitlines()

    def rows(self) -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM storm_patched")
            return [row[0] for row in cursor.fetchall()]

    def versions(self) -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT version FROM patch ORDER BY version")
            return [row[0] for row in cursor.fetchall()]

    def tables(self) -> list[str]:
        return connection.introspection.table_names()


class StatusTest(SchemaTestCase):
    def test_it_shows_what_is_pending_and_what_is_unknown(self) -> None:
        self.write(insert(1))
        self.assertEqual(self.call("status"), ["main: no schema yet"])
        self.call("upgrade")
        self.assertEqual(self.call("status"), ["main: up to date"])
        self.add(insert(2))
        self.assertEqual(self.call("status"), ["main: not up to date", " [ ] patch_2: Insert 2."])
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO patch VALUES (9)")
        self.assertEqual(
            self.call("status", verbosity=2),
            [
                "main: not up to date",
                " [X] patch_1: Insert 1.",
                " [ ] patch_2: Insert 2.",
                " [?] patch_9, which this code does not have",
            ],
        )
        self.assertEqual(self.call("status", verbosity=0), [])

    def test_check_exits_with_1_unless_all_is_applied(self) -> None:
        self.write(insert(1))
        with self.assertRaises(SystemExit) as caught:
            self.call("status", "--check")
        self.assertEqual(caught.exception.code, 1)
        self.call("upgrade")
        self.call("status", "--check")
        self.add(insert(2))
        with self.assertRaises(SystemExit):
            self.call("status", "--check", verbosity=0)

    def test_it_changes_nothing(self) -> None:
        self.write(insert(1))
        self.call("status")
        self.assertNotIn("patch", self.tables())


class UpgradeTest(SchemaTestCase):
    def test_it_creates_what_is_missing_and_says_so(self) -> None:
        self.write(insert(1))
        for name in ("schema", "make_schema"):
            with self.subTest(name):
                self.use(name)
                (line,) = self.call("upgrade")
                self.assertRegex(line, r"^main: creating the schema\.\.\. OK \(\d+\.\d{3}s\)$")
                self.assertEqual(self.call("upgrade"), ["main: nothing to apply"])
                # What creates the tables is as of the last patch, which is not applied.
                self.assertEqual((self.versions(), self.rows()), ([1], []))
                self.drop()

    def test_it_applies_what_is_missing_in_order(self) -> None:
        self.write()
        self.call("upgrade", verbosity=0)
        self.add(insert(1), insert(2))
        lines = self.call("upgrade")
        self.assertRegex(lines[0], r"^main: applying patch_1: Insert 1\.\.\.\. OK \(.*s\)$")
        self.assertRegex(lines[1], "patch_2")
        self.assertEqual((self.rows(), self.versions()), ([1, 2], [1, 2]))

    def test_it_stops_after_a_given_version(self) -> None:
        self.write()
        self.call("upgrade")
        self.add(insert(1), insert(2), insert(3))
        self.call("upgrade", "main", "--to", "2")
        self.assertEqual(self.versions(), [1, 2])
        self.assertEqual(self.call("upgrade", "--to", "2"), ["main: nothing to apply"])
        with self.assertRaisesMessage(CommandError, "there is no patch 7; there is 1, 2, 3"):
            self.call("upgrade", "--to", "7")

    def test_a_schema_can_not_be_created_as_of_an_earlier_patch(self) -> None:
        self.write(insert(1), insert(2))
        with self.assertRaisesMessage(CommandError, "leave out --to"):
            self.call("upgrade", "--to", "1")
        self.assertNotIn("patch", self.tables())

    def test_a_dry_run_says_what_would_be_done_and_does_nothing(self) -> None:
        self.write()
        self.assertEqual(self.call("upgrade", "--dry-run"), ["main: would create the schema"])
        self.assertNotIn("patch", self.tables())
        self.call("upgrade")
        self.add(insert(1), insert(2))
        self.assertEqual(
            self.call("upgrade", "--dry-run", "--to", "1"),
            ["main: would apply patch_1: Insert 1."],
        )
        self.assertEqual((self.rows(), self.versions()), ([], []))

    def test_older_code_refuses_and_changes_nothing(self) -> None:
        self.write()
        self.call("upgrade")
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO patch VALUES (9)")
        self.add(insert(1))
        for option in ((), ("--dry-run",)):
            with self.assertRaisesMessage(CommandError, "that this code does not have: 9"):
                self.call("upgrade", *option)
        self.assertEqual((self.rows(), self.versions()), ([], [9]))

    def test_a_patch_can_use_django_models(self) -> None:
        self.write()
        self.call("upgrade")
        self.add(
            """
            from tests.storm_django.models import Entry

            def apply(store):
                store.execute("INSERT INTO storm_patched VALUES (5)")
                Entry.objects.create(name="by a patch", position=5)
            """
        )
        self.call("upgrade")
        self.assertEqual((self.rows(), Entry.objects.get().position), ([5], 5))

    def test_a_schema_that_commits_by_the_zope_transaction(self) -> None:
        self.write(
            beginning=BEGINNING.replace(
                "storm.schema import Schema", "storm.zope.schema import ZSchema as Schema"
            ).replace("PatchSet(", "(")
        )
        self.assertIsInstance(get_schema(conf.stores["main"], get_store()), ZSchema)
        self.call("upgrade")
        self.add(insert(1))
        self.call("upgrade")
        self.assertEqual((self.rows(), self.versions()), ([1], [1]))

    def test_the_sites_schema_keeps_its_own_way_to_commit(self) -> None:
        self.write()
        schema = get_schema(conf.stores["main"], get_store())
        self.call("upgrade")
        self.assertIs(schema._autocommit, Schema._autocommit)

    def test_what_is_up_to_date_is_only_read(self) -> None:
        self.write(insert(1))
        self.call("upgrade")
        with CaptureQueriesContext(connection) as captured:
            upgrade_schema(conf.stores["main"])
        verbs = {query["sql"].split()[0] for query in captured.captured_queries}
        verbs -= {"SHOW"}  # what tables there are, on MySQL
        self.assertEqual(verbs, {"BEGIN", "SAVEPOINT", "SELECT", "RELEASE", "COMMIT"})
        self.assertNotIn("lock", str(captured.captured_queries).lower())


class FailureTest(SchemaTestCase):
    BROKEN = """
        def apply(store):
            store.execute("INSERT INTO storm_patched VALUES (2)")
            store.execute("CREATE TABLE storm_half (id INTEGER)")
            store.execute("INSERT INTO storm_patched VALUES (22)")
            {}
    """

    def apply_broken(self, how: str) -> str:
        """Apply a patch that works, one that fails and one that would; return the error."""
        self.write()
        self.call("upgrade")
        self.add(insert(1), textwrap.dedent(self.BROKEN).format(how), insert(3))
        with self.assertRaises(CommandError) as caught:
            self.call("upgrade")
        self.assertFalse(connection.in_atomic_block)
        return str(caught.exception)

    def assert_left_clean(self, message: str) -> None:
        self.assertIn("main: patch_2 failed and is not applied", message)
        self.assertEqual(self.versions(), [1])
        if connection.features.can_rollback_ddl:
            self.assertIn("nothing of it is left", message)
            self.assertEqual(self.rows(), [1])
            self.assertNotIn("storm_half", self.tables())
        else:
            self.assertIn("undo it before the next upgrade", message)
            self.assertEqual(self.rows(), [1, 2])  # MySQL committed before it made the table
            self.assertIn("storm_half", self.tables())

    def test_an_error_of_the_database(self) -> None:
        message = self.apply_broken('store.execute("SELECT nonsense")')
        self.assertIn("nonsense", message)
        self.assert_left_clean(message)

    def test_an_error_of_python(self) -> None:
        message = self.apply_broken("1 / 0")
        self.assertIn("ZeroDivisionError", message)
        self.assert_left_clean(message)

    def test_it_can_be_mended_and_tried_again(self) -> None:
        self.apply_broken("1 / 0")
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS storm_half")
        (self.package / "patch_2.py").write_text(textwrap.dedent(insert(2)))
        sys.modules.pop(f"{self.package.name}.patch_2")
        self.call("upgrade")
        self.assertEqual(self.versions(), [1, 2, 3])

    def test_a_patch_that_can_not_be_imported_is_named(self) -> None:
        self.write()
        self.call("upgrade")
        self.add("import nonsense_that_is_not_there")
        with self.assertRaisesMessage(CommandError, "patch_1 can't be imported: ModuleNotFound"):
            self.call("upgrade")

    def test_a_creation_that_fails_counts_as_none(self) -> None:
        self.write(insert(1), beginning=BEGINNING.replace('INTEGER)"]', 'INTEGER)", "NONSENSE"]'))
        out = StringIO()
        with (
            self.assertRaisesMessage(CommandError, "the schema failed"),
            redirect_stdout(out),  # Storm prints the statement
        ):
            self.call("upgrade")
        self.assertIn("NONSENSE", out.getvalue())
        self.assertEqual(self.call("status"), ["main: no schema yet"])
        self.assertNotIn("patch", self.tables())

    def test_a_table_of_others_called_patch_is_left_alone(self) -> None:
        self.write(insert(1))
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE patch (garden INTEGER)")
        with (
            self.assertRaisesMessage(CommandError, "the schema failed"),
            redirect_stdout(StringIO()),
        ):
            self.call("upgrade")
        self.assertIn("patch", self.tables())

    def test_inside_a_transaction_of_others_it_is_refused(self) -> None:
        self.write()
        with self.assertRaisesMessage(CommandError, "inside a transaction"), atomic():
            call_command("storm_schema", "upgrade", stdout=StringIO())
        self.assertNotIn("patch", self.tables())
        self.call("upgrade")


class StoresTest(SchemaTestCase):
    def test_an_unknown_store_is_an_error_that_lists_the_known(self) -> None:
        self.write()
        for args in (("elsewhere",), ("--store", "elsewhere"), ("main", "elsewhere")):
            with self.assertRaisesMessage(CommandError, "no store 'elsewhere' in STORM_STORES"):
                self.call("status", *args)

    def test_a_store_without_a_schema_is_an_error_if_it_is_named(self) -> None:
        with override_settings(STORM_STORES={"main": {"URI": URI}}):
            with self.assertRaisesMessage(CommandError, "STORM_STORES['main'] has no SCHEMA"):
                self.call("upgrade", "main")
            self.assertEqual(self.call("status"), ["No store in STORM_STORES has a SCHEMA."])

    def test_what_settings_get_wrong_is_an_error(self) -> None:
        for stores, words in (
            ({"main": {"URI": URI, "SCHEMA": "nowhere.schema"}}, "can't be imported"),
            ({"main": {"URI": URI, "SCHEMA": "django.VERSION"}}, "neither a storm.schema.Schema"),
            ({"main": 5}, "write a URI"),
        ):
            with (
                override_settings(STORM_STORES=stores),
                self.assertRaisesMessage(CommandError, words),
            ):
                self.call("status", skip_checks=True)

    def test_an_option_of_the_other_action_is_refused(self) -> None:
        self.write()
        for args in (("status", "--dry-run"), ("status", "--to", "1"), ("upgrade", "--check")):
            with self.assertRaisesMessage(CommandError, "only"):
                self.call(*args)

    def test_a_store_without_an_alias_has_one_too(self) -> None:
        self.write()
        self.addCleanup(self.forget, "apart")
        main = {"URI": URI, "SCHEMA": f"{self.package.name}.schema"}
        apart = {"URI": f"sqlite:{self.folder / 'apart.sqlite3'}", "SCHEMA": main["SCHEMA"]}
        with override_settings(STORM_STORES={"main": main, "apart": apart}):
            lines = self.call("upgrade")
            self.assertEqual([line.partition(":")[0] for line in lines], ["main", "apart"])
            self.add(insert(1))
            with self.assertRaisesMessage(CommandError, "name it"):
                self.call("upgrade", "--to", "1")
            self.call("upgrade", "apart")
            self.assertEqual(self.call("status", "apart"), ["apart: up to date"])
            self.assertEqual(self.call("status", "main")[0], "main: not up to date")
        with closing(Store(create_database(apart["URI"]))) as store:
            self.assertEqual(store.execute("SELECT * FROM storm_patched").get_all(), [(1,)])

    def forget(self, name: str) -> None:
        transaction.abort()
        if (store := global_zstorm._named.get(name)) is not None:
            global_zstorm.remove(store)
            store.close()

    def test_a_database_that_can_not_be_reached_is_an_error(self) -> None:
        self.write()
        self.addCleanup(self.forget, "away")
        away = {"URI": "sqlite:/nowhere/at/all.sqlite3", "SCHEMA": f"{self.package.name}.schema"}
        with (
            override_settings(STORM_STORES={"main": URI, "away": away}),
            self.assertRaisesMessage(CommandError, "away: unable to open database file"),
        ):
            self.call("status")


class TwoAtOnceTest(SchemaTestCase):
    def test_each_patch_is_applied_by_one_of_two_processes(self) -> None:
        self.write()
        self.call("upgrade")
        self.add(*map(insert, range(1, 6)))
        lines = self.run_two()
        applied = sorted(line.split(":")[1] for line in lines if "OK" in line)
        self.assertEqual(applied, [f" applying patch_{number}" for number in range(1, 6)])
        self.assertEqual((self.rows(), self.versions()), ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]))

    def test_a_schema_is_created_by_one_of_two_processes(self) -> None:
        self.write(insert(1))
        lines = self.run_two()
        self.assertEqual(len([line for line in lines if "creating" in line]), 1)
        self.assertEqual((self.rows(), self.versions()), ([], [1]))

    def run_two(self) -> list[str]:
        """Start two upgrades while the lock is held; let go when both wait; return their lines."""
        uri = get_store_uri("main")
        if connection.vendor == "sqlite":
            uri += "?timeout=0.2"
        environment = os.environ | {
            "STORE_URI": uri,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "PYTHONPATH": os.pathsep.join([str(settings.BASE_DIR), str(self.folder)]),
        }
        command = [sys.executable, "-c", CHILD, f"{self.package.name}.schema"]
        start = partial(subprocess.Popen, command, env=environment, stdout=subprocess.PIPE)
        with ExitStack() as stack:
            with exclusive(get_store(), connection.vendor, lambda: None):
                children = [stack.enter_context(start(text=True)) for _ in range(2)]
                lines = [child.stdout.readline() for child in children]
            self.assertEqual(lines, ["main: waiting for another process\n"] * 2)
            get_store().rollback()
            for child in children:
                lines += child.communicate(timeout=60)[0].splitlines()
        self.assertEqual([child.returncode for child in children], [0, 0])
        return lines


class TestDatabaseTest(SchemaTestCase):
    def test_a_kept_test_database_gets_the_patches_that_it_lacks(self) -> None:
        self.write()
        self.call("upgrade")
        self.add(insert(1))
        self.create_again()
        self.assertEqual((self.rows(), self.versions()), ([1], [1]))

    def test_a_kept_test_database_of_newer_code_is_an_error(self) -> None:
        self.write()
        self.call("upgrade")
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO patch VALUES (9)")
        with self.assertRaisesMessage(SchemaError, "does not have: 9"):
            self.create_again()

    def create_again(self) -> None:
        """What manage.py test --keepdb does."""
        wrapper: Any = connections["default"]
        before = wrapper.settings_dict["TEST"]["NAME"], wrapper.store_settings
        wrapper.settings_dict["TEST"]["NAME"] = wrapper.settings_dict["NAME"]
        wrapper.store_settings = conf.stores["main"]
        try:
            wrapper.creation.create_test_db(verbosity=0, autoclobber=True, keepdb=True)
        finally:
            wrapper.settings_dict["TEST"]["NAME"], wrapper.store_settings = before


class SitesTest(TransactionTestCase):
    def test_a_test_database_has_the_tables_of_the_store(self) -> None:
        self.assertIn("sprint_session", connection.introspection.table_names())
