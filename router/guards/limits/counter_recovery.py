"""Counters that Redis has lost come back to life with all that is known of them: a missing counter never means zero.

Known is what this replica remembers, and what the vote log says was sent.
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
from router.guards.limits.local_counters import Mark
from router.guards.limits.redis_counters import Counting, ServerTime
from router.guards.limits.windows import Rolling
from router.stores.errors import StoreError
from router.votelog.queries import SpentInPeriod

WAIT_S = 0.25  # a request waits no longer for a counter; its seeding goes on
_AGAIN_AFTER_S = 1.0  # a log that could not be asked is not asked by every request

_LATE_S = 0.005  # answers from before the counter was lost may still be on their way, and tell of calls it counted
_ROUNDS = 3  # where the counter lives already, and is told of what this replica knows, calls go on meanwhile

AskLog = Callable[[str, str | None, datetime, timedelta], Awaitable[Iterable[SpentInPeriod]]]
"""What was sent to a provider (and model, or any) since a moment, by buckets of a width; raises `StoreError`."""


@dataclass(frozen=True, slots=True)
class _Seeding:
    """One counter on its way back; `began` is monotonic."""

    task: asyncio.Task[bool]
    began: float


class Seeder:
    """Seeds counters, each at most once at a time, for however many requests wait for it."""

    def __init__(self, counting: Counting, ask_log: AskLog, time: ServerTime, clock: Clock) -> None:
        self._counting = counting
        self._ask_log = ask_log
        self._time = time
        self._clock = clock
        self._seedings: dict[str, _Seeding] = {}

    async def seed(self, marks: Iterable[Mark]) -> bool:
        """Brings counters back to life; False while one of them could not be, or would take too long.

        Even then the marks know what the vote log says, if that could be asked.
        """
        seedings = [self._seeding(mark) for mark in marks]
        if not seedings:
            return True
        tasks, now = [seeding.task for seeding in seedings], self._clock.monotonic()
        oldest = min((seeding.began for seeding in seedings if not seeding.task.done()), default=now)
        await asyncio.wait(tasks, timeout=max(0.0, WAIT_S - (now - oldest)))
        return all(task.done() and task.result() for task in tasks)

    def renew(self, mark: Mark) -> None:
        """Another replica brought the counter back to life: it is told, beside the requests, what this one knows."""
        self._seeding(mark)

    async def close(self) -> None:
        """Ends what is under way."""
        tasks = [seeding.task for seeding in self._seedings.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._seedings.clear()

    def _seeding(self, mark: Mark) -> _Seeding:
        now, known = self._clock.monotonic(), self._seedings.get(mark.counter.key)
        if known is not None:
            ended = known.task.done()
            if not ended or (not known.task.result() and now < known.began + _AGAIN_AFTER_S):
                return known
        task = asyncio.create_task(self._seed(mark), name=f"seed {mark.counter.key}")
        self._seedings[mark.counter.key] = seeding = _Seeding(task, now)
        return seeding

    async def _seed(self, mark: Mark) -> bool:
        try:
            mark.logged(await self._logged(mark.counter), self._clock.monotonic())
            await asyncio.sleep(_LATE_S)
            for _ in range(_ROUNDS):
                raised = await self._raised(mark)
                if raised is not None:
                    return raised
        except StoreError:
            return False
        return True

    async def _raised(self, mark: Mark) -> bool | None:
        """Tells Redis what is known, if it can be told; None if more has become known meanwhile."""
        span, journal = mark.counter.window.span(self._time.now_ms()), dict(mark.journal)
        known = mark.known_by_bucket(span)
        reply = await self._counting.seed(mark.counter, secrets.token_hex(8), known)
        if reply.word != "ok":  # a period has ended meanwhile: the next call sees the new one
            return False
        grown = sum(mark.known_by_bucket(span).values()) > sum(known.values())
        mark.told(journal)
        mark.epoch = reply.views[0].epoch
        mark.hear(reply.views[0], reply.at_us, self._clock.monotonic(), journal)
        return None if grown else True

    async def _logged(self, counter: Counter) -> dict[int, int]:
        """What the vote log knows of the counter's window, by its buckets."""
        now_ms, window = self._time.now_ms(), counter.window
        since_ms = window.since_ms(now_ms)
        width_ms = window.width_ms if isinstance(window, Rolling) else window.ends_ms(now_ms) - since_ms
        since = datetime.fromtimestamp(since_ms / 1000, UTC)
        amounts: dict[int, int] = {}
        for row in await self._ask_log(counter.provider, counter.model, since, timedelta(milliseconds=width_ms)):
            bucket = window.span(round(row.begins.timestamp() * 1000)).bucket
            usd_micros = math.ceil(row.usd * MICRO)
            amount = counted(counter, requests=row.requests, tokens=row.tokens, usd_micros=usd_micros)
            amounts[bucket] = amounts.get(bucket, 0) + amount
        return amounts
