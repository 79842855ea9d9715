"""Many requests under a real ASGI server, seen from the database server."""

from __future__ import annotations

import http.client
import importlib.util
import itertools
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from unittest import skipUnless

from django.db import connection
from django.test import TransactionTestCase, skipUnlessDBFeature

from storm_django import get_store_uri
from tests.asgi_site.urls import TABLE

REQUESTS = int(os.environ.get("TEST_ASGI_REQUESTS", "200"))
AT_A_TIME = 20
IDLE_IN_TRANSACTION = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND state LIKE 'idle in transaction%'",
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx t JOIN "
    "information_schema.processlist p ON p.id = t.trx_mysql_thread_id "
    "WHERE p.db = database() AND p.command = 'Sleep'",
}
SESSIONS = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()",
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE db = database()",
}


@skipUnless(importlib.util.find_spec("uvicorn"), "uvicorn is not installed")
@skipUnlessDBFeature("has_select_for_update")  # not SQLite: it has no sessions to count
class AsgiTest(TransactionTestCase):
    def setUp(self) -> None:
        identity = {
            "postgresql": "serial PRIMARY KEY",
            "mysql": "integer AUTO_INCREMENT PRIMARY KEY",
        }[connection.vendor]
        self.execute(f"CREATE TABLE {TABLE} (id {identity}, name varchar(10))")
        self.addCleanup(self.execute, f"DROP TABLE {TABLE}")

    def execute(self, sql: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql)

    def count(self, sql: str) -> int:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return int(cursor.fetchone()[0])

    def serve(self, max_age: str) -> tuple[subprocess.Popen[bytes], int]:
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            port = free.getsockname()[1]
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.asgi_site.settings",
            "ASGI_STORE_URI": get_store_uri(),
            "ASGI_CONN_MAX_AGE": max_age,
            "PYTHONWARNINGS": "default",
        }
        command = [sys.executable, "-m", "uvicorn", "tests.asgi_site.asgi:application"]
        process = subprocess.Popen(
            [*command, "--port", str(port), "--log-level", "error"], env=environment
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                self.assertIsNone(process.poll(), "uvicorn ended")
            else:
                return process, port
        self.fail("uvicorn does not answer")

    def memory(self, process: subprocess.Popen[bytes]) -> int:
        """The resident memory of the server, in kB."""
        status = Path(f"/proc/{process.pid}/status")
        if not status.exists():
            self.skipTest("no /proc to read the memory from")
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1])

    def test_sessions_are_bounded_and_no_transaction_is_left_open(self) -> None:
        for max_age in ("0", "None"):
            with self.subTest(CONN_MAX_AGE=max_age):
                self.execute(f"DELETE FROM {TABLE}")
                process, port = self.serve(max_age)
                others = self.count(SESSIONS[connection.vendor])
                most = 0

                def get(path: str, port: int = port) -> int:
                    with closing(http.client.HTTPConnection("127.0.0.1", port)) as client:
                        client.request("GET", f"/{path}/")
                        return client.getresponse().status

                paths = itertools.cycle(["sync", "async", "failing", "async", "sync"])
                memories = []
                statuses: list[int] = []
                with ThreadPoolExecutor(AT_A_TIME) as pool:
                    for _ in range(10):
                        batch = list(itertools.islice(paths, REQUESTS // 10))
                        statuses += pool.map(get, batch)
                        most = max(most, self.count(SESSIONS[connection.vendor]) - others)
                        memories.append(self.memory(process))
                good = statuses.count(200)
                self.assertEqual(good, REQUESTS * 4 // 5)
                self.assertEqual(self.count(f"SELECT count(*) FROM {TABLE}"), 2 * good)
                self.assertEqual(self.count(IDLE_IN_TRANSACTION[connection.vendor]), 0)
                self.assertLessEqual(most, AT_A_TIME + 5)
                # The first tenth loads what there is to load.
                self.assertLess(memories[-1], memories[0] * 1.25, memories)
                process.terminate()
                process.wait()
