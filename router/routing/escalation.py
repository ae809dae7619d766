"""Whether a decision is so weak that another strategy takes over, where the registry names one; pure."""

from __future__ import annotations

from router.core.decision import Choice, Refusal
from router.core.plan import Plan


def is_due(plan: Plan, choice: Choice) -> bool:
    """Whether a choice is too weak to stand, so that `plan.onward` takes over; a refused request stays refused.

    Weak is one without quorum or majority, or with less agreement than the registry asks for.
    """
    onward = plan.registry.strategies[plan.strategy].escalate
    if onward is None or plan.onward is None:
        return False
    if choice.winner is None:
        return isinstance(choice.error, Refusal) and choice.error.code == "no_quorum"
    weak = choice.low_confidence or choice.quorum_met is False
    return weak or (choice.agreement is not None and choice.agreement < onward.below)
