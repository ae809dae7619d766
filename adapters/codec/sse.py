"""Server-sent events out of bytes that arrive in any pieces: a push parser after the WHATWG rules, in linear time."""

from __future__ import annotations

from adapters.errors import ErrorKind, ProviderError
from adapters.types import Event

MAX_LINE_BYTES = 1024 * 1024  # far above any chunk of an answer, far below what would hurt
_BOM = b"\xef\xbb\xbf"


class SseParser:
    """Feed it bytes, take events; `close()` delivers a last event that no blank line ended.

    A line or an event of more than `max_line_bytes` raises `ProviderError(BAD_RESPONSE)`.
    """

    __slots__ = ("_after_cr", "_data", "_data_bytes", "_first", "_limit", "_name", "_tail", "_tail_bytes")

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._limit = max_line_bytes
        self._tail: list[bytes] = []  # the pieces of a line whose end has not come; joined once
        self._tail_bytes = 0
        self._after_cr = False  # a line feed that comes next belongs to the line already ended
        self._first = True
        self._name = ""
        self._data: list[str] = []
        self._data_bytes = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes."""
        events: list[Event] = []
        if not chunk:
            return events
        after_cr, self._after_cr = self._after_cr, chunk.endswith(b"\r")
        if after_cr:
            chunk = chunk.removeprefix(b"\n")
        for line in chunk.splitlines(keepends=True):  # on bytes: LF, CR and CRLF only
            if line[-1] not in b"\r\n":
                self._keep(line)
                break
            line = line.rstrip(b"\r\n")
            self._line(self._complete(line) if self._tail or self._first else line, events)
        return events

    def close(self) -> list[Event]:
        """The event that was under way when the bytes ended, if any."""
        events: list[Event] = []
        if self._tail:
            self._line(self._complete(b""), events)
        self._line(b"", events)
        return events

    def _keep(self, piece: bytes) -> None:
        self._tail.append(piece)
        self._tail_bytes += len(piece)
        if self._tail_bytes > self._limit:
            raise self._too_long("line")

    def _complete(self, piece: bytes) -> bytes:
        if self._tail:
            self._keep(piece)
            piece = b"".join(self._tail)
            self._tail.clear()
            self._tail_bytes = 0
        if self._first:
            self._first = False
            return piece.removeprefix(_BOM)
        return piece

    def _line(self, line: bytes, events: list[Event]) -> None:
        if not line:
            self._dispatch(events)
            return
        if len(line) > self._limit:
            raise self._too_long("line")
        if line.startswith(b"{"):  # a line of JSON is no field of this format: some local servers stream it bare
            self._dispatch(events)
            events.append(Event("", _text(line)))
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data_bytes += len(line)
            if self._data_bytes > self._limit:
                raise self._too_long("event")
            self._data.append(_text(value))
        elif name == b"event":
            self._name = _text(value)

    def _dispatch(self, events: list[Event]) -> None:
        if self._data:
            events.append(Event(self._name, "\n".join(self._data)))
            self._data.clear()
            self._data_bytes = 0
        self._name = ""

    def _too_long(self, what: str) -> ProviderError:
        return ProviderError(ErrorKind.BAD_RESPONSE, f"a stream {what} is longer than {self._limit} bytes")


def _text(value: bytes) -> str:
    return value.removeprefix(b" ").decode("utf-8", "replace")
