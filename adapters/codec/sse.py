"""Server-sent events out of bytes that arrive in any pieces, in linear time.

The rules are those of the WHATWG HTML standard (section 9.2.6, "Interpreting an event stream"), except where providers
leave them:

- A last event that no blank line ended is delivered, where the standard drops it: servers that close the connection
  right after their last line are common, and that line is often the one with the finish reason.
- A line that begins with `{` is an event of its own. Ollama's `/api/chat` streams bare lines of JSON (NDJSON).
- `id:` and `retry:` are ignored: an answer that was cut cannot be resumed by reconnecting to any provider.
"""

from __future__ import annotations

from dataclasses import dataclass

from adapters.errors import ErrorKind, ProviderError

MAX_LINE_BYTES = 1024 * 1024  # no chunk of an answer comes near it; without a bound one line could take all memory
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One server-sent event: its `event:` name (empty if it has none) and its `data:` lines joined by newlines."""

    name: str
    data: str


class SseParser:
    """Feed it bytes and take events; `close()` gives the last event if no blank line ended it.

    A line or an event of more than `max_line_bytes` raises `ProviderError(BAD_RESPONSE)`.
    """

    __slots__ = ("_after_cr", "_data", "_data_bytes", "_first", "_limit", "_name", "_tail", "_tail_bytes")

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._limit = max_line_bytes
        self._tail: list[bytes] = []  # the pieces of an unfinished line; joined once, so that long lines stay linear
        self._tail_bytes = 0
        self._after_cr = False  # the last chunk ended in CR: a leading LF completes that CRLF and starts no new line
        self._first = True  # no line has been completed yet: a byte order mark may precede the first
        self._name = ""
        self._data: list[str] = []
        self._data_bytes = 0

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that `chunk` completes."""
        events: list[SseEvent] = []
        if not chunk:
            return events
        after_cr, self._after_cr = self._after_cr, chunk.endswith(b"\r")
        if after_cr:
            chunk = chunk.removeprefix(b"\n")
        for line in chunk.splitlines(keepends=True):  # on bytes: LF, CR and CRLF only, as the standard has it
            if line[-1] not in b"\r\n":
                self._keep(line)
                break
            line = line.rstrip(b"\r\n")
            self._line(self._complete(line) if self._tail or self._first else line, events)
        return events

    def close(self) -> list[SseEvent]:
        """The event that was under way when the bytes ended, if any."""
        events: list[SseEvent] = []
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

    def _line(self, line: bytes, events: list[SseEvent]) -> None:
        if not line:
            self._dispatch(events)
            return
        if len(line) > self._limit:
            raise self._too_long("line")
        if line.startswith(b"{"):
            self._dispatch(events)
            events.append(SseEvent("", _text(line)))
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data_bytes += len(line)
            if self._data_bytes > self._limit:
                raise self._too_long("event")
            self._data.append(_text(value))
        elif name == b"event":
            self._name = _text(value)

    def _dispatch(self, events: list[SseEvent]) -> None:
        if self._data:
            events.append(SseEvent(self._name, "\n".join(self._data)))
            self._data.clear()
            self._data_bytes = 0
        self._name = ""

    def _too_long(self, what: str) -> ProviderError:
        return ProviderError(
            ErrorKind.BAD_RESPONSE, f"the provider sent a stream {what} longer than {self._limit} bytes"
        )


def _text(value: bytes) -> str:
    return value.removeprefix(b" ").decode("utf-8", "replace")
