"""Decompresses answers piece by piece, each piece of bounded size.

We send `Accept-Encoding: identity`, but some proxies compress all the same.
"""

from __future__ import annotations

import zlib

from adapters.errors import ErrorKind, ProviderError

_MAX_PIECE_BYTES = 256 * 1024  # a decompression bomb then hits the bound on answers before it fills memory
_ANY_HEADER, _NO_HEADER = 47, -15  # zlib's wbits: gzip or zlib format, detected; raw deflate
_ZLIB_METHOD = 8


class Inflater:
    """Inflates one answer; raises `ProviderError` (bad response) if it is not in the announced encoding, or cut."""

    def __init__(self) -> None:
        self._unpacker = zlib.decompressobj(_ANY_HEADER)
        self._begun = False
        self._left = b""

    def feed(self, data: bytes) -> None:
        """Takes in bytes from the wire; call it only when `more` has returned nothing."""
        if not self._begun and data:
            self._begun = True
            # RFC 9110 defines "deflate" as the zlib format, but some servers send raw deflate, without its header.
            if data[0] & 0x0F != _ZLIB_METHOD and data[:1] != b"\x1f":
                self._unpacker = zlib.decompressobj(_NO_HEADER)
        self._left = data

    def more(self) -> bytes:
        """The next inflated bytes; empty when `feed` has to be called first."""
        if not self._left or self._unpacker.eof:
            return b""
        try:
            piece = self._unpacker.decompress(self._left, _MAX_PIECE_BYTES)
        except zlib.error:
            raise ProviderError(ErrorKind.BAD_RESPONSE, "answer is not compressed as its headers say") from None
        self._left = self._unpacker.unconsumed_tail
        return piece

    def end(self) -> None:
        """Checks, after the last byte from the wire, that the compressed stream is complete."""
        if self._begun and not self._unpacker.eof:
            raise ProviderError(ErrorKind.BAD_RESPONSE, "answer cut short: its compressed stream is incomplete")


def inflater(encoding: str) -> Inflater | None:
    """An `Inflater` for a Content-Encoding, or None for identity; raises `ProviderError` for one we cannot read."""
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip" | "deflate":
            return Inflater()
        case other:
            raise ProviderError(ErrorKind.BAD_RESPONSE, f"answered in the unasked content encoding {other[:20]!r}")
