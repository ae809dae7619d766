"""Load shedding: bounds the requests in flight, so that an overload does not slow down the admitted ones.

There are three bounds: the number of requests in flight; the lag of the event loop, since a late loop has more work
than time and delays everything, health checks included; and memory near its limit, where the kernel kills the process.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from router.core.clock import Clock
from router.core.events import SheddingChanged

MAX_INFLIGHT = 4_000  # the most that the lag-derived limit rises to; the default of the fixed limit
SAMPLE_S = 0.1
LATE_S = 0.1  # lag; a request takes a few turns of the loop, so with turns longer than this no answer is quick
PATIENCE_S = 2.0  # of lag, summed over consecutive samples, before requests are rejected: a short burst is served
RETRY_AFTER_S = range(1, 6)  # drawn at random (jitter), so that clients do not retry in step
CALM_S = 5.0  # without lag, or without a refusal, before an overload counts as over
_PATIENCE_SAMPLES = 3  # one long pause, whatever its length, is not an overload
_GOAL_S = 0.03  # target: under overload the lag is kept between half of this and this, so that health checks are quick
_LEAST_INFLIGHT = 8  # lag may have other causes than requests, and must not close the daemon
_MEMORY_EVERY_S = 1.0
_MEMORY_HIGH, _MEMORY_FULL = 0.85, 0.95  # used share of the memory: where shedding begins, where nothing is admitted

Reason = Literal["full", "lag", "memory"]


@dataclass(frozen=True, slots=True)
class ConcurrencyLimit:
    """An adaptive concurrency limit: requests in flight, derived from the lag of the event loop; None is no limit.

    It bounds concurrency, not the rate: each answer makes room for one request, so the loop is never left idle.
    `lags_s` holds the recent samples that still count, in seconds; `late_at` is the monotonic time in seconds of the
    last lag above the target while a limit was in force.
    """

    limit: int | None = None
    lags_s: tuple[float, ...] = ()
    late_at: float = 0.0

    def after(self, now_s: float, lag_s: float, inflight: int) -> ConcurrencyLimit:
        """The limit after one more sample: at monotonic time `now_s` a timer fired `lag_s` seconds late."""
        if self.limit is None:
            lags_s = (*self.lags_s, lag_s) if lag_s > LATE_S else ()
            if len(lags_s) < _PATIENCE_SAMPLES or sum(lags_s) < PATIENCE_S:
                return ConcurrencyLimit(lags_s=lags_s)
            return ConcurrencyLimit(_narrowed(inflight, lag_s), (lag_s,), now_s)
        steady_s = min(*self.lags_s, lag_s)  # a single long turn, such as a garbage collection, is not load
        if steady_s > _GOAL_S:
            return ConcurrencyLimit(_narrowed(min(self.limit, inflight), steady_s), (lag_s,), now_s)
        if now_s - self.late_at >= CALM_S and inflight < self.limit:
            return ConcurrencyLimit()
        wider = self.limit * 11 // 10 + 1 if steady_s < _GOAL_S / 2 else self.limit
        return ConcurrencyLimit(min(wider, MAX_INFLIGHT), (lag_s,), self.late_at)


def _narrowed(inflight: int, lag_s: float) -> int:
    """A lower limit, in proportion to how far the lag exceeds its target; at most a cut to a quarter per sample."""
    return max(_LEAST_INFLIGHT, int(inflight * max(0.25, _GOAL_S / lag_s)))


def memory_admits(share: float) -> float:
    """The share of new requests to admit at this memory usage: 1 up to 85 %, then falling evenly to 0 at 95 %."""
    return min(1.0, max(0.0, (_MEMORY_FULL - share) / (_MEMORY_FULL - _MEMORY_HIGH)))


class Gate:
    """Admission control: counts the requests in flight and admits another one while there is capacity.

    `run` samples the load. `memory_share` returns the used share of this process's memory, 0 to 1; `publish` receives
    an event when shedding begins and when it ends.
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
        """Whether an overload is in progress: a request was rejected less than `CALM_S` seconds ago."""
        return self._reason is not None

    def state(self) -> Mapping[str, Any]:
        """The load as `/healthz` reports it."""
        return {
            "shedding": self.shedding,
            "inflight": self._inside,
            "max_inflight": self._limit(),
            "lag_ms": round(self._lag_s * 1000, 1),
            "memory_share": round(self._memory_share, 3),
        }

    def enter(self) -> bool:
        """Reserves an in-flight slot, to be freed by `leave`; False if the request must be rejected."""
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
        """Frees a slot."""
        self._inside -= 1

    def retry_after_s(self) -> int:
        """The `Retry-After` of a rejected caller in seconds, at random from `RETRY_AFTER_S`."""
        return RETRY_AFTER_S[int(self._rng.random() * len(RETRY_AFTER_S))]

    async def run(self) -> None:
        """Samples lag and memory every `SAMPLE_S` seconds, until cancelled."""
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
