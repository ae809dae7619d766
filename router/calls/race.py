"""Two attempts at one answer: the first that says something is heard, and the other is called off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from adapters.types import Delta
from router.attempts.attempt import NOT_NEEDED
from router.attempts.exchange import Deliver
from router.core.registry import Seat
from router.core.vote import Vote

Run = Callable[[Deliver | None], Awaitable[Vote]]


class Race:
    """One lane per attempt. What reaches the caller is the answer of one lane only, from its first word to its last."""

    def __init__(self, to: Deliver | None) -> None:
        self._to = to
        self._lanes: list[asyncio.Task[Vote]] = []
        self._speaker: int | None = None
        self._spoken = asyncio.Event()

    async def run(self, first: Run, second: Run, *, after_s: float, may_begin: Callable[[], bool]) -> list[Vote]:
        """The votes of all attempts that were made, the decisive one last: an answer, if there is any.

        The second begins when the first has been silent for `after_s`, and only if `may_begin` says so then.
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

    async def _decided(self, spoken: asyncio.Task[bool]) -> list[Vote]:
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
                    lane.cancel(NOT_NEEDED)
        return sorted(ended, key=lambda vote: (vote.ok, vote.committed, vote.outcome == "failed", vote.arrival_ms))

    def _begin(self, run: Run) -> None:
        number = len(self._lanes)
        self._lanes.append(asyncio.create_task(_vote(run(self._lane(number))), name=f"lane {number}"))

    def _lane(self, number: int) -> Deliver | None:
        to = self._to
        if to is None:
            return None

        async def deliver(delta: Delta, seat: Seat, response_model: str | None) -> bool:
            if self._speaker is None and (delta.commits or delta.reasoning):
                self._speaker = number
                self._spoken.set()
            if self._speaker == number:
                return await to(delta, seat, response_model)
            if self._speaker is not None:
                await asyncio.Event().wait()  # until it is called off, which is at once
            return False

        return deliver


async def _vote(running: Awaitable[Vote]) -> Vote:
    return await running
