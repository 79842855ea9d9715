"""A request that can be handled once more: a new object, with the body from its beginning."""

from __future__ import annotations

from io import BytesIO, IOBase
from tempfile import SpooledTemporaryFile
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


class _File:
    """A file with the body that only the server closes, which has opened it.

    Django closes a stream when ``request.body`` has read it, and with the request.
    """

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def close(self) -> None:
        pass


def _is_file(stream: Any) -> bool:
    """Whether ``stream`` can go back to its beginning."""
    # That of ASGI has seekable() since Python 3.11, and could do it before.
    return isinstance(stream, SpooledTemporaryFile) or stream.seekable()


class Replay:
    """What it takes to hand out ``request`` once more, as it was before it was handled.

    A body of more than ``DATA_UPLOAD_MAX_MEMORY_SIZE`` bytes can't be had twice, unless Django
    has put it into a file itself (ASGI).
    """

    def __init__(self, request: HttpRequest) -> None:
        state = request.__dict__
        stream = state.get("_stream")
        if stream is None:
            pass
        elif _is_file(stream):
            state["_stream"] = _File(stream)
        elif request.META.get("CONTENT_LENGTH"):  # else there is nothing in it
            state["_stream"] = _Recorder(stream, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        self._class = request.__class__
        self._state = state.copy()

    @property
    def possible(self) -> bool:
        """Whether the body can still be had from its beginning."""
        stream = self._state.get("_stream")
        return not isinstance(stream, _Recorder) or stream.complete

    def request(self) -> HttpRequest:
        """A new request."""
        stream = self._state.get("_stream")
        if isinstance(stream, _Recorder):
            stream.rewind()
        elif isinstance(stream, _File):
            stream.seek(0)
        request = self._class.__new__(self._class)
        request.__dict__.update(self._state)
        return request
