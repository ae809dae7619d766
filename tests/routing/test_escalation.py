"""Escalation: when a vote is weak enough for another strategy to take over, and which one does."""

from __future__ import annotations

import random

import pytest

from adapters.errors import ErrorKind, ProviderError
from router.core.context import Options
from router.core.decision import Choice, Refusal
from router.core.plan import Plan
from router.routing.escalation import is_due
from router.routing.planner import make_plan
from tests.core.test_vote import vote
from tests.support.small_registry import CLEAR, REGISTRY, asking, registry


def voted(escalate: str, **options: object) -> Plan:
    text = REGISTRY.replace("providers:\n", f"strategies: {{majority-vote: {{{escalate}}}}}\nproviders:\n", 1)
    wanted = Options(**{"strategy": "majority-vote", "tier": "cheap", **options})  # type: ignore[arg-type]
    return make_plan(registry(text), wanted, asking(), CLEAR, rng=random.Random(1))


@pytest.mark.parametrize(
    ("choice", "due"),
    [
        (Choice(winner=vote(), quorum_met=True, agreement=1.0), False),
        (Choice(winner=vote(), quorum_met=True, agreement=0.7), False),
        (Choice(winner=vote(), quorum_met=True, agreement=0.69), True),
        (Choice(winner=vote(), quorum_met=False, agreement=1.0), True),
        (Choice(winner=vote(), quorum_met=True, agreement=1.0, low_confidence=True), True),
        (Choice(error=Refusal("no_quorum", "too few", ErrorKind.OVERLOADED)), True),
        (Choice(error=Refusal("free_text_vote", "prose", ErrorKind.INVALID_REQUEST)), False),
        (Choice(error=ProviderError(ErrorKind.SERVER_ERROR, "no", code="no_quorum")), False),  # a provider's own word
    ],
)
def test_a_weak_decision_escalates_and_a_refused_request_does_not(choice: Choice, due: bool) -> None:
    assert is_due(voted("escalate: complex/council, escalate_below: 0.7"), choice) is due
    assert not is_due(voted("escalate_below: 0.7"), choice)


@pytest.mark.parametrize(
    ("escalate", "onward"),
    [
        ("complex/council", ("council", "complex")),
        ("council", ("council", "cheap")),
        ("complex", ("synthesize-best", "complex")),
    ],
)
def test_what_takes_over_has_its_own_size(escalate: str, onward: tuple[str, str]) -> None:
    options = voted(f"escalate: {escalate}", council_size=5, labels=("a", "b")).onward
    assert options is not None
    assert (options.strategy, options.tier) == onward
    assert (options.council_size, options.labels) == (None, ("a", "b"))


def test_nothing_takes_over_where_the_registry_names_nothing() -> None:
    assert voted("free_text: reject").onward is None
