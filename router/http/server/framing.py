"""Finds the end of a request on its connection from its head, without parsing it, where that is unambiguous."""

from __future__ import annotations

import re

# Chunked bodies, `100-continue`, upgrades and closing connections need a real parser.
_ODD = re.compile(rb"\r\n(?:transfer-|expect|upgrade|connection: close)")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*(?:\r\n|\Z)")


def request_bytes(data: bytes) -> int | None:
    """The length in bytes, head and body, of the request at the start of `data`; None if only a real parser can tell.

    Framing that two parsers could read differently (RFC 9112, section 6.3: `Transfer-Encoding`, several
    `Content-Length`, bare LF) is left to the real parser: cutting at the wrong byte would be request smuggling
    (RFC 9112, section 11.2).
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[:end].lower()
    if _ODD.search(head) or head.count(b"\n") != head.count(b"\r\n"):
        return None
    lengths = head.count(b"content-length")
    if not lengths:
        return end + 4
    found = _LENGTH.search(head)
    return end + 4 + int(found[1]) if found and lengths == 1 else None


class Framing:
    """Tracks request boundaries on one connection.

    `plain` turns False, for good, at the first request whose end only a real parser can find.
    """

    __slots__ = ("_owed_bytes", "plain")

    def __init__(self) -> None:
        self.plain = True
        self._owed_bytes = 0

    @property
    def ended(self) -> bool:
        """Whether the last request has arrived completely."""
        return self._owed_bytes == 0

    def begins(self, data: bytes) -> bool:
        """Consumes the next bytes; True if they are the beginning of a request, or exactly one whole request."""
        begins = self.ended
        if begins:
            self._owed_bytes = request_bytes(data) or -1
        self._owed_bytes -= len(data)
        self.plain = self._owed_bytes >= 0
        return begins and self.plain

    def skip(self, data: bytes) -> bytes:
        """Consumes what `data` still holds of the last request, and returns the bytes after it."""
        left = data[self._owed_bytes :]
        self._owed_bytes -= len(data) - len(left)
        return left
