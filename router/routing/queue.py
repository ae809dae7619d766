"""The queue: requests wait in order and for a bounded time while no seat can be asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

MAX_WAITING = 256
QUEUE_S = 2.0
"""Longest wait of a request for a seat, in seconds and within its deadline; beyond it the caller gets `Retry-After`."""


@dataclass(slots=True)
class _Line:
    """Requests that wait for the same seats; only the first one tries, so that a freed seat is not asked by all."""

    first: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


class Queue:
    """One line per set of seats, so that a busy set holds up no other; `max_waiting` bounds all lines together."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._max_waiting = max_waiting
        self._lines: dict[Hashable, _Line] = {}
        self._waiting = 0
        self._sleepers: set[asyncio.Future[None]] = set()

    @property
    def full(self) -> bool:
        """Whether the queue takes no further request."""
        return self._waiting >= self._max_waiting

    @asynccontextmanager
    async def front(self, line_of: Hashable, timeout_s: float) -> AsyncIterator[bool]:
        """Waits for the front of a line; yields True there, False after `timeout_s` seconds."""
        line = self._lines.setdefault(line_of, _Line())
        line.waiting += 1
        self._waiting += 1
        try:
            try:
                async with asyncio.timeout(timeout_s):
                    await line.first.acquire()
            except TimeoutError:
                yield False
                return
            try:
                yield True
            finally:
                line.first.release()
        finally:
            self._waiting -= 1
            line.waiting -= 1
            if not line.waiting:
                self._lines.pop(line_of, None)

    async def sleep(self, timeout_s: float) -> None:
        """Sleeps until `nudge`, at most `timeout_s` seconds."""
        sleeper = asyncio.get_running_loop().create_future()
        self._sleepers.add(sleeper)
        try:
            await asyncio.wait([sleeper], timeout=timeout_s)
        finally:
            self._sleepers.discard(sleeper)

    def nudge(self) -> None:
        """Wakes the first request of each line, since a seat may be free."""
        for sleeper in self._sleepers:
            if not sleeper.done():
                sleeper.set_result(None)
