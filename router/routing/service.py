"""The use case: from a request and its context to a decision, which a sink tells and every subscriber hears of.

Nothing here knows HTTP. A door turns its wire into a context, a request and a sink, and calls `Service.answer`.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from adapters.errors import ErrorKind
from adapters.types import ChatRequest
from router.calls.calls import CallParts, Calls
from router.core.context import Options, RequestContext
from router.core.decision import Choice, Decision, Refusal, RequestEnded, RequestOutcome
from router.core.plan import Plan
from router.core.registry import Registry, Seat
from router.core.sink import CallerGone, Sink
from router.core.stages import Escalated, SeatsAsked
from router.core.tasks import CancelReason, cancel_reason
from router.core.vote import spent
from router.guards.guards import Guards
from router.routing.escalation import is_due
from router.routing.planner import Dropped, make_plan
from router.routing.queue import QUEUE_S, Queue
from router.strategies.decide import decide
from router.strategies.table import STRATEGIES

_LEAST_PAUSE_S = 0.01  # when a seat seems free but turns out not to be, others have taken it: no spinning on that
_LAST_RESORT_S = 5.0  # an open breaker is tried ahead of its time this often at most, and only if nothing else is left
_CLIENT_GONE = 499  # nginx's word for a caller who hung up; no caller ever sees it
_GONE = Choice(error=Refusal("cancelled", "the caller left", ErrorKind.CANCELLED))
_STOPPED = Choice(error=Refusal("draining", "the daemon stopped before the answer was done", ErrorKind.CANCELLED))


class _Tried(NamedTuple):
    """A choice, and the plan it was made by: another one after a wait, or when another strategy took over."""

    choice: Choice
    plan: Plan


class Service:
    """Answers requests: plans, waits a bounded time for a free seat, runs the strategy, and publishes how it ended."""

    def __init__(
        self,
        *,
        guards: Guards,
        queue: Queue,
        parts: CallParts,
        rng: random.Random,
        dropped: Dropped,
    ) -> None:
        self._guards = guards
        self._queue = queue
        self._parts = parts
        self._clock = parts.clock
        self._rng = rng
        self._dropped = dropped
        self._tried_at: dict[str, float] = {}  # seat id → when it was last asked ahead of its time

    def plan(self, registry: Registry, options: Options, request: ChatRequest, *, streamed: bool = False) -> Plan:
        """Which seats could answer this request now, as a stream or in one piece; asks nobody."""
        return make_plan(
            registry,
            options,
            request,
            block=self._guards.block,
            doubt=self._guards.doubt_class,
            cost=partial(self._guards.cost_s, streamed=streamed),
            room=self._guards.room,
            rng=self._rng,
            dropped=self._dropped,
        )

    async def answer(self, context: RequestContext, request: ChatRequest, sink: Sink) -> Decision:
        """Decides a request and tells its sink; the end is published whatever it is.

        Raises `CallerGone` and `CancelledError` when there is nobody left to answer. A request that is cancelled since
        the daemon stops is told so.
        """
        calls = self._begin(context, request, sink)
        plan = self.plan(context.registry, context.options, request, streamed=context.stream)
        try:
            tried = await self._decide(context, request, calls, plan)
            decision = self._decision(tried.choice, tried.plan, calls)
            status = await sink.reply(decision)
        except CallerGone:
            self._ended(context, self._decision(_GONE, plan, calls), "client_gone", _CLIENT_GONE)
            raise
        except asyncio.CancelledError:
            if cancel_reason() is not CancelReason.SHUTDOWN:
                self._ended(context, self._decision(_GONE, plan, calls), "client_gone", _CLIENT_GONE)
                raise
            return await self._stop(context, self._decision(_STOPPED, plan, calls), sink)
        self._ended(context, decision, "ok" if tried.choice.winner else "failed", status)
        return decision

    def free_in_s(self, plan: Plan) -> float | None:
        """Seconds until the first of the seats that suit this request is free; None while nobody can say."""
        blocks = [self._guards.block(seat) for seat in _suitable(plan)]
        if not all(blocks):
            return 0.0 if blocks else None
        ends = [block.until for block in blocks if block and block.until is not None]
        return max(0.0, min(ends) - self._clock.wall()) if ends else None

    # --- one request -------------------------------------------------------------------------------------------------

    def _begin(self, context: RequestContext, request: ChatRequest, sink: Sink) -> Calls:
        """The calls that this request may make; it counts towards the budgets of retries and hedges."""
        strategy = context.options.strategy
        hedge = context.registry.strategies[strategy].hedge
        self._parts.retries.request()
        if hedge is not None:
            self._parts.hedges.request(hedge)
        return Calls(
            context,
            request,
            self._parts,
            deliver=sink.deliver if context.stream else None,
            deferred=STRATEGIES[strategy].deferred or hedge is not None,
        )

    async def _decide(self, context: RequestContext, request: ChatRequest, calls: Calls, plan: Plan) -> _Tried:
        """Runs the strategy; while nothing could be sent and a seat is free soon, waits for it and tries again."""
        until = min(context.began + QUEUE_S, context.deadline)
        tried = await self._try(context, request, calls, plan)
        while self._is_worth_waiting(tried, calls, until):
            async with self._queue.front(_line(tried.plan), until - self._clock.monotonic()) as first:
                if not first:
                    break
                while (wait_s := self.free_in_s(tried.plan)) and self._clock.monotonic() + wait_s <= until:
                    await self._queue.sleep(max(wait_s, _LEAST_PAUSE_S))
            plan = self.plan(context.registry, tried.plan.options, request, streamed=context.stream)
            tried = await self._try(context, request, calls, plan)
        return tried

    async def _try(self, context: RequestContext, request: ChatRequest, calls: Calls, plan: Plan) -> _Tried:
        if not plan.seats:
            seat = self._last_resort(plan)
            if seat is None:
                return _Tried(Choice(error=_nobody(plan)), plan)
            plan = replace(plan, seats=(seat,))
        if calls.watched:
            calls.tell(_seats_asked(plan))
        if plan.onward is None:
            return _Tried(await decide(plan, calls), plan)
        calls.holds_back = True
        first = await decide(plan, calls)
        calls.holds_back = False
        return await self._escalated(context, request, calls, _Tried(first, plan))

    async def _escalated(self, context: RequestContext, request: ChatRequest, calls: Calls, tried: _Tried) -> _Tried:
        """The first choice if it is firm, else the second strategy's; the first all the same if that one fails."""
        first, plan = tried
        options = plan.onward
        if options is None or not is_due(plan, first):
            return await _delivered(calls, first, plan)
        calls.tell(Escalated(options.strategy, options.tier))
        further = self.plan(context.registry, options, request, streamed=context.stream)
        second = await decide(further, calls) if further.seats else Choice()
        if second.winner is None:
            return await _delivered(calls, replace(first, flags=(*first.flags, "escalation_failed")), plan)
        before = {"strategy": plan.strategy, "answer_key": first.answer_key, **first.rule}
        choice = replace(
            second,
            flags=("escalated", *second.flags),
            marks={**first.marks, **second.marks},
            rule={**second.rule, "escalated_from": before},
        )
        return _Tried(choice, further)

    def _is_worth_waiting(self, tried: _Tried, calls: Calls, until: float) -> bool:
        if tried.choice.winner or any(vote.sent for vote in calls.votes) or self._queue.full:
            return False
        wait_s = self.free_in_s(tried.plan)
        return wait_s is not None and self._clock.monotonic() + max(wait_s, _LEAST_PAUSE_S) < until

    def _last_resort(self, plan: Plan) -> Seat | None:
        """When every seat is blocked, one whose breaker is open may be tried ahead of its time: its rest is a guess.

        What a provider told us to wait for is kept, and so are limits.
        """
        now = self._clock.monotonic()
        for seat in _suitable(plan):
            if self._guards.breakers.state(seat.id) != "open" or self._guards.holds.block(seat):
                continue
            since = max(self._tried_at.get(seat.id, 0.0), self._guards.breakers.opened_at(seat.id))
            if now - since >= _LAST_RESORT_S:
                self._tried_at[seat.id] = now
                self._guards.breakers.bring_forward(seat.id, "every other seat is blocked")
                return seat
        return None

    # --- how it ended ------------------------------------------------------------------------------------------------

    def _decision(self, choice: Choice, plan: Plan, calls: Calls) -> Decision:
        free_in_s = self.free_in_s(plan) if choice.winner is None else None
        return Decision(choice, plan, tuple(calls.votes), spent(calls.votes), free_in_s)

    async def _stop(self, context: RequestContext, decision: Decision, sink: Sink) -> Decision:
        status = _CLIENT_GONE
        try:
            status = await sink.reply(decision)
        finally:
            self._ended(context, decision, "failed", status)
        return decision

    def _ended(self, context: RequestContext, decision: Decision, outcome: RequestOutcome, status: int) -> None:
        duration_ms = (self._clock.monotonic() - context.began) * 1000
        self._parts.events.publish(RequestEnded(context, decision, outcome, status, duration_ms))


def _seats_asked(plan: Plan) -> SeatsAsked:
    facts = STRATEGIES[plan.strategy]
    seats = tuple({"provider": seat.provider.id, "model": seat.model.id} for seat in facts.first_asked(plan))
    return SeatsAsked(plan.strategy, seats, facts.most_calls(plan))


async def _delivered(calls: Calls, choice: Choice, plan: Plan) -> _Tried:
    if choice.winner is not None:
        await calls.deliver(choice.winner)
    return _Tried(choice, plan)


def _suitable(plan: Plan) -> list[Seat]:
    """The seats that could answer this request if nothing blocked them."""
    return [*plan.seats, *(exclusion.seat for exclusion in plan.excluded if exclusion.block)]


def _line(plan: Plan) -> frozenset[str]:
    return frozenset(seat.id for seat in _suitable(plan))


def _nobody(plan: Plan) -> Refusal:
    blocks = [exclusion.block for exclusion in plan.excluded if exclusion.block]
    kind = blocks[0].kind if blocks else ErrorKind.INVALID_REQUEST
    return Refusal("no_seat", "no model of the plan can be asked", kind)
