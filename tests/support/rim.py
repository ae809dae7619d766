"""Helpers for tests of the daemon's HTTP edge: seats with tight time-outs, callers on bare sockets, bounded waits."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from router.observe import log
from tests.support.daemon import registry_for
from tests.support.scripted import Scripted

Providers = Callable[[int], Awaitable[list[Scripted]]]
Caller = tuple[asyncio.StreamReader, asyncio.StreamWriter]

LIMIT_S = 20.0
"""The longest wait for something that must happen; it only ends tests that would hang."""


def log_text() -> io.StringIO:
    """Redirects the daemon's log into a stream of text, from now on."""
    stream = io.StringIO()
    log.configure("info", "json", stream)
    return stream


def seats(providers: list[Scripted], **timeouts: str) -> str:
    """A registry whose seats are asked in rank order: no retries, and breakers that never open."""
    limits = ", ".join(f"{name}: {value}" for name, value in timeouts.items())
    rules = f"    retries: 0\n    breaker: {{failures: 1000, min_calls: 1000}}\n    timeouts: {{{limits}}}\n"
    return registry_for(providers).replace("    models:\n", rules + "    models:\n")


async def until(true: Callable[[], bool], limit_s: float = LIMIT_S) -> None:
    """Waits for a condition; raises `TimeoutError` when it does not come true in time."""
    async with asyncio.timeout(limit_s):
        while not true():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def caller(url: str, *, receive_buffer: int | None = None) -> AsyncIterator[Caller]:
    """A caller on a bare socket; with a small receive buffer it reads no further than the test does."""
    where = urlsplit(url)
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (where.hostname, where.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=receive_buffer or 2**16)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def http(
    body: bytes = b"",
    *,
    line: str = "POST /v1/chat/completions HTTP/1.1",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """A request as bytes; `Host`, `Content-Type` and the length of a body are there unless `headers` has them."""
    given = {"Host": "quorum", "Content-Type": "application/json", **(headers or {})}
    if body and "Transfer-Encoding" not in given:
        given.setdefault("Content-Length", str(len(body)))
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"{line}\r\n{head}\r\n".encode() + body


def chat_body(**fields: Any) -> bytes:
    """The JSON of a small chat request."""
    document = {"model": "ranked-fallback", "messages": [{"role": "user", "content": "hello"}], **fields}
    return json.dumps(document).encode()


async def answer(reader: asyncio.StreamReader, limit_s: float = LIMIT_S) -> tuple[int, Any]:
    """The status and JSON body of the next response on a connection."""
    async with asyncio.timeout(limit_s):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        return int(head.split()[1]), json.loads(await reader.readexactly(length))


async def closed(reader: asyncio.StreamReader, limit_s: float = LIMIT_S) -> bytes:
    """The bytes received until the other side closes the connection."""
    async with asyncio.timeout(limit_s):
        try:
            return await reader.read()
        except ConnectionError:
            return b""
