"""From a request to a decision: a plan, its strategy, and a bounded wait where no seat can be asked this moment."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import partial

from adapters.errors import ErrorKind, ProviderError
from adapters.types import ChatRequest
from router.calls.calls import Calls
from router.core.block import Block
from router.core.clock import Clock
from router.core.context import Options
from router.core.decision import Choice
from router.core.plan import Plan
from router.core.registry import Registry, Seat
from router.guards.guards import Guards
from router.routing.escalation import Escalation, escalation
from router.routing.planner import SEVERAL, Dropped, make_plan
from router.routing.queue import QUEUE_S, WaitingRoom
from router.strategies.decide import decide

_LEAST_PAUSE_S = 0.01  # when a seat seems free but turns out not to be, others have taken it: no spinning on that
_LAST_RESORT_S = 5.0  # an open breaker is tried ahead of its time this often at most, and only if nothing else is left


@dataclass(slots=True)
class Turn:
    """One request on its way to an answer; its plan is made anew each time it has waited."""

    request: ChatRequest
    plan: Plan
    calls: Calls
    began: float
    deadline: float
    streamed: bool


class Seating:
    """Finds seats for requests and lets their strategy decide; makes no calls itself."""

    def __init__(
        self, *, guards: Guards, room: WaitingRoom, clock: Clock, rng: random.Random, dropped: Dropped
    ) -> None:
        self._guards = guards
        self._room = room
        self._clock = clock
        self._rng = rng
        self._dropped = dropped
        self._tried_at: dict[str, float] = {}  # seat id → when it was last asked ahead of its time

    def plan(self, registry: Registry, options: Options, request: ChatRequest, *, streamed: bool = False) -> Plan:
        """Who could answer this request now, as a stream or in one piece."""
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

    async def decide(self, turn: Turn) -> Choice:
        """Runs the strategy; while nothing could be sent and a seat is free soon, waits for it and tries again."""
        until = min(turn.began + QUEUE_S, turn.deadline)
        decision = await self._attempt(turn)
        while self._is_worth_waiting(turn, decision, until):
            async with self._room.front(_line(turn.plan), until - self._clock.monotonic()) as first:
                if not first:
                    break
                while (wait_s := self.wait_s(turn.plan)) and self._clock.monotonic() + wait_s <= until:
                    await self._room.sleep(max(wait_s, _LEAST_PAUSE_S))
            turn.plan = self.plan(turn.plan.registry, turn.plan.options, turn.request, streamed=turn.streamed)
            decision = await self._attempt(turn)
        return decision

    def wait_s(self, plan: Plan) -> float | None:
        """Seconds until the first of the seats that suit this request is free; None while nobody can say."""
        blocks = [self._guards.block(seat) for seat in _suitable(plan)]
        if not all(blocks):
            return 0.0 if blocks else None
        ends = [block.until for block in blocks if block and block.until is not None]
        return max(0.0, min(ends) - self._clock.wall()) if ends else None

    async def _attempt(self, turn: Turn) -> Choice:
        if not turn.plan.seats:
            seat = self._last_resort(turn.plan)
            if seat is None:
                return Choice(error=_nobody(turn.plan))
            turn.plan = replace(turn.plan, seats=(seat,))
        if turn.calls.watched:
            turn.calls.tell("plan", strategy=turn.plan.strategy, seats=_first_asked(turn.plan))
        onward = escalation(turn.plan)
        if onward is None:
            return await decide(turn.plan, turn.calls)
        turn.calls.holds_back = True
        first = await decide(turn.plan, turn.calls)
        turn.calls.holds_back = False
        return await self._escalated(turn, first, onward)

    async def _escalated(self, turn: Turn, first: Choice, onward: Escalation) -> Choice:
        """The first decision if it is firm, else the second strategy's; the first all the same if that one fails."""
        if not onward.is_due(first):
            return await _delivered(turn, first)
        turn.calls.tell("escalated", strategy=onward.strategy, tier=onward.tier)
        options = replace(turn.plan.options, strategy=onward.strategy, tier=onward.tier, council_size=None)
        plan = self.plan(turn.plan.registry, options, turn.request, streamed=turn.streamed)
        second = await decide(plan, turn.calls) if plan.seats else Choice()
        if second.winner is None:
            return await _delivered(turn, replace(first, flags=(*first.flags, "escalation_failed")))
        turn.plan = plan
        before = {"strategy": "majority-vote", "answer_key": first.answer_key, **first.rule}
        return replace(
            second,
            flags=("escalated", *second.flags),
            marks={**first.marks, **second.marks},
            rule={**second.rule, "escalated_from": before},
        )

    def _is_worth_waiting(self, turn: Turn, decision: Choice, until: float) -> bool:
        if decision.winner or any(vote.sent for vote in turn.calls.votes) or self._room.full:
            return False
        wait_s = self.wait_s(turn.plan)
        return wait_s is not None and self._clock.monotonic() + max(wait_s, _LEAST_PAUSE_S) < until

    def _last_resort(self, plan: Plan) -> Seat | None:
        """When every seat is blocked, one whose breaker is open may be tried ahead of its time: we only guess there.

        What a provider told us to wait for is kept, and so are limits.
        """
        now = self._clock.monotonic()
        for seat in _suitable(plan):
            if self._guards.breakers.state(seat.id) != "open" or self._guards.weather.block(seat):
                continue
            since = max(self._tried_at.get(seat.id, 0.0), self._guards.breakers.opened_at(seat.id))
            if now - since >= _LAST_RESORT_S:
                self._tried_at[seat.id] = now
                self._guards.breakers.bring_forward(seat.id, "every other seat is blocked")
                return seat
        return None


def _first_asked(plan: Plan) -> list[dict[str, str]]:
    """The seats that are asked at once, for whoever watches."""
    tier = plan.registry.tiers[plan.options.tier]
    number = plan.options.council_size or tier.council_size if plan.strategy in SEVERAL else 1
    return [{"provider": seat.provider.id, "model": seat.model.id} for seat in plan.seats[:number]]


async def _delivered(turn: Turn, decision: Choice) -> Choice:
    if decision.winner is not None:
        await turn.calls.deliver(decision.winner)
    return decision


def _suitable(plan: Plan) -> list[Seat]:
    """The seats that could answer in other weather."""
    return [*plan.seats, *(exclusion.seat for exclusion in plan.excluded if exclusion.block)]


def _line(plan: Plan) -> frozenset[str]:
    return frozenset(seat.id for seat in _suitable(plan))


def _nobody(plan: Plan) -> ProviderError:
    blocks: list[Block] = [exclusion.block for exclusion in plan.excluded if exclusion.block]
    kind = blocks[0].kind if blocks else ErrorKind.INVALID_REQUEST
    return ProviderError(kind, "no model of the plan can be asked")
