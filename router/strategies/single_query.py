"""single-query: the best-placed seat answers; if it fails before its first byte, up to two others may."""

from __future__ import annotations

from router.calls.calls import Calls
from router.core.decision import Choice
from router.core.plan import Plan


async def single_query(plan: Plan, calls: Calls) -> Choice:
    """Asks the plan's seats one after another; the plan holds no more than the strategy may ask."""
    return await calls.answer(plan.seats)
