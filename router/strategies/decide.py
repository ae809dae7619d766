"""The switch between the strategies: the one place where a strategy's name becomes its code."""

from __future__ import annotations

from router.calls.calls import Calls
from router.core.decision import Choice
from router.core.plan import Plan
from router.strategies.fusion.council import council
from router.strategies.fusion.synthesize_best import synthesize_best
from router.strategies.majority.majority_vote import majority_vote
from router.strategies.ranked_fallback import ranked_fallback
from router.strategies.single_query import single_query


async def decide(plan: Plan, calls: Calls) -> Choice:
    """Runs the plan's strategy to its decision."""
    match plan.strategy:
        case "single-query":
            return await single_query(plan, calls)
        case "majority-vote":
            return await majority_vote(plan, calls)
        case "synthesize-best":
            return await synthesize_best(plan, calls)
        case "ranked-fallback":
            return await ranked_fallback(plan, calls)
        case "council":
            return await council(plan, calls)
