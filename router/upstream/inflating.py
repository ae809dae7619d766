"""Compressed answers, which nobody asked for but some proxies send: inflated a bounded piece at a time."""

from __future__ import annotations

import zlib

from adapters.errors import ErrorKind, ProviderError

_AT_ONCE_BYTES = 256 * 1024  # a bomb meets the bound of answers at this pace, and not the memory
_ANY_HEADER, _NO_HEADER = 47, -15  # zlib's window bits: gzip or zlib, whichever it finds; or a bare stream
_ZLIB_METHOD = 8


class Inflater:
    """Inflates one answer. Raises `ProviderError` for what is not compressed as it says, or not whole."""

    def __init__(self) -> None:
        self._unpacker = zlib.decompressobj(_ANY_HEADER)
        self._begun = False
        self._left = b""

    def feed(self, data: bytes) -> None:
        """Takes in what arrived, once `more` has nothing left."""
        if not self._begun and data:
            self._begun = True
            # "deflate" is zlib's form by the standard, but some send the stream without its two bytes of header.
            if data[0] & 0x0F != _ZLIB_METHOD and data[:1] != b"\x1f":
                self._unpacker = zlib.decompressobj(_NO_HEADER)
        self._left = data

    def more(self) -> bytes:
        """The next bytes that can be told from what was fed; empty when more has to be fed."""
        if not self._left or self._unpacker.eof:
            return b""
        try:
            piece = self._unpacker.decompress(self._left, _AT_ONCE_BYTES)
        except zlib.error:
            raise ProviderError(ErrorKind.BAD_RESPONSE, "answer is not compressed as its headers say") from None
        self._left = self._unpacker.unconsumed_tail
        return piece

    def end(self) -> None:
        """No more will come."""
        if self._begun and not self._unpacker.eof:
            raise ProviderError(ErrorKind.BAD_RESPONSE, "answer cut short: its compressed form has no end")


def inflater(encoding: str) -> Inflater | None:
    """What reads an answer in this content encoding; None if there is nothing to do."""
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip" | "deflate":
            return Inflater()
        case other:
            raise ProviderError(ErrorKind.BAD_RESPONSE, f"answered in the unasked content encoding {other[:20]!r}")
