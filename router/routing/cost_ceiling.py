"""What a planned request may cost at most: how many calls its strategy may make, of which seats, reading what. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from adapters.types import ChatRequest, Usage
from router.core.plan import Plan
from router.core.registry import Seat, Strategy
from router.core.vote import cost_usd
from router.guards.limits.counters import need_of
from router.strategies.majority.voting import voters

UNBOUNDED_TOKENS = 4_096  # taken as the length of an answer where neither the request nor the registry bounds it


@dataclass(frozen=True, slots=True)
class WorstCase:
    """At most so many calls and tokens; `cost_usd` is None where a price is missing.

    `bounded` is False where nothing bounds the length of the answers, so that it is a guess.
    """

    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    bounded: bool


@dataclass(frozen=True, slots=True)
class _Stage:
    """Calls that a strategy makes side by side: `calls` of the `pool`, each reading so many earlier answers."""

    calls: int
    pool: tuple[Seat, ...]
    reads: int = 0


def worst_case(plan: Plan, request: ChatRequest) -> WorstCase:
    """What the plan's strategy may spend if everything that can go wrong does, and its dearest seats are asked."""
    if not plan.seats:
        return WorstCase(calls=0, input_tokens=0, output_tokens=0, cost_usd=0.0, bounded=True)
    prompt, asked = _prompt_tokens(plan, request), request.params.get("max_tokens")
    longest = max(_answer_tokens(seat, asked) for seat in plan.seats)
    calls = [
        (seat, Usage(input_tokens=prompt + stage.reads * longest, output_tokens=_answer_tokens(seat, asked)))
        for stage in _STAGES[plan.strategy](plan)
        for seat in _dearest(stage, prompt, asked)
    ]
    prices = [cost_usd(seat.model.price, usage) for seat, usage in calls]
    known = [price for price in prices if price is not None]
    return WorstCase(
        calls=len(calls),
        input_tokens=sum(usage.input_tokens or 0 for _, usage in calls),
        output_tokens=sum(usage.output_tokens or 0 for _, usage in calls),
        cost_usd=sum(known) if len(known) == len(prices) else None,
        bounded=asked is not None or all(seat.model.max_output_tokens is not None for seat, _ in calls),
    )


def _prompt_tokens(plan: Plan, request: ChatRequest) -> int:
    """What limits are reserved by, for the same request if it asked for no answer at all."""
    silent = replace(request, params={**request.params, "max_tokens": 0})
    return need_of(plan.seats[0], silent).tokens


def _answer_tokens(seat: Seat, asked: int | None) -> int:
    caps = [cap for cap in (asked, seat.model.max_output_tokens) if cap is not None]
    return min(caps, default=UNBOUNDED_TOKENS)


def _dearest(stage: _Stage, prompt: int, asked: int | None) -> list[Seat]:
    """The seats of a stage's calls: the dearest of its pool, the very dearest again where the pool is too small.

    One without a price counts as the dearest, since nobody knows.
    """

    def price(seat: Seat) -> float:
        known = cost_usd(seat.model.price, Usage(input_tokens=prompt, output_tokens=_answer_tokens(seat, asked)))
        return float("inf") if known is None else known

    ordered = sorted(stage.pool, key=price, reverse=True)
    return [*ordered[: stage.calls], *ordered[:1] * (stage.calls - len(ordered))]


# --- the calls of each strategy ---------------------------------------------------------------------------------------


def _walk(plan: Plan) -> Iterable[_Stage]:
    again = 1 if any(seat.provider.retries for seat in plan.seats) else 0  # one of them may be asked once more
    return [_Stage(len(plan.seats) + again, plan.seats)]


def _vote(plan: Plan) -> Iterable[_Stage]:
    options = plan.options.free_text or plan.registry.strategies[plan.strategy].get("free_text")
    more = 2 if options == "cluster" else 1  # one call groups, and once more if it cannot be read; or one breaks a tie
    return [_Stage(voters(plan) + more, plan.seats)]


def _synthesis(plan: Plan) -> Iterable[_Stage]:
    drafts = _members(plan)
    return [_Stage(drafts, plan.seats), _Stage(2, _chairs(plan), drafts)]  # a synthesiser that fails has a next one


def _council(plan: Plan) -> Iterable[_Stage]:
    members = _members(plan)
    return [
        _Stage(members, plan.seats),
        _Stage(members, plan.seats, members - 1),
        _Stage(1, _chairs(plan), 2 * members),  # all drafts, and what everybody said of them
    ]


_STAGES: Mapping[Strategy, Callable[[Plan], Iterable[_Stage]]] = {
    "single-query": _walk,
    "ranked-fallback": _walk,
    "majority-vote": _vote,
    "synthesize-best": _synthesis,
    "council": _council,
}


def _members(plan: Plan) -> int:
    tier = plan.registry.tiers[plan.options.tier]
    return min(plan.options.council_size or tier.council_size, len(plan.seats))


def _chairs(plan: Plan) -> tuple[Seat, ...]:
    """Who may write the answer; one of the plan's seats where nobody else can."""
    return plan.chairs or plan.seats
