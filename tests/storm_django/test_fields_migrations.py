"""The column and the foreign key of a reference to a Storm object, in migrations."""

from __future__ import annotations

import enum
import uuid
from io import StringIO
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import IntegrityError, connection, migrations, models
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.optimizer import MigrationOptimizer
from django.db.migrations.state import ProjectState
from django.db.migrations.writer import MigrationWriter
from django.db.models.functions import Cast
from django.test import SimpleTestCase, TransactionTestCase
from storm.locals import UUID, Bytes, Enum, Int, Unicode

from storm_django import get_store
from storm_django.column_types import column_type, quote_table
from storm_django.conf import conf
from storm_django.constraints import add_missing
from storm_django.fields import StormForeignKey
from storm_django.schemas import upgrade_schema
from tests.storm_references.models import Note, Track
from txmiddleware import commit_on_success

APP = "tests_migrated"
TALK = "tests_migrated_talk"


class Color(enum.Enum):
    RED = "r"
    BLUE = "b"


class Keyed:
    """A Storm class for each type of key, on one table after the other."""

    key: Any

    def __init__(self, key: Any = None) -> None:
        if key is not None:
            self.key = key


class BigKey(Keyed):
    __storm_table__ = "tests_migrated_remote"
    key = Int(primary=True)


class TextKey(Keyed):
    __storm_table__ = "tests_migrated_remote"
    key = Unicode(primary=True)


class UUIDKey(Keyed):
    __storm_table__ = "tests_migrated_remote"
    key = UUID(primary=True)


class BytesKey(Keyed):
    __storm_table__ = "tests_migrated_remote"
    key = Bytes(primary=True)


class EnumKey(Keyed):
    __storm_table__ = "tests_migrated_remote"
    key = Enum(primary=True, map={color: color.value for color in Color})


class OddKey(Keyed):
    __storm_table__ = "public.Odd table"
    key = Int("a key", primary=True)


MODIFY = {"postgresql": "ALTER key TYPE", "mysql": "MODIFY `key`"}

KEYS: list[tuple[type[Keyed], list[Any], dict[str, str]]] = [
    (BigKey, [1, 2**40], {"": "BIGINT"}),
    (TextKey, ["a\u00e9", "b'\"%s"], {"": "VARCHAR(20)"}),
    (UUIDKey, [uuid.UUID(int=1), uuid.uuid4()], {"": "CHAR(36)", "postgresql": "UUID"}),
    (BytesKey, [b"\0\xff", b"a"], {"": "VARBINARY(9)", "postgresql": "BYTEA"}),
    (EnumKey, [Color.RED, Color.BLUE], {"": "CHAR(1)"}),
]


def reference(to: Any = BigKey, on_delete: Any = models.CASCADE, **options: Any) -> StormForeignKey:
    return StormForeignKey(to, on_delete, **options)


class MigrationCase(TransactionTestCase):
    """Migrates an app of its own."""

    def setUp(self) -> None:
        self.state = ProjectState()
        self.addCleanup(self.drop, TALK)
        self.addCleanup(get_store().rollback)

    def execute(self, sql: str, *params: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(sql, params or None)
            return cursor.fetchall() if cursor.description else None

    def drop(self, table: str) -> None:
        self.execute(f"DROP TABLE IF EXISTS {table}")

    def create_remote(self, sql_type: str) -> None:
        self.execute(
            f"CREATE TABLE tests_migrated_remote ({'key_'[:0]}{self.key} {sql_type} PRIMARY KEY)"
        )
        self.addCleanup(self.drop_both)

    def drop_both(self) -> None:
        self.drop(TALK)
        self.drop("tests_migrated_remote")

    @property
    def key(self) -> str:
        return connection.ops.quote_name("key")

    def migrate(self, *operations: migrations.operations.base.Operation) -> Any:
        """Apply operations, and return the model."""
        for operation in operations:
            before, self.state = self.state, self.state.clone()
            operation.state_forwards(APP, self.state)
            with connection.schema_editor() as editor:
                operation.database_forwards(APP, editor, before, self.state)
            self.undo = operation, before
        return (
            self.state.apps.get_model(APP, "Talk") if (APP, "talk") in self.state.models else None
        )

    def create(self, **fields: models.Field[Any, Any]) -> Any:
        return self.migrate(
            migrations.CreateModel(
                "Talk", [("id", models.AutoField(primary_key=True)), *fields.items()]
            )
        )

    def foreign_keys(self, table: str = TALK) -> list[tuple[str, str]]:
        """The column and the rule of each foreign key in the database."""
        if connection.vendor == "sqlite":
            rows = self.execute(
                f"SELECT \"from\", on_delete FROM pragma_foreign_key_list('{table}')"
            )
        else:
            schema = "current_schema()" if connection.vendor == "postgresql" else "database()"
            rows = self.execute(
                "SELECT k.column_name, r.delete_rule "
                "FROM information_schema.referential_constraints r "
                "JOIN information_schema.key_column_usage k "
                "ON k.constraint_name = r.constraint_name "
                "AND k.constraint_schema = r.constraint_schema "
                f"WHERE r.constraint_schema = {schema} AND k.table_name = %s",
                table,
            )
        return sorted((column, rule) for column, rule in rows)


class ColumnTest(MigrationCase):
    def test_the_column_has_the_type_of_the_key(self) -> None:
        for storm_class, keys, types in KEYS:
            self.drop_both()
            self.state = ProjectState()
            with self.subTest(storm_class.__name__):
                self.create_remote(types.get(connection.vendor, types[""]))
                model = self.create(remote=reference(storm_class))
                remote, local = (
                    column_type(connection, table, column)
                    for table, column in [("tests_migrated_remote", "key"), (TALK, "remote_id")]
                )
                self.assertIsNotNone(remote)
                self.assertEqual(str(local).lower(), str(remote).lower())
                self.assertEqual(self.foreign_keys(), [("remote_id", "CASCADE")])
                with commit_on_success():
                    self.use(storm_class, keys, model)

    def use(self, storm_class: type[Keyed], keys: list[Any], model: Any) -> None:
        store = get_store()
        first, second = (store.add(storm_class(key)) for key in keys)
        model.objects.create(remote=first)
        model.objects.bulk_create([model(remote=second)])
        self.assertEqual(model.objects.get(remote=first).remote_id, keys[0])
        self.assertIs(model.objects.get(remote=keys[1]).remote, second)
        field = model._meta.get_field("remote")
        text = field.value_to_string(model(remote=second))
        self.assertIs(model.objects.get(remote=text).remote, second)
        found = model.objects.order_by("pk").prefetch_related("remote")
        self.assertEqual([row.remote for row in found], [first, second])
        rows = list(found)
        for row in rows:
            row.remote = second
        model.objects.bulk_update(rows, ["remote"])
        self.assertEqual(model.objects.filter(remote__in=[second]).count(), 2)
        cast = model.objects.annotate(again=Cast("remote", field)).filter(again=second)
        self.assertEqual([row.again for row in cast], [keys[1]] * 2)
        store.remove(second)
        self.assertEqual(model.objects.count(), 0)

    def test_names_are_quoted_as_storm_does(self) -> None:
        table = quote_table(connection, "public.Odd table")
        column = connection.ops.quote_name("a key")
        self.execute(f"CREATE TABLE {table} ({column} BIGINT PRIMARY KEY)")
        self.addCleanup(self.drop, table)
        self.addCleanup(self.drop, TALK)
        model = self.create(remote=reference(OddKey))
        self.assertEqual(self.foreign_keys(), [("remote_id", "CASCADE")])
        with commit_on_success():
            model.objects.create(remote=get_store().add(OddKey(5)))

    def test_without_the_table_the_type_is_that_of_the_class(self) -> None:
        for storm_class, _, _ in KEYS[:1] + KEYS[2:3]:
            model = self.create(remote=reference(storm_class))
            if connection.vendor != "sqlite":
                self.assertEqual(self.foreign_keys(), [])
            self.assertEqual(model.objects.count(), 0)
            self.drop(TALK)
            self.state = ProjectState()


class OperationTest(MigrationCase):
    def setUp(self) -> None:
        super().setUp()
        self.create_remote("BIGINT")
        self.execute(f"INSERT INTO tests_migrated_remote ({self.key}) VALUES (7)")

    def alter(self, **options: Any) -> Any:
        return self.migrate(migrations.AlterField("Talk", "remote", reference(**options)))

    def rules(self) -> list[str]:
        return [rule for _, rule in self.foreign_keys()]

    def test_what_is_changed_is_changed_in_the_database(self) -> None:
        model = self.create(remote=reference())
        model.objects.create(remote_id=7)
        self.assertEqual(self.rules(), ["CASCADE"])
        self.alter(on_delete=models.PROTECT)
        self.assertEqual(self.rules(), ["RESTRICT"])
        self.alter(on_delete=models.SET_NULL, null=True)
        self.assertEqual(self.rules(), ["SET NULL"])
        self.alter(on_delete=models.DO_NOTHING, null=True, db_constraint=False)
        self.assertEqual(self.rules(), [])
        self.alter(on_delete=models.DO_NOTHING, null=True, db_index=False)
        self.assertEqual(self.rules(), ["NO ACTION"])
        model = self.alter(unique=True)
        self.assertEqual(self.rules(), ["CASCADE"])
        self.assertEqual(model.objects.get().remote_id, 7)
        operation, before = self.undo
        with connection.schema_editor() as editor:
            operation.database_backwards(APP, editor, self.state, before)
        self.assertEqual(self.rules(), ["NO ACTION"])

    def test_a_field_is_added_renamed_and_removed(self) -> None:
        model = self.create(text=models.TextField(null=True))
        model.objects.create()
        self.migrate(migrations.AddField("Talk", "remote", reference(null=True)))
        model = self.migrate(migrations.AddField("Talk", "other", reference(default=7)))
        self.assertEqual(self.foreign_keys(), [("other_id", "CASCADE"), ("remote_id", "CASCADE")])
        self.assertEqual(model.objects.get().other_id, 7)
        self.migrate(migrations.RenameField("Talk", "other", "third"))
        self.assertEqual(self.foreign_keys(), [("remote_id", "CASCADE"), ("third_id", "CASCADE")])
        model = self.migrate(migrations.RemoveField("Talk", "third"))
        self.assertEqual(self.foreign_keys(), [("remote_id", "CASCADE")])
        self.migrate(migrations.AlterModelTable("Talk", "tests_migrated_speech"))
        self.addCleanup(self.drop, "tests_migrated_speech")
        self.assertEqual(self.foreign_keys("tests_migrated_speech"), [("remote_id", "CASCADE")])
        self.migrate(migrations.DeleteModel("Talk"))
        self.assertNotIn("tests_migrated_speech", connection.introspection.table_names())

    def test_another_kind_of_field_becomes_a_reference_and_back(self) -> None:
        model = self.create(remote=models.BigIntegerField(db_column="remote_id"))
        model.objects.create(remote=7)
        self.alter()
        self.assertEqual(self.rules(), ["CASCADE"])
        model = self.migrate(
            migrations.AlterField("Talk", "remote", models.BigIntegerField(db_column="remote_id"))
        )
        self.assertEqual(self.rules(), [])
        self.assertEqual(model.objects.get().remote, 7)

    def test_a_number_that_was_looked_up_by_hand_becomes_a_reference(self) -> None:
        unique = models.UniqueConstraint(fields=["text", "remote_id"], name="tests_migrated_u")
        model = self.create(
            text=models.CharField(max_length=9, default="x"),
            remote_id=models.BigIntegerField(db_index=True),
        )
        self.migrate(migrations.AddConstraint("Talk", unique))
        model.objects.create(remote_id=7)
        model = self.migrate(
            migrations.RenameField("Talk", "remote_id", "remote"),
            migrations.AlterField("Talk", "remote", reference()),
        )
        self.assertEqual(self.foreign_keys(), [("remote_id", "CASCADE")])
        self.assertEqual(model.objects.get().remote_id, 7)
        with self.assertRaises(IntegrityError):
            model.objects.create(remote_id=7)

    def test_a_number_of_the_same_type_becomes_a_reference(self) -> None:
        if connection.vendor == "sqlite":
            self.drop("tests_migrated_remote")  # the type is that of the class then
        else:
            self.execute(f"ALTER TABLE tests_migrated_remote {MODIFY[connection.vendor]} INTEGER")
        self.create(remote_id=models.IntegerField())
        self.migrate(
            migrations.RenameField("Talk", "remote_id", "remote"),
            migrations.AlterField("Talk", "remote", reference()),
        )
        self.assertEqual(self.foreign_keys(), [("remote_id", "CASCADE")])

    def test_a_number_that_has_a_foreign_key_becomes_a_reference(self) -> None:
        """`storm_schema` ran before `migrate`, with the models of the code."""
        model = self.create(remote_id=models.BigIntegerField())
        if connection.vendor != "sqlite":
            state = self.state.clone()
            migrations.RemoveField("Talk", "remote_id").state_forwards(APP, state)
            migrations.AddField("Talk", "remote", reference()).state_forwards(APP, state)
            add_missing("default", state.apps)
            self.assertEqual(self.foreign_keys(), [("remote_id", "CASCADE")])
        model.objects.create(remote_id=7)
        model = self.migrate(
            migrations.RenameField("Talk", "remote_id", "remote"),
            migrations.AlterField("Talk", "remote", reference()),
        )
        self.assertEqual(self.foreign_keys(), [("remote_id", "CASCADE")])
        self.assertEqual(model.objects.get().remote_id, 7)

    def test_a_row_that_refers_to_nothing_is_refused(self) -> None:
        model = self.create(remote=reference())
        with self.assertRaises(IntegrityError):
            model.objects.create(remote_id=8)

    def test_created_and_changed_in_one_go(self) -> None:
        after = self.state.clone()
        operations = [
            migrations.CreateModel(
                "Talk", [("id", models.AutoField(primary_key=True)), ("remote", reference())]
            ),
            migrations.AlterField("Talk", "remote", reference(on_delete=models.RESTRICT)),
            migrations.RenameField("Talk", "remote", "again"),
        ]
        with connection.schema_editor() as editor:
            for operation in operations:
                before, after = after, after.clone()
                operation.state_forwards(APP, after)
                operation.database_forwards(APP, editor, before, after)
        self.assertEqual(self.foreign_keys(), [("again_id", "RESTRICT")])

    def test_the_statements_can_be_shown(self) -> None:
        after = self.state.clone()
        operation = migrations.CreateModel(
            "Talk", [("id", models.AutoField(primary_key=True)), ("remote", reference())]
        )
        operation.state_forwards(APP, after)
        with connection.schema_editor(collect_sql=True) as editor:
            operation.database_forwards(APP, editor, self.state, after)
        self.assertIn("ON DELETE CASCADE", "\n".join(editor.collected_sql))
        self.assertNotIn(TALK, connection.introspection.table_names())


class MissingTest(MigrationCase):
    """Foreign keys that are added when both tables are there."""

    table = "tests_references_note"

    def setUp(self) -> None:
        super().setUp()
        if connection.vendor == "sqlite":
            self.skipTest("SQLite has the foreign key from the beginning")
        with connection.schema_editor() as editor:
            self.reference = Note._meta.get_field("track")
            editor._drop_reference(Note, self.reference)
        self.assertEqual(self.foreign_keys(self.table), [])

    def assert_added(self) -> None:
        self.assertEqual(self.foreign_keys(self.table), [("track_id", "SET NULL")])

    def test_they_are_added_after_migrate(self) -> None:
        call_command("migrate", verbosity=0)
        self.assert_added()
        call_command("migrate", verbosity=0)
        self.assert_added()

    def test_they_are_added_after_storm_schema(self) -> None:
        upgrade_schema(conf.stores["main"])
        self.assert_added()

    def test_nothing_is_added_before_both_tables_are_there(self) -> None:
        self.execute("ALTER TABLE tests_references_track RENAME TO tests_away")
        try:
            add_missing("default")
            self.assertEqual(self.foreign_keys(self.table), [])
        finally:
            self.execute("ALTER TABLE tests_away RENAME TO tests_references_track")
        add_missing("default")
        self.assert_added()

    def test_the_column_gets_the_type_of_the_key(self) -> None:
        words = "MODIFY track_id" if connection.vendor == "mysql" else "ALTER track_id TYPE"
        self.execute(f"ALTER TABLE {self.table} {words} VARCHAR(20)")
        with commit_on_success():
            track = get_store().add(Track("x"))
            Note.objects.create(track=track)
        self.addCleanup(self.execute, "DELETE FROM tests_references_track")
        add_missing("default")
        self.assert_added()
        self.assertIn("int", str(column_type(connection, self.table, "track_id")))
        with commit_on_success():
            self.assertIs(Note.objects.get().track, track)

    def test_rows_that_refer_to_nothing_are_an_error(self) -> None:
        Note.objects.create(track_id=10**6)
        with self.assertRaises(IntegrityError):
            add_missing("default")
        Note.objects.all().delete()
        add_missing("default")
        self.assert_added()

    def test_a_database_without_a_store_is_left_alone(self) -> None:
        add_missing("plain")
        self.assertEqual(self.foreign_keys(self.table), [])
        add_missing("default")


class WriterTest(SimpleTestCase):
    def test_a_migration_has_the_dotted_path(self) -> None:
        for to in (Track, "tests.storm_references.models.Track"):
            field = StormForeignKey(
                to, models.SET_NULL, null=True, db_constraint=False, related_name="x"
            )
            text, imports = MigrationWriter.serialize(field)
            self.assertIn("storm_django.fields.StormForeignKey(", text)
            self.assertIn("to='tests.storm_references.models.Track'", text)
            self.assertIn("on_delete=django.db.models.deletion.SET_NULL", text)
            self.assertNotIn("db_index", text)
            self.assertFalse([line for line in imports if "tests." in line])
            names: dict[str, Any] = {}
            exec("\n".join([*imports, f"field = {text}"]), names)
            self.assertEqual(names["field"].deconstruct()[1:], field.deconstruct()[1:])
            self.assertEqual(field.clone().deconstruct(), field.deconstruct())

    def test_operations_are_squashed(self) -> None:
        operations = [
            migrations.CreateModel("Talk", [("id", models.AutoField(primary_key=True))]),
            migrations.AddField("Talk", "remote", reference()),
            migrations.AlterField("Talk", "remote", reference(on_delete=models.PROTECT)),
            migrations.AddField("Talk", "other", reference()),
            migrations.RemoveField("Talk", "other"),
        ]
        squashed = MigrationOptimizer().optimize(operations, APP)
        self.assertEqual(len(squashed), 1)
        self.assertEqual([name for name, _ in squashed[0].fields], ["id", "remote"])
        self.assertIs(squashed[0].fields[1][1].on_delete, models.PROTECT)

    def test_what_changes_is_noticed_and_what_does_not_is_not(self) -> None:
        def state(field: StormForeignKey) -> ProjectState:
            found = ProjectState()
            migrations.CreateModel(
                "Talk", [("id", models.AutoField(primary_key=True)), ("remote", field)]
            ).state_forwards(APP, found)
            return found

        path = f"{__name__}.BigKey"
        for before, after, count in [
            (reference(), reference(path), 0),
            (reference(), reference(on_delete=models.PROTECT), 1),
            (reference(), reference(db_constraint=False), 1),
            (reference(), reference(TextKey), 1),
        ]:
            changes = MigrationAutodetector(state(before), state(after))._detect_changes()
            self.assertEqual(len(changes.get(APP, [])), count)

    def test_what_is_no_reference_is_an_error(self) -> None:
        for to, on_delete, error in [
            (7, models.CASCADE, TypeError),
            (Track, models.SET(1), ValueError),
            (Track, models.SET_DEFAULT, ValueError),
            (Track, None, ValueError),
        ]:
            with self.assertRaises(error):
                StormForeignKey(to, on_delete)


class InstalledTest(TransactionTestCase):
    def test_the_models_of_the_tests_need_no_migration(self) -> None:
        out = StringIO()
        call_command("makemigrations", "sprints", check=True, dry_run=True, stdout=out)
        self.assertIn("No changes", out.getvalue())
        self.assertIn("storm_django", settings.INSTALLED_APPS)
