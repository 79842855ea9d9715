"""A table of a thousand rows, and its classes for Django and for Storm."""

from __future__ import annotations

from typing import Any


def make_rows(table: str, alias: str = "default") -> tuple[Any, Any]:
    """Make the table anew, where ``name`` is "row 1" to "row 1000" and ``number`` 0 to 9."""
    from django.db import connections, models
    from storm.locals import Int, Unicode

    class Row(models.Model):
        name = models.CharField(max_length=40)
        number = models.IntegerField(db_index=True)

        class Meta:
            app_label = "benchmarks"
            db_table = table

        def __str__(self) -> str:
            return self.name

    class StormRow:
        __storm_table__ = table
        id = Int(primary=True)
        name = Unicode()
        number = Int()

    with connections[alias].schema_editor() as editor:
        if table in connections[alias].introspection.table_names():
            editor.delete_model(Row)
        editor.create_model(Row)
    Row.objects.using(alias).bulk_create(
        Row(name=f"row {number}", number=number % 10) for number in range(1, 1001)
    )
    return Row, StormRow
