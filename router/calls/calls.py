"""The interface of strategies to providers: ask seats for votes, and turn one vote into the answer.

Failover, hedging, deadlines and streaming are implemented here once, so that a strategy is only its decision rule.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from adapters.errors import POLICY
from adapters.types import ChatRequest
from router.attempts.attempt import Attempt
from router.attempts.exchange import as_deltas
from router.calls.failover import Failover
from router.calls.hedging import Hedges, Race
from router.calls.relay import Relay
from router.core.clock import Clock
from router.core.context import RequestContext
from router.core.decision import Choice
from router.core.registry import Seat
from router.core.sink import Deliver, Speaker
from router.core.stages import Stage, StreamCut, VoteEnded
from router.core.tasks import CancelReason, cancel
from router.core.vote import Vote, VoteRole
from router.guards.retry_budget import RetryBudget
from router.observe.events import Hub

_LEAST_TIME_S = 0.2  # an attempt with less time before the deadline would be paid for and cut off


@dataclass(frozen=True, slots=True)
class Ask:
    """One call that a strategy asks for.

    `request` None is the caller's own request, `timeout_s` None leaves the time until the deadline; `ballot` is stored
    with the vote.
    """

    seat: Seat
    role: VoteRole = "answer"
    request: ChatRequest | None = None
    timeout_s: float | None = None
    ballot: Mapping[str, Any] | None = None


class RunsAttempts(Protocol):
    """Runs one attempt at one seat; implemented by `router.attempts.attempt.Attempts`."""

    async def run(self, attempt: Attempt) -> Vote: ...


@dataclass(frozen=True, slots=True)
class CallParts:
    """The parts that the calls of all requests share: attempts, events, clock, and this process's two budgets."""

    attempts: RunsAttempts
    events: Hub
    clock: Clock
    retries: RetryBudget
    hedges: Hedges


class Calls:
    """The calls of one request; `votes` lists all attempts so far, in the order in which they ended.

    With `deliver` the answer is streamed to the caller. While `holds_back` is True nothing is delivered, since an
    escalation may still replace the answer. With `deferred`, votes are logged only once the request is decided, with
    their part in the decision. `watched` is True if stages have a watcher; otherwise none need be built.
    """

    def __init__(
        self,
        context: RequestContext,
        request: ChatRequest,
        parts: CallParts,
        *,
        deliver: Deliver | None = None,
        deferred: bool = False,
    ) -> None:
        self._context = context
        self._attempts = parts.attempts
        self._events = parts.events
        self._clock = parts.clock
        self._retries = parts.retries
        self._hedges = parts.hedges
        self._deliver = deliver
        self._options = context.registry.strategies[context.options.strategy]
        self._deferred = deferred
        self._seq = 0
        self.request = request
        self.votes: list[Vote] = []
        self.holds_back = False
        self.watched = parts.events.is_watched(context.id)

    @property
    def streamed(self) -> bool:
        """Whether the caller wants the answer as a stream."""
        return self._deliver is not None

    @property
    def seed(self) -> int:
        """The seed of all random draws of this request, so that replay repeats them."""
        return self._context.seed

    def remaining_s(self) -> float:
        """Seconds until the request's deadline."""
        return self._context.deadline - self._clock.monotonic()

    def tell(self, stage: Stage) -> None:
        """Publishes a stage to the watcher of this request, if there is one."""
        if self.watched:
            self._events.reached(self._context.id, stage)

    async def answer(
        self,
        seats: Iterable[Seat],
        *,
        request: ChatRequest | None = None,
        role: VoteRole = "answer",
        ballot: Mapping[str, Any] | None = None,
        spare_s: float = 0.0,
    ) -> Choice:
        """Failover: asks one seat after another until one answers, as `POLICY` directs after each failure.

        Streams the answer if the caller wants a stream. A failure after part of an answer was sent ends the request,
        unless `on_cut: continue` lets another seat go on from there. `spare_s` seconds of the deadline are left unused,
        for the strategy's own fallback.
        """
        deadline = self._context.deadline - spare_s
        failover = Failover(seats, self._retries)
        goes_on = self._options.on_cut == "continue"
        relay = Relay(self._deliver, request or self.request, goes_on=goes_on)
        while self.remaining_s() - spare_s > _LEAST_TIME_S and (seat := failover.next()):
            ask = Ask(seat, role, relay.request_for(seat), ballot=ballot)
            vote = await self._heard(ask, failover, relay, deadline)
            whole = await relay.end(vote) if vote.ok else None
            if whole is not None:
                return _answered(whole, relay.seams)
            if vote.committed or relay.is_cut:
                pause_s = failover.after_a_cut(vote, may_go_on=relay.cut())
                self.tell(StreamCut(seat.provider.id, seat.model.id, goes_on=pause_s is not None))
            else:
                pause_s = failover.after(vote, self.remaining_s() - spare_s - _LEAST_TIME_S)
            if pause_s is None:
                break
            await asyncio.sleep(pause_s)
        return Choice(error=failover.error)

    async def gather(
        self,
        asks: Iterable[Ask],
        *,
        enough: Callable[[Sequence[Vote]], bool] = lambda votes: False,
        grace: Callable[[Sequence[Vote], float], float | None] = lambda votes, elapsed_s: None,
        timeout_s: float | None = None,
        spares: Iterable[Seat] = (),
    ) -> list[Vote]:
        """Makes all calls at once, unstreamed; returns their votes in the order of arrival, failures included.

        Ends when all votes are in, when `enough(votes)` is True, after `timeout_s`, or `grace(votes, elapsed_s)`
        seconds after the latest vote (None: no such limit). Calls still running then are cancelled, and their votes are
        `cancelled_early`. A failed call is replaced by one to the next of the `spares`, as far as `POLICY` and the
        retry budget allow.
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
            for task in out:
                task.cancel()
            await asyncio.gather(*out, return_exceptions=True)
            raise
        return [*votes, *await _called_off(out)]

    async def deliver(self, vote: Vote) -> None:
        """Sends a complete answer to the caller's stream, if there is one and it is not held back."""
        if self._deliver is not None and vote.answer is not None and not self.holds_back:
            speaker = Speaker(vote.seat, len(self.votes), vote.response_model)
            for delta in as_deltas(vote.answer):
                await self._deliver(delta, speaker)

    async def _heard(self, ask: Ask, failover: Failover, relay: Relay, deadline: float) -> Vote:
        """The vote of one seat; if hedging is on and the seat stays silent for too long, possibly the next seat's."""
        may_leave = failover.may_leave if failover.others_wait else None
        hedge = self._options.hedge if may_leave and not relay.is_cut else None
        after_s = self._hedges.after_s(hedge, ask.seat, streamed=self.streamed) if hedge else None
        if hedge is None or after_s is None:
            return await self._try(ask, deadline=deadline, may_leave=may_leave, deliver=relay.deliver)

        async def first(deliver: Deliver | None) -> Vote:
            return await self._try(ask, deadline=deadline, may_leave=may_leave, deliver=deliver)

        async def second(deliver: Deliver | None) -> Vote:
            seat = failover.next() or ask.seat
            return await self._try(replace(ask, seat=seat, role="hedge"), deadline=deadline, deliver=deliver)

        race = Race(relay.deliver)
        return await race.run(first, second, after_s=after_s, may_begin=lambda: self._hedges.may_begin(hedge))

    def _begin(self, ask: Ask, until: float) -> asyncio.Task[Vote]:
        end = until if ask.timeout_s is None else min(until, self._clock.monotonic() + ask.timeout_s)
        return asyncio.create_task(self._try(ask, deadline=end), name=f"{ask.role} of {ask.seat.id}")

    def _may_replace(self, vote: Vote) -> bool:
        if vote.ok or vote.error is None or POLICY[vote.error.kind].next_target == "no":
            return False
        return not vote.sent or self._retries.try_again()  # a call that no provider saw is no retry

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
            context=self._context,
            seq=self._seq,
            role=ask.role,
            seat=ask.seat,
            request=ask.request or self.request,
            deadline=deadline,
            # While other seats are left, one may stay silent for half of the remaining time only: docs/decisions/003.
            silence_s=self.remaining_s() / 2 if may_leave else None,
            may_leave=may_leave,
            deliver=deliver,
            ballot=ask.ballot,
            deferred=self._deferred,
        )
        vote = await self._attempts.run(attempt)
        self.votes.append(vote)
        if self.watched:
            self.tell(_ended(vote))
        return vote


async def _called_off(out: Iterable[asyncio.Task[Vote]]) -> list[Vote]:
    """Cancels the calls still running, waits until their connections are closed, and returns their votes."""
    tasks = list(out)
    for task in tasks:
        cancel(task, CancelReason.NOT_NEEDED)
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    return [vote for vote in ended if isinstance(vote, Vote)]


def _answered(vote: Vote, seams: Sequence[Mapping[str, Any]]) -> Choice:
    if not seams:
        return Choice(winner=vote, votes_counted=1)
    return Choice(winner=vote, votes_counted=1, flags=("continued",), details={"seams": list(seams)})


def _ended(vote: Vote) -> VoteEnded:
    return VoteEnded(
        provider=vote.seat.provider.id,
        model=vote.seat.model.id,
        role=vote.role,
        outcome=vote.outcome,
        error_type=vote.error_type,
        ms=round(vote.duration_ms),
    )
