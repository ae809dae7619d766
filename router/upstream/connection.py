"""One HTTP/1.1 connection to a provider: sends a request, parses the answer as it arrives, applies backpressure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn, cast

import httptools

from adapters.errors import ErrorKind, ProviderError
from router.upstream.failures import reason

_MAX_HEAD_BYTES = 64 * 1024
_MAX_WAITING_BYTES = 64 * 1024  # received but not read yet; beyond it reading pauses and TCP slows the provider
_LONG_HEAD = "its headers are too long"
_NO_BODY = frozenset({204, 304})  # RFC 9112, 6.3: these end with their header


class _ParserStopped(Exception):
    """Raised inside a parser callback to stop the parser; `data_received` catches what the parser makes of it."""


class Connection(asyncio.Protocol):
    """Carries one exchange at a time: `send`, then `head`, then `piece` until it returns nothing.

    `lost` is called once, when the socket has gone. httptools calls the methods whose names begin with `on_`.
    """

    __slots__ = (
        "_broken",
        "_complete",
        "_ends_with_socket",
        "_head_bytes",
        "_headers",
        "_loop",
        "_lost",
        "_not_http",
        "_parser",
        "_paused",
        "_pieces",
        "_transport",
        "_waiter",
        "_waiting_bytes",
        "headers",
        "idle_since",
        "status",
    )

    def __init__(self, lost: Callable[[Connection], None]) -> None:
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._broken: str | None = None
        self._not_http = False
        self._complete = True
        self._ends_with_socket = False
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._paused = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self.idle_since = 0.0

    @property
    def reusable(self) -> bool:
        """True if a request can be sent now: the last answer is complete and the socket is open."""
        transport = self._transport
        return self._complete and self._broken is None and transport is not None and not transport.is_closing()

    def send(self, message: bytes) -> None:
        """Sends a whole request; the connection must be `reusable`."""
        assert self.reusable
        assert self._transport is not None
        self._resume_reading()
        self._complete = self._ends_with_socket = False
        self._pieces.clear()
        self.status = self._head_bytes = self._waiting_bytes = 0
        self._transport.write(message)

    async def head(self) -> None:
        """Waits until `status` and `headers` (lower-case names) have arrived.

        Raises `ProviderError`: connection if the socket went before them, bad response for what is not HTTP.
        """
        while not self.status:
            if self._broken is not None:
                raise self._no_answer()
            await self._next_event()

    async def piece(self) -> bytes:
        """Waits for body bytes and returns all that have arrived; empty at the end of the body.

        Raises `ProviderError` (bad response) if the connection broke before that end.
        """
        while not self._pieces:
            if self._complete:
                return b""
            if self._broken is not None:
                raise ProviderError(ErrorKind.BAD_RESPONSE, f"answer cut short: {self._broken}")
            await self._next_event()
        piece = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._waiting_bytes = 0
        self._resume_reading()
        return piece

    def abort(self) -> None:
        """Closes the socket at once, also in the middle of an answer."""
        if self._transport is not None:
            self._transport.abort()

    # --- callbacks of the event loop (asyncio.Protocol) ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports do not inherit from it

    def data_received(self, data: bytes) -> None:
        parser = self._parser
        if parser is None or self._broken is not None:
            return
        if not self.status:
            self._head_bytes += len(data)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._give_up("it cannot be parsed")
        if not self.status and self._head_bytes > _MAX_HEAD_BYTES:
            self._give_up(_LONG_HEAD)

    def connection_lost(self, error: Exception | None) -> None:
        if error is None and self.status and self._ends_with_socket:
            self._complete = True
        elif self._broken is None:
            self._broken = "connection closed" if error is None else reason(error)
        self._parser = self._transport = None  # the parser and this object form a reference cycle
        self._wake()
        self._lost(self)

    # --- callbacks of the parser (httptools) --------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._complete:
            self._refuse("it was sent although no request was pending")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status:  # trailers after the last chunk are ignored
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if sum(len(name) + len(value) + 4 for name, value in self._headers) > _MAX_HEAD_BYTES:
            self._refuse(_LONG_HEAD)
        if status == 101 or status < 100:
            self._refuse("it switches protocols")
        if status >= 200:
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._headers}
            framed = "content-length" in headers or "transfer-encoding" in headers or status in _NO_BODY
            self._ends_with_socket = not framed
            self.status, self.headers = status, headers
            self._wake()
        self._headers = []

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)
        self._waiting_bytes += len(body)
        if self._waiting_bytes > _MAX_WAITING_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        assert self._parser is not None
        if self.status and self._broken is None:  # without a status it was interim (1xx), and the answer follows
            self._complete = True
            if not self._parser.should_keep_alive() and self._transport is not None:
                self._transport.close()
            self._wake()

    # ------------------------------------------------------------------------------------------------------------------

    def _resume_reading(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def _refuse(self, why: str) -> NoReturn:
        self._give_up(why)
        raise _ParserStopped

    def _give_up(self, why: str) -> None:
        if self._broken is None:
            self._broken, self._not_http = why, True
            self._wake()
            self.abort()

    def _no_answer(self) -> ProviderError:
        if self._not_http:
            return ProviderError(ErrorKind.BAD_RESPONSE, f"not an HTTP answer: {self._broken}")
        return ProviderError(ErrorKind.CONNECTION, f"connection lost before an answer: {self._broken}")

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _next_event(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
