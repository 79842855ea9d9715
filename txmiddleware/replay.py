"""A request that can be handled once more: a new object, with the body from its beginning."""

from __future__ import annotations

from io import BytesIO, IOBase
from typing import Any

from django.conf import settings
from django.http import HttpRequest


class _Recorder(IOBase):
    """A stream that keeps what is read from it, up to ``cap`` bytes, to give it again."""

    def __init__(self, stream: Any, cap: int | None) -> None:
        super().__init__()
        self.stream = stream
        self.cap = cap
        self.kept = BytesIO()
        self.replayed = BytesIO()

    @property
    def complete(self) -> bool:
        """Whether nothing that was read has been dropped."""
        return self.cap is None or self.kept.tell() <= self.cap

    def rewind(self) -> None:
        """Begin again with the first byte."""
        self.replayed = BytesIO(self.kept.getvalue())

    def _keep(self, data: bytes) -> bytes:
        if self.complete:
            self.kept.write(data)
        return data

    def read(self, size: int = -1) -> bytes:
        data = self.replayed.read(size)
        if size is None or size < 0:
            return data + self._keep(self.stream.read())
        if len(data) < size:
            data += self._keep(self.stream.read(size - len(data)))
        return data

    def readline(self, size: int | None = -1) -> bytes:
        data = self.replayed.readline(size)
        if data.endswith(b"\n") or (data and size is not None and 0 <= size <= len(data)):
            return data
        rest = size - len(data) if size is not None and size >= 0 else -1
        return data + self._keep(self.stream.readline(rest))

    def readable(self) -> bool:
        return True


class Replay:
    """What it takes to hand out ``request`` once more, as it was before it was handled.

    A body of more than ``DATA_UPLOAD_MAX_MEMORY_SIZE`` bytes can't be had twice, unless the
    server has put it into a file itself (ASGI).
    """

    def __init__(self, request: HttpRequest) -> None:
        state = request.__dict__
        if request.META.get("CONTENT_LENGTH"):
            stream = state.get("_stream")
            if stream is not None and not stream.seekable():
                state["_stream"] = _Recorder(stream, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        self._class = request.__class__
        self._state = state.copy()

    @property
    def possible(self) -> bool:
        """Whether the body can still be had from its beginning."""
        stream = self._state.get("_stream")
        if isinstance(stream, _Recorder):
            return stream.complete
        return stream is None or not stream.closed

    def request(self) -> HttpRequest:
        """A new request."""
        stream = self._state.get("_stream")
        if isinstance(stream, _Recorder):
            stream.rewind()
        elif stream is not None and stream.seekable():
            stream.seek(0)
        request = self._class.__new__(self._class)
        request.__dict__.update(self._state)
        return request
