"""Load shedding: bounds the requests in flight, so that those admitted are answered as fast as ever.

Three things bound them: their number; the lag of the event loop, since a loop that is late has more to compute than
time for it, and everything waits, health checks included; and memory near its limit, which would end in a kill.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from router.core.clock import Clock
from router.core.events import SheddingChanged

MAX_INFLIGHT = 4_000
SAMPLE_S = 0.1
LATE_S = 0.1  # a request takes a few turns of the loop: when each is longer than this, no answer is quick
PATIENCE_S = 2.0  # of lag in consecutive samples, summed, before requests are rejected: a burst is served
RETRY_AFTER_S = range(1, 6)  # drawn at random, so that clients do not retry in step
CALM_S = 5.0  # without lag, or without a refusal, before an overload counts as over
_PATIENCE_SAMPLES = 3
_GOAL_S = 0.03  # under overload the lag is kept between half of this and this, so that health checks are quick
_LEAST_INFLIGHT = 8
_MEMORY_EVERY_S = 1.0
_MEMORY_HIGH, _MEMORY_FULL = 0.85, 0.95

Reason = Literal["full", "lag", "memory"]


@dataclass(frozen=True, slots=True)
class ConcurrencyLimit:
    """How many requests may be in flight, derived from the lag of the event loop; `limit` None: any number.

    It bounds concurrency, not the rate: each answer makes room for one request, so the loop is never left idle.
    `lags_s` are the last samples that still count, `late_at` (monotonic) is when the loop was last too late under a
    limit.
    """

    limit: int | None = None
    lags_s: tuple[float, ...] = ()
    late_at: float = 0.0

    def after(self, now_s: float, lag_s: float, inflight: int) -> ConcurrencyLimit:
        """The limit after one more sample: at the monotonic time `now_s` a timer fired `lag_s` late."""
        if self.limit is None:
            lags_s = (*self.lags_s, lag_s) if lag_s > LATE_S else ()
            if len(lags_s) < _PATIENCE_SAMPLES or sum(lags_s) < PATIENCE_S:
                return ConcurrencyLimit(lags_s=lags_s)
            return ConcurrencyLimit(_narrowed(inflight, lag_s), (lag_s,), now_s)
        steady_s = min(*self.lags_s, lag_s)  # one long turn, as of the garbage collector, is no load
        if steady_s > _GOAL_S:
            return ConcurrencyLimit(_narrowed(min(self.limit, inflight), steady_s), (lag_s,), now_s)
        if now_s - self.late_at >= CALM_S and inflight < self.limit:
            return ConcurrencyLimit()
        wider = self.limit * 11 // 10 + 1 if steady_s < _GOAL_S / 2 else self.limit
        return ConcurrencyLimit(min(wider, MAX_INFLIGHT), (lag_s,), self.late_at)


def _narrowed(inflight: int, lag_s: float) -> int:
    return max(_LEAST_INFLIGHT, int(inflight * max(0.25, _GOAL_S / lag_s)))


def memory_admits(share: float) -> float:
    """The share of new requests to admit when this share of the memory is used: all up to 85 %, none from 95 % on."""
    return min(1.0, max(0.0, (_MEMORY_FULL - share) / (_MEMORY_FULL - _MEMORY_HIGH)))


class Gate:
    """Admits requests while there is capacity: counts those in flight, and samples the load as long as `run` runs.

    `memory_share` reads which share of this process's memory is used, from 0 to 1; `publish` hears when
    rejecting begins and when it is over.
    """

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        *,
        memory_share: Callable[[], float],
        publish: Callable[[SheddingChanged], None],
        max_inflight: int = MAX_INFLIGHT,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._read_memory = memory_share
        self._publish = publish
        self._max_inflight = max_inflight
        self._sleep = sleep
        self._inside = 0
        self._loop_limit = ConcurrencyLimit()
        self._lag_s = 0.0
        self._memory_share = 0.0
        self._memory_at = float("-inf")
        self._reason: Reason | None = None
        self._refused = 0
        self._began_at = self._refused_at = 0.0

    @property
    def shedding(self) -> bool:
        """Whether requests have been rejected within the last seconds."""
        return self._reason is not None

    def state(self) -> Mapping[str, Any]:
        """The load as `/healthz` shows it."""
        return {
            "shedding": self.shedding,
            "inflight": self._inside,
            "max_inflight": self._limit(),
            "lag_ms": round(self._lag_s * 1000, 1),
            "memory_share": round(self._memory_share, 3),
        }

    def enter(self) -> bool:
        """Takes a place for a request, to be given back by `leave`; False if it is to be rejected."""
        reason = self._reason_against()
        if reason is None:
            self._inside += 1
            return True
        self._refused_at = self._clock.monotonic()
        self._refused += 1
        if self._reason is None:
            self._reason, self._began_at = reason, self._refused_at
            self._publish(self._episode())
        return False

    def leave(self) -> None:
        """Gives a place back."""
        self._inside -= 1

    def retry_after_s(self) -> int:
        """Seconds after which a rejected caller should retry."""
        return RETRY_AFTER_S[int(self._rng.random() * len(RETRY_AFTER_S))]

    async def run(self) -> None:
        """Samples the load until it is cancelled."""
        while True:
            due = self._clock.monotonic() + SAMPLE_S
            await self._sleep(SAMPLE_S)
            now = self._clock.monotonic()
            self._sample(now, max(0.0, now - due))

    def _reason_against(self) -> Reason | None:
        if self._inside >= self._limit():
            return "full" if self._loop_limit.limit is None else "lag"
        admits = memory_admits(self._memory_share)
        return "memory" if admits < 1 and self._rng.random() >= admits else None

    def _limit(self) -> int:
        return self._max_inflight if self._loop_limit.limit is None else min(self._loop_limit.limit, self._max_inflight)

    def _sample(self, now_s: float, lag_s: float) -> None:
        if now_s - self._memory_at >= _MEMORY_EVERY_S:
            self._memory_at, self._memory_share = now_s, self._read_memory()
        self._lag_s = lag_s
        self._loop_limit = self._loop_limit.after(now_s, lag_s, self._inside)
        if self._reason is not None and now_s - self._refused_at >= CALM_S:
            self._publish(self._episode(self._refused_at - self._began_at))
            self._reason, self._refused = None, 0

    def _episode(self, lasted_s: float | None = None) -> SheddingChanged:
        assert self._reason is not None
        return SheddingChanged(self._reason, self._refused, self._lag_s, self._memory_share, lasted_s)
