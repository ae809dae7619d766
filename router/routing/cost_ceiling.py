"""The most that a planned request may cost: every call, at the dearest seats, with the longest answers. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from adapters.types import ChatRequest, Usage
from router.core.plan import Plan
from router.core.registry import Seat
from router.core.tokens import prompt_tokens
from router.core.vote import cost_usd
from router.strategies.table import STRATEGIES, StagePlan

UNBOUNDED_TOKENS = 4_096  # taken as the length of an answer where neither the request nor the registry bounds it


@dataclass(frozen=True, slots=True)
class StageCalls:
    """One stage of a strategy and its calls in the worst case."""

    stage: str
    calls: int


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
    stages: tuple[StageCalls, ...] = ()


def worst_case(plan: Plan, request: ChatRequest) -> WorstCase:
    """What the plan's strategy may spend if everything that can go wrong does, and its dearest seats are asked."""
    stages = STRATEGIES[plan.strategy].stages(plan)
    lengths = _Lengths.of(stages, request)
    calls = [(stage, seat) for stage in stages for seat in _dearest(stage, lengths)]
    usages = [(seat, lengths.usage(stage, seat)) for stage, seat in calls]
    prices = [cost_usd(seat.model.price, usage) for seat, usage in usages]
    known = [price for price in prices if price is not None]
    return WorstCase(
        calls=len(calls),
        input_tokens=sum(usage.input_tokens or 0 for _, usage in usages),
        output_tokens=sum(usage.output_tokens or 0 for _, usage in usages),
        cost_usd=sum(known) if len(known) == len(prices) else None,
        bounded=all(lengths.bound(stage, seat) is not None for stage, seat in calls),
        stages=tuple(StageCalls(stage.name, stage.calls) for stage in stages),
    )


@dataclass(frozen=True, slots=True)
class _Lengths:
    """The tokens of the prompt, those that the caller allows an answer, and those of the longest answer to it."""

    prompt: int
    asked: int | None
    longest: int

    @classmethod
    def of(cls, stages: tuple[StagePlan, ...], request: ChatRequest) -> _Lengths:
        alone = cls(prompt_tokens(request), request.params.get("max_tokens"), 0)
        answers = (alone.answer(stage, seat) for stage in stages if stage.capped for seat in stage.pool)
        return replace(alone, longest=max(answers, default=0))

    def usage(self, stage: StagePlan, seat: Seat) -> Usage:
        """The most that one call takes."""
        read = self.prompt + stage.reads * self.longest + stage.extra_tokens
        return Usage(input_tokens=read, output_tokens=self.answer(stage, seat))

    def answer(self, stage: StagePlan, seat: Seat) -> int:
        """The most tokens of an answer."""
        bound = self.bound(stage, seat)
        return UNBOUNDED_TOKENS if bound is None else bound

    def bound(self, stage: StagePlan, seat: Seat) -> int | None:
        """The lower of what the caller and the registry allow; None where neither says anything."""
        caps = (self.asked if stage.capped else None, seat.model.max_output_tokens)
        return min((cap for cap in caps if cap is not None), default=None)


def _dearest(stage: StagePlan, lengths: _Lengths) -> list[Seat]:
    """The seats of a stage's calls: the dearest of its pool, the very dearest again where the pool is too small.

    One without a price counts as the dearest, since nobody knows.
    """

    def price(seat: Seat) -> float:
        known = cost_usd(seat.model.price, lengths.usage(stage, seat))
        return float("inf") if known is None else known

    ordered = sorted(stage.pool, key=price, reverse=True)
    return [*ordered[: stage.calls], *ordered[:1] * (stage.calls - len(ordered))]
