"""Recovery of counters that Redis has lost (a restart, FLUSHALL, an eviction): a missing counter never means zero.

A lost counter is seeded with the larger of two accounts: what this replica remembers, and what the vote log says was
sent.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from router.core.clock import Clock
from router.guards.limits.counters import MICRO, Counter, counted
from router.guards.limits.local_counters import LocalCounter
from router.guards.limits.redis_counters import RedisCounters, ServerTime
from router.guards.limits.windows import RollingWindow
from router.stores.errors import StoreError
from router.votelog.queries import SpentInPeriod

WAIT_S = 0.25  # a request waits no longer for a counter; the counter's recovery goes on
_AGAIN_AFTER_S = 1.0  # so that a vote log that cannot be asked is not asked by every request

_LATE_S = 0.005  # replies from before the loss may still be on their way, and tell about calls that the counter counted
_ROUNDS = 3  # while a counter that another replica has seeded is raised, calls go on and more becomes known

AskLog = Callable[[str, str | None, datetime, timedelta], Awaitable[Iterable[SpentInPeriod]]]
"""What was sent to a provider (and model, or any) since a moment, by buckets of a width; raises `StoreError`."""


@dataclass(frozen=True, slots=True)
class _Recovery:
    """One counter being recovered; `began` is monotonic."""

    task: asyncio.Task[bool]
    began: float


class CounterRecovery:
    """Recovers counters, each at most once at a time, in a task that all requests waiting for it share.

    A request that is cancelled while it waits leaves the task to the others.
    """

    def __init__(self, redis: RedisCounters, ask_log: AskLog, time: ServerTime, clock: Clock) -> None:
        self._redis = redis
        self._ask_log = ask_log
        self._time = time
        self._clock = clock
        self._recoveries: dict[str, _Recovery] = {}

    async def recover(self, counters: Iterable[LocalCounter]) -> bool:
        """Recovers counters; False if one of them cannot be recovered, or not within `WAIT_S` of its beginning.

        Even then the local counters know what the vote log says, if that could be asked.
        """
        recoveries = [self._recovery(local) for local in counters]
        if not recoveries:
            return True
        tasks, now = [recovery.task for recovery in recoveries], self._clock.monotonic()
        oldest = min((recovery.began for recovery in recoveries if not recovery.task.done()), default=now)
        await asyncio.wait(tasks, timeout=max(0.0, WAIT_S - (now - oldest)))
        return all(_has_succeeded(task) for task in tasks)

    def recover_beside(self, local: LocalCounter) -> None:
        """Tells a counter that another replica has recovered what this one knows, without making a request wait."""
        self._recovery(local)

    async def close(self) -> None:
        """Cancels what is under way."""
        tasks = [recovery.task for recovery in self._recoveries.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._recoveries.clear()

    def _recovery(self, local: LocalCounter) -> _Recovery:
        now, known = self._clock.monotonic(), self._recoveries.get(local.counter.key)
        if known is not None:
            ended = known.task.done()
            if not ended or (not _has_succeeded(known.task) and now < known.began + _AGAIN_AFTER_S):
                return known
        task = asyncio.create_task(self._recover(local), name=f"recover {local.counter.key}")
        self._recoveries[local.counter.key] = recovery = _Recovery(task, now)
        return recovery

    async def _recover(self, local: LocalCounter) -> bool:
        try:
            local.logged(await self._logged(local.counter), self._clock.monotonic())
            await asyncio.sleep(_LATE_S)
            for _ in range(_ROUNDS):
                raised = await self._raised(local)
                if raised is not None:
                    return raised
        except StoreError:
            return False
        return True

    async def _raised(self, local: LocalCounter) -> bool | None:
        """Raises the counter in Redis to what is known, if it can; None if more has become known meanwhile."""
        span, journal = local.counter.window.span(self._time.now_ms()), dict(local.journal)
        known = local.known_by_bucket(span)
        reply = await self._redis.seed(local.counter, secrets.token_hex(8), known)
        if reply.status != "ok":  # a period has ended meanwhile: the next call uses the new one
            return False
        grown = sum(local.known_by_bucket(span).values()) > sum(known.values())
        local.told(journal)
        local.epoch = reply.views[0].epoch
        local.hear(reply.views[0], reply.at_us, self._clock.monotonic(), journal)
        return None if grown else True

    async def _logged(self, counter: Counter) -> dict[int, int]:
        """What the vote log knows about the counter's window, by its buckets."""
        now_ms, window = self._time.now_ms(), counter.window
        since_ms = window.since_ms(now_ms)
        width_ms = window.width_ms if isinstance(window, RollingWindow) else window.ends_ms(now_ms) - since_ms
        since = datetime.fromtimestamp(since_ms / 1000, UTC)
        amounts: dict[int, int] = {}
        for row in await self._ask_log(counter.provider, counter.model, since, timedelta(milliseconds=width_ms)):
            bucket = window.span(round(row.begins.timestamp() * 1000)).bucket
            usd_micros = math.ceil(row.usd * MICRO)
            amount = counted(counter, requests=row.requests, tokens=row.tokens, usd_micros=usd_micros)
            amounts[bucket] = amounts.get(bucket, 0) + amount
        return amounts


def _has_succeeded(task: asyncio.Task[bool]) -> bool:
    """A recovery that was cancelled has failed; it must not cancel the requests that have waited for it."""
    return task.done() and not task.cancelled() and task.result()
