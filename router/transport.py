"""The only place that opens sockets to providers: one method out, bytes back, every failure a `ProviderError`.

What is under `send` can be replaced when measurements say so; nothing above it knows which HTTP client is used.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncGenerator, Mapping
from types import SimpleNamespace
from typing import Any, Protocol

import aiohttp

from adapters.errors import ErrorKind, ProviderError
from adapters.types import HttpRequest

MAX_ANSWER_BYTES = 16 * 1024 * 1024  # decoded; the longest real answers are a few hundred KB
_READ_BUFFER_BYTES = 64 * 1024  # per stream: two of these bound what a slow caller makes us hold
_KEEPALIVE_S = 60.0
_END_GRACE_S = 0.05  # how long the last bytes of a finished stream may take before its socket is given up
_ENCODINGS = frozenset({"", "identity", "gzip", "deflate"})


class NotSent(ProviderError):
    """The connection could not be made: the provider saw nothing of the request."""


class Response(Protocol):
    """A provider's response: status and headers (lower case) now, the body once, whole or in pieces."""

    status: int
    headers: Mapping[str, str]
    connect_ms: float | None

    async def read(self) -> bytes:
        """The whole body, decoded; raises `ProviderError` when it is cut, garbled or larger than the bound."""

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives, under the same bound."""

    async def finish(self) -> None:
        """Gives the socket back for reuse if the body has ended or ends at once, else closes it."""

    def close(self) -> None:
        """Closes the socket unless it was given back: the provider sees the abort now."""


class Transport(Protocol):
    """One method: send a request, get a response as soon as its headers are there."""

    async def send(self, request: HttpRequest, *, provider: str, connect_s: float) -> Response:
        """Raises `NotSent` when no connection was made within `connect_s`, else `ProviderError`."""


class AiohttpTransport:
    """`Transport` on aiohttp's client; each provider has a pool of its own, so that keys and sockets never cross."""

    def __init__(self) -> None:
        self._pools: dict[str, aiohttp.ClientSession] = {}

    async def send(self, request: HttpRequest, *, provider: str, connect_s: float) -> Response:
        """Sends and waits for the response's headers; the caller's own timer bounds that wait."""
        pool = self._pools.get(provider) or self._open(provider)
        timing = SimpleNamespace(began=None, connect_ms=None)
        try:
            response = await pool.request(
                request.method,
                request.url,
                data=request.body,
                headers=request.headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, connect=connect_s),
                trace_request_ctx=timing,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(ErrorKind.CONNECTION, f"could not connect: {_reason(error)}") from None
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            raise NotSent(ErrorKind.CONNECTION, "could not connect: the provider's base URL is not a URL") from None
        except (aiohttp.ClientConnectionError, OSError) as error:
            raise ProviderError(ErrorKind.CONNECTION, f"connection lost before an answer: {_reason(error)}") from None
        except aiohttp.ClientError as error:
            raise ProviderError(ErrorKind.BAD_RESPONSE, f"not an HTTP answer: {_reason(error)}") from None
        return _AiohttpResponse(response, timing.connect_ms)

    async def close(self) -> None:
        """Closes every socket."""
        pools, self._pools = self._pools, {}
        await asyncio.gather(*(pool.close() for pool in pools.values()))

    def _open(self, provider: str) -> aiohttp.ClientSession:
        pool = aiohttp.ClientSession(
            # The number of sockets is bounded by the number of requests the daemon admits.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            read_bufsize=_READ_BUFFER_BYTES,
            skip_auto_headers=("User-Agent", "Accept"),
            headers={"User-Agent": "quorum", "Accept-Encoding": "identity"},
            trace_configs=[_connect_timer()],
        )
        self._pools[provider] = pool
        return pool


class _AiohttpResponse:
    def __init__(self, response: aiohttp.ClientResponse, connect_ms: float | None) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}
        self.connect_ms = connect_ms

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self.pieces()])

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        encoding = self.headers.get("content-encoding", "").lower()
        if encoding not in _ENCODINGS:
            raise ProviderError(ErrorKind.BAD_RESPONSE, f"answered in the unasked content encoding {encoding[:20]!r}")
        size = 0
        try:
            # aiohttp inflates compressed bodies a bounded piece at a time, so a bomb meets the bound, not the memory.
            async for piece in self._response.content.iter_any():
                size += len(piece)
                if size > MAX_ANSWER_BYTES:
                    raise ProviderError(ErrorKind.BAD_RESPONSE, f"answer larger than {MAX_ANSWER_BYTES} bytes")
                yield piece
        except (aiohttp.ClientError, OSError) as error:
            raise ProviderError(ErrorKind.BAD_RESPONSE, f"answer cut short: {_reason(error)}") from None

    async def finish(self) -> None:
        with contextlib.suppress(TimeoutError, ProviderError):
            async with asyncio.timeout(_END_GRACE_S):
                async for _ in self.pieces():
                    pass
        self.close()

    def close(self) -> None:
        self._response.close()


def _connect_timer() -> aiohttp.TraceConfig:
    loop = asyncio.get_running_loop()
    config = aiohttp.TraceConfig()

    async def began(_: aiohttp.ClientSession, context: SimpleNamespace, __: Any) -> None:
        context.trace_request_ctx.began = loop.time()

    async def made(_: aiohttp.ClientSession, context: SimpleNamespace, __: Any) -> None:
        timing = context.trace_request_ctx
        timing.connect_ms = (loop.time() - timing.began) * 1000

    config.on_connection_create_start.append(began)
    config.on_connection_create_end.append(made)
    return config


def _reason(error: BaseException) -> str:
    """A short cause without URL, address, header or body: those may carry what must not be logged."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    match cause:
        case TimeoutError():
            return "timed out"
        case ssl.SSLError() | socket.gaierror() if cause.strerror:
            return cause.strerror
        case OSError() if cause.errno:
            return os.strerror(cause.errno)  # the error's own text may have the address in it
        case _:
            return type(cause).__name__
