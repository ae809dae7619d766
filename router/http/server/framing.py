"""Finds where a request ends on its connection from its head alone, without parsing it, where that is unambiguous."""

from __future__ import annotations

import re

_ODD = re.compile(rb"\r\n(?:transfer-|expect|upgrade|connection: close)")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*(?:\r\n|\Z)")


def request_bytes(data: bytes) -> int | None:
    """The length in bytes of the request that `data` begins with, head and body; None where only a parser can tell.

    Whatever two parsers could read differently is left to the real one: cutting a request in the wrong place would be
    request smuggling (RFC 9112, section 11.2).
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
    """Tracks where requests begin and end on one connection; `plain` is False from where only a parser can tell."""

    __slots__ = ("_owed_bytes", "plain")

    def __init__(self) -> None:
        self.plain = True
        self._owed_bytes = 0

    @property
    def ended(self) -> bool:
        """Whether all of the last request has come."""
        return self._owed_bytes == 0

    def begins(self, data: bytes) -> bool:
        """Takes the next bytes; True if they are the beginning of one request, or all of it."""
        begins = self.ended
        if begins:
            self._owed_bytes = request_bytes(data) or -1
        self._owed_bytes -= len(data)
        self.plain = self._owed_bytes >= 0
        return begins and self.plain

    def skip(self, data: bytes) -> bytes:
        """Takes the next bytes without those that are still of the last request, and gives what is left of them."""
        left = data[self._owed_bytes :]
        self._owed_bytes -= len(data) - len(left)
        return left
