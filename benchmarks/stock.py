"""Django's own engine on the database of a store's URI."""

from __future__ import annotations

from typing import Any

from storm.uri import URI

ENGINES = {
    "postgres": "django.db.backends.postgresql",
    "mysql": "django.db.backends.mysql",
    "sqlite": "django.db.backends.sqlite3",
}


def stock_database(uri: URI) -> dict[str, Any]:
    """The entry of ``DATABASES``, with connections that are kept."""
    return {
        "ENGINE": ENGINES[uri.scheme],
        "NAME": uri.database,
        "USER": uri.username or "",
        "PASSWORD": uri.password or "",
        "HOST": uri.host or "",
        "PORT": str(uri.port or ""),
        "CONN_MAX_AGE": None,
    }


LEVELS = {"postgres": "default", "mysql": "read-committed"}


def isolated_alike(uri: URI) -> URI:
    """The URI of a store at the isolation level that Django's own engine has by default."""
    uri = uri.copy()
    if uri.scheme in LEVELS:
        uri.options.setdefault("isolation", LEVELS[uri.scheme])
    return uri
