"""What Redis is told beside the requests: how reservations ended, and what was given away without it."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from router.core.clock import Clock
from router.guards.limits.counter_recovery import Seeder
from router.guards.limits.local_counters import Mark
from router.guards.limits.redis_counters import Counting, Reply, View
from router.guards.limits.reservation import Settlement
from router.stores.errors import StoreDown

MAX_WAITING = 10_000
_BATCH = 64
_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class _Push:
    """A part of a journal on its way; it keeps its id until it has arrived, so that it arrives once."""

    id: str
    amounts: Mapping[int, int]


class Settler:
    """Brings settlements and journals to Redis, in order, for as long as there are any; it waits while Redis is away.

    `marks` are those of all counters. When there is no more room the newest settlement
    is dropped: what it reserved stays spent, which is the safe side.
    """

    def __init__(
        self,
        counting: Counting,
        seeder: Seeder,
        clock: Clock,
        *,
        marks: Iterable[Mark],
        on_fault: Callable[[str], None],
    ) -> None:
        self._counting = counting
        self._seeder = seeder
        self._clock = clock
        self._marks = marks
        self._on_fault = on_fault
        self._queue: deque[Settlement] = deque()
        self._pushes: dict[str, _Push] = {}
        self._task: asyncio.Task[None] | None = None
        self._full = False

    @property
    def behind(self) -> bool:
        """Whether Redis has not been told yet of something that was given away without it."""
        return any(mark.journal for mark in self._marks)

    def put(self, settlement: Settlement) -> None:
        """Puts a settlement on its way. Never waits."""
        if len(self._queue) < MAX_WAITING:
            self._queue.append(settlement)
        elif not self._full:
            self._full = True
            self._on_fault(f"{MAX_WAITING} settlements wait for Redis: what further calls reserved stays counted")
        self.wake()

    def wake(self) -> None:
        """There is something to do."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="limits-settler")

    async def close(self, timeout_s: float) -> None:
        """Does what can be done in time, then ends."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=timeout_s if self._counting.up else 0)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._queue or self.behind:
            if not self._counting.up or not await self._tell():
                await asyncio.sleep(_PAUSE_S)

    async def _tell(self) -> bool:
        """One round; False when not all of it could be told."""
        try:
            told = [await self._push(mark) for mark in self._marks if mark.journal]
            await self._settle()
        except StoreDown:
            return False
        return all(told)

    async def _push(self, mark: Mark) -> bool:
        key = mark.counter.key
        push = self._pushes.setdefault(key, _Push(secrets.token_hex(8), dict(mark.journal)))
        reply = await self._counting.push(mark.counter, push.id, push.amounts)
        del self._pushes[key]
        if reply.word != "ok":  # it lives no more: it is seeded with the journal in it
            return await self._seeder.seed([mark])
        mark.told(push.amounts)
        self._hear(mark, reply, reply.views[0], push.amounts)
        return True

    async def _settle(self) -> None:
        batch = [self._queue[place] for place in range(min(_BATCH, len(self._queue)))]
        if not batch:
            return
        replies = await self._counting.settle([(each.rid, [part.change for part in each.parts]) for each in batch])
        for settlement, reply in zip(batch, replies, strict=True):
            self._queue.popleft()
            for (mark, bucket, change), view in zip(settlement.parts, reply.views, strict=True):
                done = {} if bucket is None or reply.word != "ok" else {bucket: change.amount}
                self._hear(mark, reply, view, done)
        self._full = False

    def _hear(self, mark: Mark, reply: Reply, view: View, changes: Mapping[int, int]) -> None:
        if mark.hear(view, reply.at_us, self._clock.monotonic(), changes):
            self._seeder.renew(mark)
