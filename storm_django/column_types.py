"""What a database says of its columns."""

from __future__ import annotations

from typing import Any

TYPE_QUERIES = {
    "postgresql": (
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = to_regclass(%s) AND attname = %s AND NOT attisdropped"
    ),
    "mysql": (
        "SELECT concat(column_type, coalesce(concat("
        "' CHARACTER SET ', character_set_name, ' COLLATE ', collation_name), '')) "
        "FROM information_schema.columns "
        "WHERE table_schema = database() AND table_name = %s AND column_name = %s"
    ),
    "sqlite": "SELECT type FROM pragma_table_info(%s) WHERE lower(name) = lower(%s)",
}


def quote_table(connection: Any, table: str) -> str:
    """The name of a table of Storm in SQL. On PostgreSQL it may have the schema before a dot."""
    parts = table.split(".") if connection.vendor == "postgresql" else [table]
    return ".".join(map(connection.ops.quote_name, parts))


def column_type(connection: Any, table: str, column: str) -> str | None:
    """The type of a column in SQL, as it has to be in a table that refers to it.

    None if there is no such table or column.
    """
    if connection.vendor == "postgresql":
        table = quote_table(connection, table)
    with connection.cursor() as cursor:
        cursor.execute(TYPE_QUERIES[connection.vendor], [table, column])
        row = cursor.fetchone()
    if row is None:
        return None
    found = row[0].decode() if isinstance(row[0], bytes) else row[0]
    return str(found)
