"""What follows a vote that came out weak, where the registry names a strategy for that; pure."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.types import NOTHING
from router.core.decision import Choice
from router.core.plan import Plan
from router.core.registry import STRATEGIES, Registry, Strategy


@dataclass(frozen=True, slots=True)
class Escalation:
    """The strategy and tier to go on with when a vote lacks quorum or majority, or agrees less than `below`."""

    strategy: Strategy
    tier: str
    below: float

    def is_due(self, decision: Choice) -> bool:
        """Whether a decision is too weak to stand; what is refused as a request stays refused."""
        if decision.winner is None:
            return decision.error is not None and decision.error.code == "no_quorum"
        weak = decision.low_confidence or decision.quorum_met is False
        return weak or (decision.agreement is not None and decision.agreement < self.below)


def escalation(plan: Plan) -> Escalation | None:
    """Where a plan's strategy escalates to; None where it does not."""
    options = plan.registry.strategies.get(plan.strategy, NOTHING)
    if plan.options.pinned or not options.get("escalate"):
        return None
    strategy, tier = parse(plan.registry, options["escalate"])
    return Escalation(strategy or "synthesize-best", tier or plan.options.tier, options.get("escalate_below") or 0.0)


def parse(registry: Registry, text: str) -> tuple[Strategy | None, str | None]:
    """`tier/strategy`, or one of the two, as a request's model would name them."""
    parts = text.split("/")
    strategy = next((strategy for strategy in STRATEGIES if strategy in parts), None)
    return strategy, next((part for part in parts if part in registry.tiers), None)
