"""What the registry may say of each strategy, parsed once when it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from adapters.types import NOTHING

OnCut = Literal["error", "continue"]
OnNoQuorum = Literal["degrade", "fail"]
FreeText = Literal["cluster", "reject"]
CouncilStyle = Literal["quorum", "karpathy"]


@dataclass(frozen=True, slots=True)
class Hedge:
    """A second seat is asked after `after_s`, or so many `times` the first one's p95; for a `share` of the requests."""

    share: float
    after_s: float | None = None
    times: float | None = None


@dataclass(frozen=True, slots=True)
class Escalation:
    """Where a vote goes on that lacks quorum or majority, or agrees less than `below` (a share of the weight)."""

    strategy: str | None
    tier: str | None
    below: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyOptions:
    """Options that every strategy has: what happens when a stream breaks, and whether a silent seat is hedged."""

    on_cut: OnCut = "error"
    hedge: Hedge | None = None
    escalate: Escalation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkOptions(StrategyOptions):
    """Options of the strategies that ask one seat after another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteOptions(StrategyOptions):
    """Options of majority-vote; `ignore` are JSON pointers to what does not count in JSON answers."""

    on_no_quorum: OnNoQuorum = "degrade"
    free_text: FreeText = "reject"
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionOptions(StrategyOptions):
    """Options of synthesize-best; `chair` is a tier or a `provider/model`, `prompts` are other wordings by key."""

    chair: str | None = None
    prompts: Mapping[str, str] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class CouncilOptions(FusionOptions):
    """Options of council."""

    on_no_quorum: OnNoQuorum = "degrade"
    style: CouncilStyle = "quorum"
