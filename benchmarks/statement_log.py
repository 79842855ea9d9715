"""The statements that reach a PostgreSQL server, read off the wire.

A proxy on loopback passes everything on, and keeps the text of each simple query: what psycopg2
sends, its own BEGIN and COMMIT too, in the order in which the server gets it.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class StatementLog:
    """A proxy for one server; ``statements`` is what went through."""

    def __init__(self, host: str, port: int) -> None:
        self.server = (host, port)
        self.statements: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.server)
                for source, target, keep in ((client, server, True), (server, client, False)):
                    threading.Thread(
                        target=self._pass_on, args=(source, target, keep), daemon=True
                    ).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, keep: bool) -> None:
        pending = b""
        started = False  # the first message has no type
        with source, target, suppress(OSError):
            while data := source.recv(65536):
                if keep:
                    pending += data
                    pending, started = self._keep(pending, started)
                target.sendall(data)

    def _keep(self, pending: bytes, started: bool) -> tuple[bytes, bool]:
        while len(pending) >= 5:
            offset = 1 if started else 0
            (length,) = struct.unpack_from("!i", pending, offset)
            if len(pending) < offset + length:
                break
            if started and pending[:1] == b"Q":
                self.statements.append(pending[5:length].decode())
            # An SSL or GSS request is answered before the real first message.
            if not started:
                (code,) = struct.unpack_from("!i", pending, 4)
                started = code not in (80877103, 80877104)
            pending = pending[offset + length :]
        return pending, started

    @contextmanager
    def collected(self) -> Iterator[list[str]]:
        """The statements that arrive inside of the block."""
        before = len(self.statements)
        found: list[str] = []
        yield found
        found += self.statements[before:]

    def close(self) -> None:
        """Take no more connections."""
        self.listener.close()


def verbs(statements: list[str]) -> list[str]:
    """The first word of each statement."""
    return [statement.split(None, 1)[0].rstrip(";") for statement in statements]
