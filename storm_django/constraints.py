"""Foreign keys in the database for ``StormForeignKey``, on PostgreSQL and MySQL.

(SQLite has them in the definition of the column: ``StormForeignKey.db_type_suffix()``.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import AppConfig, apps
from django.apps.registry import Apps
from django.db import connections, models, router
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Columns, ForeignKeyName, Statement, Table

from storm_django.column_types import column_type, quote_table
from storm_django.conf import conf

ADD = (
    "ALTER TABLE %(table)s ADD CONSTRAINT %(name)s FOREIGN KEY (%(column)s) "
    "REFERENCES %(to_table)s (%(to_column)s) ON DELETE %(on_delete)s%(deferrable)s"
)
CHANGE_TYPE = {
    "postgresql": (
        "ALTER TABLE %(table)s ALTER COLUMN %(column)s TYPE %(type)s USING %(column)s::%(type)s"
    ),
    "mysql": "ALTER TABLE %(table)s MODIFY %(column)s %(type)s %(null)s",
}


class ReferenceStatement(Statement):
    """A deferred statement that adds a foreign key to a Storm class's table."""


class ReferenceSchemaEditor(BaseDatabaseSchemaEditor):
    """A schema editor that adds and drops the foreign keys of ``StormForeignKey``.

    A key whose table does not exist yet is left to :func:`add_missing`.
    """

    def create_model(self, model: Any) -> None:
        super().create_model(model)
        for field in reference_fields(model):
            self._defer_reference(model, field)

    def add_field(self, model: Any, field: Any) -> None:
        super().add_field(model, field)
        if is_reference(field):
            self._defer_reference(model, field)

    def remove_field(self, model: Any, field: Any) -> None:
        if is_reference(field):
            self._drop_reference(model, field)
        super().remove_field(model, field)

    def _alter_field(
        self, model: Any, old_field: Any, new_field: Any, *args: Any, **kwargs: Any
    ) -> None:
        if is_reference(old_field) or is_reference(new_field):
            # A number may have one already: storm_schema has added it for the models of the code.
            self._drop_reference(model, old_field)
        super()._alter_field(model, old_field, new_field, *args, **kwargs)  # type: ignore[misc]
        if is_reference(new_field):
            self._defer_reference(model, new_field)

    def _defer_reference(self, model: Any, field: Any) -> None:
        if column_type(self.connection, field.key.table, field.key.column.name) is not None:
            self.deferred_sql.append(self.reference_sql(model, field))

    def _drop_reference(self, model: Any, field: Any) -> None:
        table = model._meta.db_table
        for sql in list(self.deferred_sql):
            if isinstance(sql, ReferenceStatement) and sql.references_column(table, field.column):
                self.deferred_sql.remove(sql)
        for name in self._constraint_names(model, [field.column], foreign_key=True):  # type: ignore[attr-defined]
            self.execute(self._delete_fk_sql(model, name))  # type: ignore[attr-defined]

    def reference_sql(self, model: Any, field: Any) -> ReferenceStatement:
        """The statement that adds the foreign key of a field."""
        from storm_django.fields import ON_DELETE

        table, to_column = model._meta.db_table, field.key.column.name
        name = ForeignKeyName(
            table,
            [field.column],
            field.key.table.rpartition(".")[2],
            [to_column],
            "_fk_%(to_table)s_%(to_column)s",
            lambda *args: self.quote_name(self._create_index_name(*args)),  # type: ignore[attr-defined]
        )
        return ReferenceStatement(
            ADD,
            table=Table(table, self.quote_name),
            name=name,
            column=Columns(table, [field.column], self.quote_name),
            to_table=quote_table(self.connection, field.key.table),
            to_column=self.quote_name(to_column),
            on_delete=ON_DELETE[field.on_delete],
            deferrable=self.connection.ops.deferrable_sql(),
        )


def is_reference(field: Any) -> bool:
    """Whether a field has a foreign key to the table of a Storm class."""
    from storm_django.fields import StormForeignKey

    return isinstance(field, StormForeignKey) and field.db_constraint


def reference_fields(model: type[models.Model]) -> Iterator[Any]:
    """The fields of a model's table that have a foreign key to the table of a Storm class."""
    return filter(is_reference, model._meta.local_concrete_fields)


def add_missing_of_store(name: str) -> None:
    """Add the foreign keys for which the tables of a store were missing."""
    alias = conf.aliases().get(name)
    if alias is not None:
        add_missing(alias)


def add_missing(alias: str, models_of: Apps = apps) -> None:
    """Add the foreign keys to Storm's tables that a database does not have.

    ``models_of`` has the models as they are in the database, if not those of the code.

    The column gets the type of the key, if it was made before the type was known. Raises Django's
    ``IntegrityError`` if there are rows that refer to nothing.
    """
    connection: Any = connections[alias]
    if connection.vendor not in CHANGE_TYPE or not hasattr(connection, "store_settings"):
        return
    for model in models_of.get_models(include_auto_created=True):
        if not model._meta.can_migrate(connection) or not router.allow_migrate_model(alias, model):
            continue
        for field in reference_fields(model):
            _add_if_missing(connection, model, field)


def _add_if_missing(connection: Any, model: type[models.Model], field: Any) -> None:
    table = model._meta.db_table
    local_type = column_type(connection, table, field.column)
    remote_type = column_type(connection, field.key.table, field.key.column.name)
    if local_type is None or remote_type is None:
        return
    with connection.schema_editor() as editor:
        if editor._constraint_names(model, [field.column], foreign_key=True):
            return
        if local_type != remote_type:
            words = {
                "table": editor.quote_name(table),
                "column": editor.quote_name(field.column),
                "type": remote_type,
                "null": "NULL" if field.null else "NOT NULL",
            }
            editor.execute(CHANGE_TYPE[connection.vendor] % words, params=None)
        editor.execute(editor.reference_sql(model, field))


def add_missing_after_migrate(sender: AppConfig, using: str, **kwargs: Any) -> None:
    """The receiver of ``post_migrate``, which is sent for each app with models, in order."""
    senders = [config for config in apps.get_app_configs() if config.models_module]
    if sender is senders[-1] and "plan" in kwargs:  # flush sends it too, and has no plan
        add_missing(using, kwargs["apps"])  # it may have gone to an older state
