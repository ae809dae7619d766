"""Hedged requests: a second attempt beside one that is silent for far longer than usual; the first token wins.

The technique and its budget of a few per cent are those of "The Tail at Scale" (Dean and Barroso, 2013).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from adapters.types import Delta
from router.core.clock import Clock
from router.core.registry import Seat
from router.core.sink import Deliver, Speaker
from router.core.strategy_options import Hedge
from router.core.tasks import CancelReason, cancel
from router.core.vote import Vote
from router.guards.latency import LatencyTracker
from router.guards.retry_budget import RetryBudget

_WINDOW_S = 60.0  # of the hedging budget; long, since a small share of few requests is less than one hedge


class Hedges:
    """Hedging in one process: the usual latency of each seat, and a budget of second attempts per `share`."""

    def __init__(self, latency: LatencyTracker, clock: Clock) -> None:
        self._latency = latency
        self._clock = clock
        self._budgets: dict[float, RetryBudget] = {}

    def request(self, hedge: Hedge) -> None:
        """Counts one request that may be hedged; the budget is a share of these."""
        self._budget(hedge).request()

    def after_s(self, hedge: Hedge, seat: Seat, *, streamed: bool) -> float | None:
        """Seconds of silence after which a second seat is asked; None while the usual latency is unknown."""
        if hedge.times is None:
            return hedge.after_s
        usual_s = self._latency.p95_s(seat.id, streamed=streamed)
        return None if usual_s is None else hedge.times * usual_s

    def may_begin(self, hedge: Hedge) -> bool:
        """Takes one second attempt from the budget; False if none is left."""
        return self._budget(hedge).try_again()

    def _budget(self, hedge: Hedge) -> RetryBudget:
        return self._budgets.setdefault(hedge.share, RetryBudget(self._clock, hedge.share, _WINDOW_S, floor=1))


Run = Callable[[Deliver | None], Awaitable[Vote]]


class Race:
    """Two concurrent attempts at one answer; the caller receives all its deltas from one of them.

    Each attempt has a lane. The lane with the first token becomes the speaker; the other one is cancelled.
    """

    def __init__(self, to: Deliver | None) -> None:
        self._to = to
        self._lanes: list[asyncio.Task[Vote]] = []
        self._speaker: int | None = None
        self._spoken = asyncio.Event()

    async def run(self, first: Run, second: Run, *, after_s: float, may_begin: Callable[[], bool]) -> Vote:
        """The deciding vote: an answer, if either attempt gives one.

        The second attempt begins when the first has been silent for `after_s` seconds and `may_begin` then allows it.
        """
        self._begin(first)
        try:
            spoken = asyncio.create_task(self._spoken.wait())
            try:
                await asyncio.wait([*self._lanes, spoken], timeout=after_s, return_when=asyncio.FIRST_COMPLETED)
                if not (self._lanes[0].done() or self._spoken.is_set()) and may_begin():
                    self._begin(second)
                return await self._decided(spoken)
            finally:
                spoken.cancel()
        except BaseException:
            for lane in self._lanes:
                lane.cancel()
            await asyncio.gather(*self._lanes, return_exceptions=True)
            raise

    async def _decided(self, spoken: asyncio.Task[bool]) -> Vote:
        ended: list[Vote] = []
        out, called_off = set(self._lanes), set[asyncio.Task[Vote]]()
        while out:
            await asyncio.wait(out if spoken.done() else {*out, spoken}, return_when=asyncio.FIRST_COMPLETED)
            ended += [lane.result() for lane in out if lane.done()]
            out = {lane for lane in out if not lane.done()}
            heard = self._lanes[self._speaker] if self._speaker is not None else None
            if heard is not None or any(vote.ok for vote in ended):
                for lane in out - called_off - {heard}:
                    called_off.add(lane)
                    cancel(lane, CancelReason.NOT_NEEDED)
        # An answer first, then the attempt whose text the caller has seen, then a failure rather than a cancellation.
        return max(ended, key=lambda vote: (vote.ok, vote.committed, vote.outcome == "failed", vote.arrival_ms))

    def _begin(self, run: Run) -> None:
        number = len(self._lanes)
        self._lanes.append(asyncio.create_task(_vote(run(self._lane(number))), name=f"lane {number}"))

    def _lane(self, number: int) -> Deliver | None:
        to = self._to
        if to is None:
            return None

        async def deliver(delta: Delta, speaker: Speaker) -> bool:
            if self._speaker is None and (delta.commits or delta.reasoning):
                self._speaker = number
                self._spoken.set()
            if self._speaker == number:
                return await to(delta, speaker)
            if self._speaker is not None:
                await asyncio.Event().wait()  # the losing lane stops here until it is cancelled, which follows at once
            return False

        return deliver


async def _vote(running: Awaitable[Vote]) -> Vote:
    return await running
