"""The tables of the Storm classes, for `manage.py storm_schema`."""

from storm.schema import Schema
from storm.store import Store

from example_site.sprints import patches

# What a key that counts up by itself is called, by the scheme of the store's URI.
_SERIAL = {
    "sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "postgres": "SERIAL PRIMARY KEY",
    "mysql": "INTEGER AUTO_INCREMENT PRIMARY KEY",
}
_DATETIME = {"sqlite": "TIMESTAMP", "postgres": "TIMESTAMP", "mysql": "DATETIME"}

# No room holds two sessions at once, and a session has both a room and a slot or neither: the
# database sees to it, so two requests at the same moment cannot both win.
_CREATES = [
    """
    CREATE TABLE sprint_room (
        id {serial},
        name VARCHAR(60) NOT NULL UNIQUE,
        seats INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE sprint_slot (
        id {serial},
        starts {datetime} NOT NULL UNIQUE,
        ends {datetime} NOT NULL,
        label VARCHAR(60) NOT NULL
    )
    """,
    """
    CREATE TABLE sprint_session (
        id {serial},
        title VARCHAR(100) NOT NULL,
        description TEXT NOT NULL,
        proposer_id INTEGER NOT NULL,
        room_id INTEGER,
        slot_id INTEGER,
        UNIQUE (room_id, slot_id),
        CHECK ((room_id IS NULL) = (slot_id IS NULL)),
        FOREIGN KEY (room_id) REFERENCES sprint_room (id),
        FOREIGN KEY (slot_id) REFERENCES sprint_slot (id)
    )
    """,
]
_TABLES = ["sprint_session", "sprint_slot", "sprint_room"]


def schema(store: Store) -> Schema:
    """Return the schema for *store*, in the words of its database."""
    scheme = store.get_database().get_uri().scheme
    words = {"serial": _SERIAL[scheme], "datetime": _DATETIME[scheme]}
    return Schema(
        [create.format(**words) for create in _CREATES],
        [f"DROP TABLE {table}" for table in _TABLES],
        [f"DELETE FROM {table}" for table in _TABLES],
        patches,
    )
