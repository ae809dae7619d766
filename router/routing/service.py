"""The use case: turns a request into a decision, sends it to the request's sink, and publishes how the request ended.

Independent of HTTP: an endpoint translates its wire format into a context, a request and a sink, and calls
`Service.answer`.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
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

_LEAST_PAUSE_S = 0.01  # no busy loop when a seat that seems free has been taken by other requests
_LAST_RESORT_S = 5.0  # between two tries of an open breaker ahead of its time: an outage must not see a retry storm
_CLIENT_GONE = 499  # nginx's status for a caller that closed the connection; only logs and metrics show it
_GONE = Choice(error=Refusal("cancelled", "the caller disconnected or stopped reading", ErrorKind.CANCELLED))
_CUT_OFF = "the daemon shut down before the answer was complete; retry the request"
_STOPPED = Choice(error=Refusal("draining", _CUT_OFF, ErrorKind.CANCELLED))


class _Tried(NamedTuple):
    """A choice and the plan it was made by, which is a new one after a wait or an escalation."""

    choice: Choice
    plan: Plan


class Service:
    """Answers requests: plans, queues for a bounded time if no seat is free, runs the strategy, publishes the end."""

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
        """The seats that could answer this request now, as a stream or in one piece; calls no provider."""
        return make_plan(
            registry,
            options,
            request,
            self._guards,
            rng=self._rng,
            streamed=streamed,
            dropped=self._dropped,
        )

    async def answer(self, context: RequestContext, request: ChatRequest, sink: Sink) -> Decision:
        """Decides a request and replies to its sink; publishes `RequestEnded`, whatever the outcome.

        Raises `CallerGone` or `CancelledError` if the caller has disconnected. A request that is cancelled because the
        daemon shuts down is still answered, with the error `draining`.
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
        """Seconds until the first seat that suits this request is free, 0 if one is free now; None if unknown."""
        blocks = [self._guards.block(seat) for seat in _suitable(plan)]
        if not all(blocks):
            return 0.0 if blocks else None
        ends = [block.until for block in blocks if block and block.until is not None]
        return max(0.0, min(ends) - self._clock.wall()) if ends else None

    # --- one request -------------------------------------------------------------------------------------------------

    def _begin(self, context: RequestContext, request: ChatRequest, sink: Sink) -> Calls:
        """The calls of this request; counts it in the budgets of retries and hedges, which are shares of requests."""
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
        """Runs the strategy; as long as nothing was sent and a seat is free soon, queues for it and tries again."""
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
        """The first choice if it is firm, else that of the next strategy; if that fails, the first with a flag."""
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
        """A seat with an open breaker to try ahead of time, if all seats are blocked; None if there is none.

        The open time of a breaker is a guess, so it yields first. Waits that a provider asked for are facts, and are
        kept, as are limits.
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

    # --- the end -----------------------------------------------------------------------------------------------------

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
        overhead_ms = max(0.0, duration_ms - decision.spent.duration_ms)
        winner, first_token_ms = decision.choice.winner, None
        if winner is not None and winner.first_token_ms is not None:
            first_token_ms = winner.arrival_ms - winner.duration_ms + winner.first_token_ms
        ended = RequestEnded(context, decision, outcome, status, duration_ms, overhead_ms, first_token_ms)
        self._parts.events.publish(ended)


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
