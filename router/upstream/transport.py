"""The HTTP transport towards providers: one method sends a request; every failure is a `ProviderError`.

Callers see only the protocols `Transport` and `Response`, so the client beneath them can be replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Mapping
from typing import Protocol

from yarl import URL

from adapters.errors import ErrorKind, ProviderError
from adapters.types import HttpRequest
from router.upstream.connection import Connection
from router.upstream.dial import Dialer, Origin
from router.upstream.failures import NotSent, not_connected
from router.upstream.inflating import Inflater, inflater
from router.upstream.pool import Pool

__all__ = ["MAX_ANSWER_BYTES", "HttpTransport", "NotSent", "Response", "Transport"]

MAX_ANSWER_BYTES = 16 * 1024 * 1024  # decoded; the longest real answers are a few hundred KB
_END_GRACE_S = 0.05  # for the bytes after a stream's last event, which end its body; without them the socket closes
_OUR_HEADERS = "User-Agent: quorum\r\nAccept-Encoding: identity\r\n"


class Response(Protocol):
    """A provider's response. Status and headers (lower-case names) are there; the body can be read once.

    `connect_ms` is None on a reused connection.
    """

    status: int
    headers: Mapping[str, str]
    connect_ms: float | None

    async def piece(self) -> bytes:
        """The body bytes that have arrived since the last call, decompressed; empty at the end of the body.

        Raises `ProviderError` when the body is cut, not decodable or larger than `MAX_ANSWER_BYTES`.
        """

    async def read(self) -> bytes:
        """The whole rest of the body; raises what `piece` raises."""

    async def finish(self) -> None:
        """Returns the connection to its pool if the body has ended or ends within a moment, else closes it."""

    def close(self) -> None:
        """Returns the connection if the body was read to its end, else closes it: the provider sees the abort now."""


class Transport(Protocol):
    """Sends requests to providers; the seam at which tests put providers of their own."""

    async def send(self, request: HttpRequest, *, provider: str, connect_s: float) -> Response:
        """The response, as soon as its headers have arrived.

        Raises `NotSent` when no connection was made within `connect_s` seconds, `ProviderError` for a failure after it.
        """


class HttpTransport:
    """`Transport` over HTTP/1.1. Each provider and origin has its own pool: no socket carries two providers' keys."""

    def __init__(self) -> None:
        self._dialer = Dialer()
        self._pools: dict[tuple[str, Origin], Pool] = {}

    async def send(self, request: HttpRequest, *, provider: str, connect_s: float) -> Response:
        """Sends a request and waits for the response's headers; the caller bounds that wait with its own timeout."""
        origin, lines = _origin_and_lines(request.url)
        message = _message(request, lines)
        pool = self._pools.get((provider, origin))
        if pool is None:
            pool = self._pools[provider, origin] = Pool(origin, self._dialer)
        connection, connect_ms = await pool.take(connect_s)
        try:
            connection.send(message)
            await connection.head()
            return _HttpResponse(connection, pool, connect_ms)
        except BaseException:
            connection.abort()
            raise

    async def close(self) -> None:
        """Closes every connection of every pool."""
        pools, self._pools = self._pools, {}
        await asyncio.gather(*(pool.close() for pool in pools.values()))


class _HttpResponse:
    __slots__ = ("_connection", "_encoding", "_inflater", "_pool", "_size", "connect_ms", "headers", "status")

    def __init__(self, connection: Connection, pool: Pool, connect_ms: float | None) -> None:
        self._connection: Connection | None = connection
        self._pool = pool
        self._size = 0
        self._inflater: Inflater | None = None
        self._encoding = connection.headers.get("content-encoding")  # None once an inflater for it was chosen
        self.status = connection.status
        self.headers: Mapping[str, str] = connection.headers
        self.connect_ms = connect_ms

    async def piece(self) -> bytes:
        if self._connection is None:
            return b""
        if self._encoding is not None:
            self._inflater, self._encoding = inflater(self._encoding), None
        piece = await self._connection.piece() if self._inflater is None else await self._inflated(self._inflater)
        self._size += len(piece)
        if self._size > MAX_ANSWER_BYTES:
            raise ProviderError(ErrorKind.BAD_RESPONSE, f"answer larger than {MAX_ANSWER_BYTES} bytes")
        return piece

    async def read(self) -> bytes:
        pieces = []
        while piece := await self.piece():
            pieces.append(piece)
        return b"".join(pieces)

    async def finish(self) -> None:
        with contextlib.suppress(TimeoutError, ProviderError):
            async with asyncio.timeout(_END_GRACE_S):
                await self.read()
        self.close()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.give_back(connection)

    async def _inflated(self, inflater: Inflater) -> bytes:
        assert self._connection is not None
        while not (piece := inflater.more()):
            arrived = await self._connection.piece()
            if not arrived:
                inflater.end()
                break
            inflater.feed(arrived)
        return piece


@functools.lru_cache(maxsize=1024)
def _origin_and_lines(address: str) -> tuple[Origin, str]:
    """A URL's origin, and what follows the method in every request to it: the request line and our own headers."""
    try:
        url = URL(address)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.raw_host or not url.port:
        raise not_connected("the provider's base_url is not an http or https URL")
    lines = f" {url.raw_path_qs} HTTP/1.1\r\nHost: {url.host_port_subcomponent}\r\n{_OUR_HEADERS}"
    return Origin(url.raw_host, url.port, tls=url.scheme == "https"), lines


def _message(request: HttpRequest, lines: str) -> bytes:
    head = [request.method, lines]
    for name, value in request.headers.items():
        if not value.isprintable():  # a line break, perhaps pasted with a key, would begin another header
            raise not_connected(f"the value of the header {name} has a character that HTTP headers cannot carry")
        head.append(f"{name}: {value}\r\n")
    if request.body or request.method != "GET":
        head.append(f"Content-Length: {len(request.body)}\r\n")
    head.append("\r\n")
    return "".join(head).encode() + request.body
