"""Keep-alive connections of one provider to one origin: reused while fresh, closed after a minute idle."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from router.upstream.connection import Connection
from router.upstream.dial import Dialer, Origin

_KEEP_IDLE_S = 60.0  # shorter than most servers keep theirs, so that a reused connection is rarely a dead one
_CLOSING_S = 1.0


class Pool:
    """A pool without a bound of its own: each request uses one connection, and the daemon bounds its requests.

    Idle connections are reused last in, first out: the warmest one is taken, and the surplus ages and is closed.
    """

    def __init__(self, origin: Origin, dialer: Dialer) -> None:
        self._origin = origin
        self._dialer = dialer
        self._loop = asyncio.get_running_loop()
        self._open: set[Connection] = set()
        self._idle: deque[Connection] = deque()  # most recently used at the right
        self._sweep: asyncio.TimerHandle | None = None
        self._emptied = asyncio.Event()

    async def take(self, within_s: float) -> tuple[Connection, float | None]:
        """A connection and, if it is new, the milliseconds it took to open; raises `NotSent` after `within_s`."""
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable:
                return connection, None
        began = self._loop.time()
        connection = await self._dialer.dial(self._origin, self._lost, within_s)
        self._open.add(connection)
        self._emptied.clear()
        return connection, (self._loop.time() - began) * 1000

    def give_back(self, connection: Connection) -> None:
        """Keeps the connection for reuse if its answer is complete, else closes it at once."""
        if not connection.reusable or connection not in self._open:
            connection.abort()
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(_KEEP_IDLE_S, self._close_idle)

    async def close(self) -> None:
        """Closes all connections, those in use included, and waits up to a second for their sockets to go."""
        if self._sweep is not None:
            self._sweep.cancel()
        self._idle.clear()
        for connection in list(self._open):
            connection.abort()
        if self._open:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSING_S):
                    await self._emptied.wait()

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if not self._open:
            self._emptied.set()

    def _close_idle(self) -> None:
        self._sweep = None
        oldest_s = self._loop.time() - _KEEP_IDLE_S
        while self._idle and (self._idle[0].idle_since <= oldest_s or not self._idle[0].reusable):
            self._idle.popleft().abort()
        if self._idle:
            self._sweep = self._loop.call_at(self._idle[0].idle_since + _KEEP_IDLE_S, self._close_idle)
