"""What Redis is told beside the requests: how reservations ended, and what was admitted without it."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from router.core.clock import Clock
from router.guards.limits.counter_recovery import CounterRecovery
from router.guards.limits.local_counters import LocalCounter
from router.guards.limits.redis_counters import CounterReply, CounterView, RedisCounters
from router.guards.limits.reservation import Settlement
from router.stores.errors import StoreDown

MAX_WAITING = 10_000
_BATCH = 64
_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class _Push:
    """A part of a journal on its way to Redis; it keeps its id until it has arrived, so that it counts once."""

    id: str
    amounts: Mapping[int, int]


class SettlementQueue:
    """Brings settlements and journals to Redis, in order and beside the requests; waits while Redis is away.

    `counters` are all local counters. When the queue is full, a new settlement is dropped: what it reserved stays
    spent, which errs on the safe side.
    """

    def __init__(
        self,
        redis: RedisCounters,
        recovery: CounterRecovery,
        clock: Clock,
        *,
        counters: Iterable[LocalCounter],
        on_fault: Callable[[str], None],
    ) -> None:
        self._redis = redis
        self._recovery = recovery
        self._clock = clock
        self._counters = counters
        self._on_fault = on_fault
        self._queue: deque[Settlement] = deque()
        self._pushes: dict[str, _Push] = {}
        self._task: asyncio.Task[None] | None = None
        self._full = False

    @property
    def behind(self) -> bool:
        """Whether something was admitted without Redis that it has not been told yet."""
        return any(local.journal for local in self._counters)

    def put(self, settlement: Settlement) -> None:
        """Queues a settlement; never waits."""
        if len(self._queue) < MAX_WAITING:
            self._queue.append(settlement)
        elif not self._full:
            self._full = True
            self._on_fault(f"{MAX_WAITING} settlements wait for Redis: the reservations of further calls stay spent")
        self.wake()

    def wake(self) -> None:
        """Starts the work if there is none under way: something was queued or written to a journal."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="limits-settlements")

    async def close(self, timeout_s: float) -> None:
        """Does what can be done in time, then ends."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=timeout_s if self._redis.up else 0)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._queue or self.behind:
            if not self._redis.up or not await self._tell():
                await asyncio.sleep(_PAUSE_S)

    async def _tell(self) -> bool:
        """One round; False when something is still to be told."""
        try:
            told = [await self._push(local) for local in self._counters if local.journal]
            await self._settle()
        except StoreDown:
            return False
        return all(told)

    async def _push(self, local: LocalCounter) -> bool:
        key = local.counter.key
        push = self._pushes.setdefault(key, _Push(secrets.token_hex(8), dict(local.journal)))
        reply = await self._redis.push(local.counter, push.id, push.amounts)
        del self._pushes[key]
        if reply.status != "ok":  # the counter is lost: its recovery includes the journal
            return await self._recovery.recover([local])
        local.told(push.amounts)
        self._hear(local, reply, reply.views[0], push.amounts)
        return True

    async def _settle(self) -> None:
        batch = [self._queue[place] for place in range(min(_BATCH, len(self._queue)))]
        if not batch:
            return
        replies = await self._redis.settle([(each.rid, [part.change for part in each.parts]) for each in batch])
        for settlement, reply in zip(batch, replies, strict=True):
            self._queue.popleft()
            for (local, bucket, change), view in zip(settlement.parts, reply.views, strict=True):
                done = {} if bucket is None or reply.status != "ok" else {bucket: change.amount}
                self._hear(local, reply, view, done)
        self._full = False

    def _hear(self, local: LocalCounter, reply: CounterReply, view: CounterView, changes: Mapping[int, int]) -> None:
        if local.hear(view, reply.at_us, self._clock.monotonic(), changes):
            self._recovery.recover_beside(local)
