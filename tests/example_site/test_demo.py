"""`manage.py demo`: from nothing to a running site, or clear words about what is in the way."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import closing
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import SimpleTestCase, TestCase, override_settings, tag
from storm.uri import URI

from example_site.sprints.demo_database import create_missing_database
from storm_django import get_store_uri

MANAGE = settings.BASE_DIR / "manage.py"


def two_free_ports() -> int:
    """A free port of 127.0.0.1 whose successor is free, too."""
    for port in range(18000, 19000, 2):
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise AssertionError("no two free ports")


class Demo:
    """The command in a process of its own, as somebody has it who typed it."""

    def __init__(self, uri: str, port: int) -> None:
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in {"DEBUG", "DJANGO_SETTINGS_MODULE", "PYTHONWARNINGS"}
        }
        self.process = subprocess.Popen(
            [sys.executable, MANAGE, "demo", "--port", str(port)],
            env=environment | {"STORE_URI": uri},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Ctrl-C is ignored by what was started in the background of a shell.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def __enter__(self) -> "Demo":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()
        self.process.communicate()

    def read_introduction(self) -> str:
        """What it prints until it serves."""
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        return "".join(lines)

    def interrupt(self) -> int:
        """Press Ctrl-C, and return the exit status."""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)
        return self.process.returncode


def fetch(address: str) -> str:
    with urllib.request.urlopen(address, timeout=30) as response:
        return response.read().decode()


@tag("once")
class DemoTests(SimpleTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.uri = f"sqlite:{Path(folder.name, 'demo.sqlite3')}"
        self.port = two_free_ports()

    def test_it_serves_the_sample_and_ctrl_c_stops_all_of_it(self) -> None:
        with Demo(self.uri, self.port) as demo:
            introduction = demo.read_introduction()
            self.assertIn(f"http://127.0.0.1:{self.port}/", introduction)
            self.assertRegex(introduction, r"ada +Ada Lovelace +summit-drivers")
            self.assertIn(f"http://127.0.0.1:{self.port}/admin/", introduction)
            self.assertIn("Reproducible builds", fetch(f"http://127.0.0.1:{self.port}/"))
            self.assertIn("ada", fetch(f"http://127.0.0.1:{self.port + 1}/openid/"))
            self.assertEqual(demo.interrupt(), 0)
        for port in (self.port, self.port + 1):
            with socket.socket() as probe:
                self.assertNotEqual(probe.connect_ex(("127.0.0.1", port)), 0)

    def test_a_second_run_keeps_the_data(self) -> None:
        with Demo(self.uri, self.port) as demo:
            self.assertIn("Loaded the sample data", demo.read_introduction())
            demo.interrupt()
        with Demo(self.uri, self.port) as demo:
            self.assertNotIn("Loaded", demo.read_introduction())
            self.assertIn("Reproducible builds", fetch(f"http://127.0.0.1:{self.port}/"))


@tag("once")
class RefusalTests(SimpleTestCase):
    """What is in the way, in one line that says what to change."""

    def assertRefused(self, words: str, **options: object) -> None:
        with self.assertRaisesRegex(CommandError, words) as caught:
            call_command("demo", **options)
        self.assertNotIn("\n", str(caught.exception))

    @override_settings(DEBUG=True)
    def test_a_taken_port(self) -> None:
        port = two_free_ports()
        for taken in (port, port + 1):
            with self.subTest(taken), closing(socket.create_server(("127.0.0.1", taken))):
                self.assertRefused(rf"Port {taken} .*make demo PORT={port + 10}", port=port)

    @override_settings(DEBUG=False)
    def test_production(self) -> None:
        self.assertRefused("without DEBUG=0")

    def test_a_store_that_is_none(self) -> None:
        for uri in ("oracle://host/name", "nonsense", "postgres://127.0.0.1"):
            with self.subTest(uri), self.assertRaisesRegex(CommandError, "STORE"):
                create_missing_database(uri)

    def test_a_file_that_does_not_open(self) -> None:
        with self.assertRaisesRegex(CommandError, "/nowhere/demo.sqlite3, which does not open"):
            create_missing_database("sqlite:/nowhere/demo.sqlite3")


class CreateDatabaseTests(TestCase):
    """On the server of the tests, whichever it is."""

    def setUp(self) -> None:
        self.uri = URI(get_store_uri())
        if connection.vendor == "sqlite":
            self.skipTest("SQLite has no server")

    def test_a_missing_database_is_created_once(self) -> None:
        self.uri.database = f"test_demo_{os.getpid()}"
        self.addCleanup(self.drop, self.uri.database)
        self.assertTrue(create_missing_database(str(self.uri)))
        self.assertFalse(create_missing_database(str(self.uri)))

    def test_a_server_that_does_not_answer_is_named_without_the_password(self) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # and not listening
            self.uri.host, self.uri.port = "127.0.0.1", closed.getsockname()[1]
            self.uri.password = "hush"
            with self.assertRaises(CommandError) as caught:
                create_missing_database(str(self.uri))
        message = str(caught.exception)
        self.assertIn(f"at 127.0.0.1:{self.uri.port} cannot be used for STORE", message)
        self.assertNotIn("hush", message)
        self.assertIsNone(re.search(r"\n", message))

    def drop(self, database: str) -> None:
        new = connection.copy("default")
        new.settings_dict = new.settings_dict.copy()
        with new._nodb_cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {connection.ops.quote_name(database)}")
