"""What the registry may say of each strategy, parsed once when it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from adapters.types import NOTHING

Strategy = Literal["single-query", "majority-vote", "synthesize-best", "ranked-fallback", "council"]
"""How an answer is come by. What each of them does stands in `router.strategies.table`."""
OnCut = Literal["error", "continue"]
OnNoQuorum = Literal["degrade", "fail"]
FreeText = Literal["cluster", "reject"]
CouncilStyle = Literal["quorum", "karpathy"]


@dataclass(frozen=True, slots=True)
class Hedge:
    """A second seat is asked after `after_s`, or after so many `times` the first one's p95.

    `share` bounds hedged requests: 0.02 is two of a hundred. Exactly one of the other two is set.
    """

    share: float
    after_s: float | None = None
    times: float | None = None


@dataclass(frozen=True, slots=True)
class Escalation:
    """The strategy and tier that take over from a vote without quorum or majority; a `tier` of None is the request's.

    With `below` they also take over when less than that share of the counted weight agrees, 0 to 1.
    """

    strategy: Strategy
    tier: str | None = None
    below: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyOptions:
    """Options that every strategy has; None where a strategy is not hedged or does not escalate."""

    on_cut: OnCut = "error"
    hedge: Hedge | None = None
    escalate: Escalation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkOptions(StrategyOptions):
    """Options of the strategies that ask one seat after another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteOptions(StrategyOptions):
    """Options of majority-vote; `ignore` are JSON pointers to the parts of JSON answers that do not count."""

    on_no_quorum: OnNoQuorum = "degrade"
    free_text: FreeText = "reject"
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionOptions(StrategyOptions):
    """Options of synthesize-best; `chair` is a tier or a `provider/model`, `prompts` replace wordings by their key."""

    chair: str | None = None
    prompts: Mapping[str, str] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class CouncilOptions(FusionOptions):
    """Options of council."""

    on_no_quorum: OnNoQuorum = "degrade"
    style: CouncilStyle = "quorum"
