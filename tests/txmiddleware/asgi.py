"""A client that speaks ASGI to the handler, and can go away."""

from __future__ import annotations

import asyncio
from typing import Any


class Exchange:
    """One request: what the application sent, and the way to hang up."""

    def __init__(
        self,
        path: str,
        method: str = "POST",
        body: bytes = b"",
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(b"host", b"testserver"), *headers],
        }
        self.sent: list[dict[str, Any]] = []
        self.body_begun = asyncio.Event()
        self._received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._received.put_nowait({"type": "http.request", "body": body, "more_body": False})

    def hang_up(self) -> None:
        """The client goes away."""
        self._received.put_nowait({"type": "http.disconnect"})

    async def run(self, application: Any) -> Exchange:
        """Handle the request to its end."""
        await application(self.scope, self._received.get, self._send)
        return self

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if message.get("body"):
            self.body_begun.set()

    @property
    def status(self) -> int | None:
        """The status of the response; None if there was none."""
        return self.sent[0]["status"] if self.sent else None

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)
