"""The only place that opens sockets to providers: one method out, bytes back, every failure a `ProviderError`.

What is under `send` can be replaced when measurements say so; nothing above it knows what speaks HTTP there.
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
_END_GRACE_S = 0.05  # how long the last bytes of a finished stream may take before its socket is given up
_OURS = "User-Agent: quorum\r\nAccept-Encoding: identity\r\n"


class Response(Protocol):
    """A provider's response: status and headers (lower case) now, the body once, whole or in pieces."""

    status: int
    headers: Mapping[str, str]
    connect_ms: float | None

    async def piece(self) -> bytes:
        """What has come since the last piece, decoded; empty at the end.

        Raises `ProviderError` when the body is cut, garbled or larger than the bound.
        """

    async def read(self) -> bytes:
        """The whole body, as `piece` would give it."""

    async def finish(self) -> None:
        """Gives the socket back for reuse if the body has ended or ends at once, else closes it."""

    def close(self) -> None:
        """Closes the socket unless it was given back: the provider sees the abort now."""


class Transport(Protocol):
    """One method: send a request, get a response as soon as its headers are there."""

    async def send(self, request: HttpRequest, *, provider: str, connect_s: float) -> Response:
        """Raises `NotSent` when no connection was made within `connect_s`, else `ProviderError`."""


class HttpTransport:
    """`Transport` over HTTP/1.1; each provider has a pool of its own, so that keys and sockets never cross."""

    def __init__(self) -> None:
        self._dialer = Dialer()
        self._pools: dict[tuple[str, Origin], Pool] = {}

    async def send(self, request: HttpRequest, *, provider: str, connect_s: float) -> Response:
        """Sends and waits for the response's headers; the caller's own timer bounds that wait."""
        origin, target = _where(request.url)
        message = _message(request, target)
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
        """Closes every socket."""
        pools, self._pools = self._pools, {}
        await asyncio.gather(*(pool.close() for pool in pools.values()))


class _HttpResponse:
    __slots__ = ("_connection", "_encoding", "_inflater", "_pool", "_size", "connect_ms", "headers", "status")

    def __init__(self, connection: Connection, pool: Pool, connect_ms: float | None) -> None:
        self._connection: Connection | None = connection
        self._pool = pool
        self._size = 0
        self._inflater: Inflater | None = None
        self._encoding = connection.headers.get("content-encoding")  # until it is known what reads it
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
def _where(address: str) -> tuple[Origin, str]:
    """Where requests to this URL go, and how their first lines continue."""
    try:
        url = URL(address)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.raw_host or not url.port:
        raise not_connected("the provider's base URL is not a URL")
    lines = f" {url.raw_path_qs} HTTP/1.1\r\nHost: {url.host_port_subcomponent}\r\n{_OURS}"
    return Origin(url.raw_host, url.port, tls=url.scheme == "https"), lines


def _message(request: HttpRequest, lines: str) -> bytes:
    head = [request.method, lines]
    for name, value in request.headers.items():
        if not value.isprintable():  # a line break, as of a key that was pasted with one, would begin another header
            raise not_connected(f"the value of the header {name} has a character that no header may have")
        head.append(f"{name}: {value}\r\n")
    if request.body or request.method != "GET":
        head.append(f"Content-Length: {len(request.body)}\r\n")
    head.append("\r\n")
    return "".join(head).encode() + request.body
