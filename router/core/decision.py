"""The choice of a strategy, and the decision on a request: the winning vote, and each vote's part in the decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from adapters.errors import ErrorKind, ProviderError
from adapters.types import NOTHING, Answer
from router.core.context import RequestContext
from router.core.plan import Plan
from router.core.vote import Spent, Vote

RefusalCode = Literal["no_quorum", "free_text_vote", "no_seat", "cancelled", "draining"]
RequestOutcome = Literal["ok", "failed", "client_gone"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the router itself gives no answer, as opposed to a provider's failure; `message` is for people."""

    code: RefusalCode
    message: str
    kind: ErrorKind  # its error type in the logs


@dataclass(frozen=True, slots=True)
class Mark:
    """What a decision says about one vote; stored in the vote's row.

    `valid` False is a spoiled vote; None means valid if the attempt had an answer. `weight` None is the registry's.
    """

    answer_key: str | None = None
    valid: bool | None = None
    counted: bool = False
    agreed: bool | None = None
    ballot: Mapping[str, Any] | None = None
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The result of a strategy: the winning vote, or the error for the caller.

    `rule` and `seed` suffice to repeat the choice from the votes' rows (replay); `flags` name deviations from the plan;
    `marks` are keyed by vote id; `details` are returned with `explain`. `agreement` and `margin` are shares, 0 to 1.
    """

    winner: Vote | None = None
    error: ProviderError | Refusal | None = None
    votes_planned: int = 1
    votes_counted: int = 0
    agreement: float | None = None
    margin: float | None = None
    tie: bool | None = None
    quorum_met: bool | None = None
    low_confidence: bool = False
    answer_key: str | None = None
    seed: int | None = None
    rule: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    flags: tuple[str, ...] = ()
    marks: Mapping[str, Mark] = field(default_factory=lambda: NOTHING)
    details: Mapping[str, Any] = field(default_factory=lambda: NOTHING)

    @property
    def answer(self) -> Answer | None:
        """The answer for the caller, None without a winner."""
        return self.winner.answer if self.winner else None


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision on a request: the choice, the plan it was made by, and all votes in the order in which they ended.

    `spent` sums up the votes. `free_in_s` is the time in seconds until a seat of the plan can be asked again; None if
    unknown, or if there is an answer.
    """

    choice: Choice
    plan: Plan
    votes: tuple[Vote, ...]
    spent: Spent
    free_in_s: float | None = None


@dataclass(frozen=True, slots=True)
class RequestEnded:
    """The event that a request has ended, whatever its outcome; `http_status` is the status of its response.

    `overhead_ms` is the part of the duration that no vote accounts for, `first_token_ms` the time from the start of the
    request to the first token of the winning vote. Both are worked out once, since several subscribers want them.
    """

    context: RequestContext
    decision: Decision
    outcome: RequestOutcome
    http_status: int
    duration_ms: float
    overhead_ms: float
    first_token_ms: float | None
