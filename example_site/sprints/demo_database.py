"""Making sure that there is a database to demonstrate with."""

import sqlite3
from contextlib import closing
from importlib import import_module
from types import ModuleType

from django.core.management.base import CommandError
from storm.exceptions import URIError
from storm.uri import URI

CONNECT_SECONDS = 5
_UNKNOWN_DATABASE = 1049  # MariaDB's and MySQL's ER_BAD_DB_ERROR


def create_missing_database(text: str) -> bool:
    """Create the database that the store's URI *text* names, if its server does not have it.

    Returns whether it was created; SQLite does so by itself, when it is first written to. Raises
    CommandError, in one line that says what to change, when the server cannot be used.
    """
    try:
        uri = URI(text)
        prepare = {"sqlite": _open_file, "postgres": _postgresql, "mysql": _mysql}[uri.scheme]
    except (URIError, KeyError):
        raise CommandError(
            "STORE has to begin with sqlite:, postgres:// or mysql://, as in "
            "postgres://user:password@127.0.0.1:5432/sprints"
        ) from None
    if not uri.database:
        raise CommandError("STORE names no database; write its name after the last slash.")
    return prepare(uri)


def _open_file(uri: URI) -> bool:
    try:
        with closing(sqlite3.connect(uri.database)) as connection:
            connection.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        raise CommandError(f"STORE names {uri.database}, which does not open: {error}") from error
    return False


def _postgresql(uri: URI) -> bool:
    driver = _import_driver("psycopg2", "postgresql")
    server = {
        "host": uri.host,
        "port": uri.port,
        "user": uri.username,
        "password": uri.password,
        "connect_timeout": CONNECT_SECONDS,
    }
    try:
        driver.connect(dbname=uri.database, **server).close()
        return False
    except driver.OperationalError as error:
        refused = error  # its server may be away, or only the database missing
    try:
        with closing(driver.connect(dbname="postgres", **server)) as connection:
            connection.autocommit = True  # CREATE DATABASE runs in no transaction
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [uri.database])
                if cursor.fetchone():
                    raise refused
                name = driver.extensions.quote_ident(uri.database, connection)
                cursor.execute(f"CREATE DATABASE {name}")
    except driver.Error as error:
        raise _unreachable("PostgreSQL", uri, error) from error
    return True


def _mysql(uri: URI) -> bool:
    driver = _import_driver("MySQLdb", "mysql")
    options = {
        "host": uri.host,
        "port": uri.port,
        "user": uri.username,
        "password": uri.password,
        "unix_socket": uri.options.get("unix_socket"),
        "connect_timeout": CONNECT_SECONDS,
    }
    server = {name: value for name, value in options.items() if value is not None}
    try:
        driver.connect(database=uri.database, **server).close()
        return False
    except driver.Error as error:
        if error.args[0] != _UNKNOWN_DATABASE:
            raise _unreachable("MariaDB or MySQL", uri, error) from error
    name = uri.database.replace("`", "``")
    try:
        with closing(driver.connect(**server)) as connection:
            connection.query(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
    except driver.Error as error:
        raise _unreachable("MariaDB or MySQL", uri, error) from error
    return True


def _import_driver(module: str, extra: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        raise CommandError(
            f"STORE needs {module}, which cannot be imported ({error}); "
            f"pip install 'storm-django[{extra}]'"
        ) from error


def _unreachable(product: str, uri: URI, error: Exception) -> CommandError:
    at = f"{uri.host or 'the local socket'}" + (f":{uri.port}" if uri.port else "")
    reason = " ".join(str(error).split())
    return CommandError(
        f"{product} at {at} cannot be used for STORE: {reason} "
        "(is it running, and are user, password and database right?)"
    )
