"""The strategies, and the switch between them: some votes, then one answer."""

from __future__ import annotations

from router.calls import Calls, Decision
from router.plan import Plan
from router.registry.model import Strategy
from router.strategies.ranked_fallback import ranked_fallback
from router.strategies.single_query import single_query

BUILT: frozenset[Strategy] = frozenset({"single-query", "ranked-fallback"})


class NotBuilt(Exception):
    """The strategy is part of the interface, but this version does not have it yet."""


async def decide(plan: Plan, calls: Calls) -> Decision:
    """Runs the plan's strategy to its decision; raises `NotBuilt` for a strategy this version does not have."""
    match plan.strategy:
        case "single-query":
            return await single_query(plan, calls)
        case "ranked-fallback":
            return await ranked_fallback(plan, calls)
        case "majority-vote" | "synthesize-best" | "council":
            raise NotBuilt(plan.strategy)
