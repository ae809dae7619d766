"""The queue: requests wait in order, for a bounded time, when no seat can be asked this moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

MAX_WAITING = 256
QUEUE_S = 2.0
"""How long a request waits for a seat at most, within its own deadline."""


@dataclass(slots=True)
class _Line:
    """Requests that wait for the same seats. Only the first one looks, so that a seat that gets free is asked once."""

    first: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


class Queue:
    """One line per set of seats; `max_waiting` bounds all lines together."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._max_waiting = max_waiting
        self._lines: dict[Hashable, _Line] = {}
        self._waiting = 0
        self._sleepers: set[asyncio.Future[None]] = set()

    @property
    def full(self) -> bool:
        """Whether as many requests wait as may."""
        return self._waiting >= self._max_waiting

    @asynccontextmanager
    async def front(self, line_of: Hashable, timeout_s: float) -> AsyncIterator[bool]:
        """Waits until all earlier requests for the same seats have ended their wait; yields False after `timeout_s`."""
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
        """Sleeps until `nudge`, or for so long."""
        sleeper = asyncio.get_running_loop().create_future()
        self._sleepers.add(sleeper)
        try:
            await asyncio.wait([sleeper], timeout=timeout_s)
        finally:
            self._sleepers.discard(sleeper)

    def nudge(self) -> None:
        """A seat may be free: the first request of each line looks again."""
        for sleeper in self._sleepers:
            if not sleeper.done():
                sleeper.set_result(None)
