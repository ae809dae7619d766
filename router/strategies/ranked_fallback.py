"""ranked-fallback: every seat of the tier, in rank order, until one answers or the deadline ends."""

from __future__ import annotations

from router.calls.calls import Calls
from router.core.decision import Choice
from router.core.plan import Plan


async def ranked_fallback(plan: Plan, calls: Calls) -> Choice:
    """Asks the plan's seats in rank order; equal ranks share the load."""
    return await calls.answer(plan.seats)
