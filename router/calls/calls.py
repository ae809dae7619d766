"""All that a strategy may do: ask seats for votes and turn one of them into the answer.

Failover, deadlines and streaming live here once, so that a strategy is only its decision.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapters.errors import POLICY
from adapters.types import ChatRequest
from router.attempts.attempt import NOT_NEEDED, Attempt
from router.attempts.exchange import Deliver, as_deltas
from router.calls.failover import Walk
from router.calls.race import Race
from router.calls.relay import Outgoing
from router.core.clock import Clock
from router.core.decision import Choice, Mark
from router.core.registry import Seat
from router.core.vote import Vote, VoteRole
from router.guards.retry_budget import RetryBudget

__all__ = ["Ask", "Asked", "Calls", "Choice", "Mark"]

Tell = Callable[[Mapping[str, Any]], None]
_LEAST_TIME_S = 0.2  # an attempt that has less left than this would only be cut off


@dataclass(frozen=True, slots=True)
class Ask:
    """One call that a strategy wants made: the caller's own request, or another. `ballot` is stored with the vote."""

    seat: Seat
    role: VoteRole = "answer"
    request: ChatRequest | None = None
    timeout_s: float | None = None
    ballot: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Hedging:
    """When a second seat is asked beside a silent first one: after so many seconds, if `may_begin` says so then."""

    after_s: Callable[[Seat], float | None]
    may_begin: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request on its way: what was asked, when, until when, and where its stream goes if it has one.

    `tell` hears of each stage as it comes. With `deferred`, votes are written when the request is decided, with what
    they counted for. With `goes_on`, another seat continues a stream that was cut.
    """

    request_id: str
    registry_hash: str
    request: ChatRequest
    began: float
    deadline: float
    deliver: Deliver | None = None
    tell: Tell | None = None
    deferred: bool = False
    goes_on: bool = False
    hedging: Hedging | None = None


class Calls:
    """The calls of one request, each made by `attempt`. `votes` are all attempts so far, in the order of their end."""

    def __init__(
        self, asked: Asked, attempt: Callable[[Attempt], Awaitable[Vote]], clock: Clock, retries: RetryBudget
    ) -> None:
        self._asked = asked
        self._attempt = attempt
        self._clock = clock
        self._retries = retries
        self._seq = 0
        self.votes: list[Vote] = []
        self.holds_back = False  # while another strategy may still take over, nothing is delivered

    @property
    def request(self) -> ChatRequest:
        """What the caller asked."""
        return self._asked.request

    @property
    def streamed(self) -> bool:
        """Whether the caller wants the answer as a stream."""
        return self._asked.deliver is not None

    @property
    def watched(self) -> bool:
        """Whether anybody wants to be told of each stage."""
        return self._asked.tell is not None

    @property
    def seed(self) -> int:
        """The seed of everything that is shuffled for this request: its id, so that it can be known again."""
        return zlib.crc32(self._asked.request_id.encode())

    def remaining_s(self) -> float:
        """Seconds until the request's deadline."""
        return self._asked.deadline - self._clock.monotonic()

    def tell(self, stage: str, **facts: Any) -> None:
        """Shows a stage to a caller who watches."""
        if self._asked.tell is not None:
            self._asked.tell({"stage": stage, **facts})

    async def answer(
        self,
        seats: Iterable[Seat],
        *,
        request: ChatRequest | None = None,
        role: VoteRole = "answer",
        ballot: Mapping[str, Any] | None = None,
        spare_s: float = 0.0,
    ) -> Choice:
        """Walks the seats until one answers, as `POLICY` says after each failure; streams if the caller wants that.

        Once part of an answer has gone out its failure is the request's, unless another seat may go on from there.
        `spare_s` of the deadline are left to whoever has something else to give.
        """
        deadline = self._asked.deadline - spare_s
        walk = Walk(seats, self._retries)
        outgoing = Outgoing(self._asked.deliver, request or self._asked.request, goes_on=self._asked.goes_on)
        while self.remaining_s() - spare_s > _LEAST_TIME_S and (seat := walk.next()):
            ask = Ask(seat, role, outgoing.request_for(seat), ballot=ballot)
            vote = await self._heard(ask, walk, outgoing, deadline)
            whole = await outgoing.end(vote) if vote.ok else None
            if whole is not None:
                return _answered(whole, outgoing.seams)
            if vote.committed or outgoing.is_cut:
                pause_s = walk.after_a_cut(vote, may_go_on=outgoing.cut())
                self.tell("cut", provider=seat.provider.id, model=seat.model.id, goes_on=pause_s is not None)
            else:
                pause_s = walk.after(vote, self.remaining_s() - spare_s - _LEAST_TIME_S)
            if pause_s is None:
                break
            await asyncio.sleep(pause_s)
        return Choice(error=walk.error)

    async def gather(
        self,
        asks: Iterable[Ask],
        *,
        enough: Callable[[Sequence[Vote]], bool] = lambda votes: False,
        grace: Callable[[Sequence[Vote], float], float | None] = lambda votes, elapsed_s: None,
        timeout_s: float | None = None,
        spares: Iterable[Seat] = (),
    ) -> list[Vote]:
        """Makes all calls at once, for whole answers; the votes come in the order of their arrival, whatever they are.

        Ends when all are in, when `enough` says so of those that are, when their time is over, or so many seconds after
        a vote as `grace` gives the rest then. Who is still out is cancelled, and its vote says `cancelled_early`. A
        failed call is replaced by one to the next of the `spares`, as `POLICY` and the budget of retries allow.
        """
        began = self._clock.monotonic()
        until = began + min(self.remaining_s(), timeout_s if timeout_s is not None else float("inf"))
        substitutes = iter(spares)
        out = {self._begin(ask, until): ask for ask in asks}
        votes: list[Vote] = []
        try:
            while out and not enough(votes):
                left_s = until - self._clock.monotonic()
                done, _ = await asyncio.wait(out, timeout=max(0.0, left_s), return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    break
                for task in sorted(done, key=lambda task: task.result().arrival_ms):
                    ask, vote = out.pop(task), task.result()
                    votes.append(vote)
                    seat = next(substitutes, None) if self._may_replace(vote) else None
                    if seat is not None:
                        out[self._begin(replace(ask, seat=seat), until)] = ask
                now = self._clock.monotonic()
                more_s = grace(votes, now - began)
                until = until if more_s is None else min(until, now + more_s)
        except BaseException:
            await _end(out)
            raise
        return [*votes, *await _end(out, NOT_NEEDED)]

    async def deliver(self, vote: Vote) -> None:
        """Hands an answer that is already there to the caller's stream, if there is one."""
        if self._asked.deliver is not None and vote.answer is not None and not self.holds_back:
            for delta in as_deltas(vote.answer):
                await self._asked.deliver(delta, vote.seat, vote.response_model)

    async def _heard(self, ask: Ask, walk: Walk, outgoing: Outgoing, deadline: float) -> Vote:
        """The vote of one seat, or of the next one if the first is silent for too long and that is hedged against."""
        hedging, may_leave = self._asked.hedging, walk.may_leave if walk.others_wait else None
        after_s = hedging.after_s(ask.seat) if hedging and may_leave and not outgoing.is_cut else None
        if hedging is None or after_s is None:
            return await self._try(ask, deadline=deadline, may_leave=may_leave, deliver=outgoing.deliver)

        async def first(deliver: Deliver | None) -> Vote:
            return await self._try(ask, deadline=deadline, may_leave=may_leave, deliver=deliver)

        async def second(deliver: Deliver | None) -> Vote:
            seat = walk.next() or ask.seat
            return await self._try(replace(ask, seat=seat, role="hedge"), deadline=deadline, deliver=deliver)

        race = Race(outgoing.deliver)
        return (await race.run(first, second, after_s=after_s, may_begin=hedging.may_begin))[-1]

    def _begin(self, ask: Ask, until: float) -> asyncio.Task[Vote]:
        end = until if ask.timeout_s is None else min(until, self._clock.monotonic() + ask.timeout_s)
        return asyncio.create_task(self._try(ask, deadline=end), name=f"{ask.role} of {ask.seat.id}")

    def _may_replace(self, vote: Vote) -> bool:
        if vote.ok or vote.error is None or POLICY[vote.error.kind].next_target == "no":
            return False
        return not vote.sent or self._retries.try_again()

    async def _try(
        self,
        ask: Ask,
        *,
        deadline: float,
        may_leave: Callable[[], bool] | None = None,
        deliver: Deliver | None = None,
    ) -> Vote:
        self._seq += 1
        attempt = Attempt(
            request_id=self._asked.request_id,
            registry_hash=self._asked.registry_hash,
            request_began=self._asked.began,
            seq=self._seq,
            role=ask.role,
            seat=ask.seat,
            request=ask.request or self._asked.request,
            deadline=deadline,
            # A seat may stay silent for half of what is left while others stand behind it, so that they get a turn.
            silence_s=self.remaining_s() / 2 if may_leave else None,
            may_leave=may_leave,
            deliver=deliver,
            ballot=ask.ballot,
            deferred=self._asked.deferred,
        )
        vote = await self._attempt(attempt)
        self.votes.append(vote)
        if self.watched:
            self.tell("vote", **_shown(vote))
        return vote


async def _end(out: Iterable[asyncio.Task[Vote]], why: str | None = None) -> list[Vote]:
    """Cancels what is still out, and waits until its connections are closed."""
    tasks = list(out)
    for task in tasks:
        task.cancel(why)
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    return [vote for vote in ended if isinstance(vote, Vote)]


def _answered(vote: Vote, seams: Sequence[Mapping[str, Any]]) -> Choice:
    if not seams:
        return Choice(winner=vote, votes_counted=1)
    return Choice(winner=vote, votes_counted=1, flags=("continued",), details={"seams": list(seams)})


def _shown(vote: Vote) -> dict[str, Any]:
    return {
        "provider": vote.seat.provider.id,
        "model": vote.seat.model.id,
        "role": vote.role,
        "outcome": vote.outcome,
        "error_type": vote.error_type,
        "ms": round(vote.duration_ms),
    }
