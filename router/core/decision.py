"""What a strategy chooses, and the decision it becomes: which vote is the answer, and what every vote counted for."""

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
    """Why we ourselves give no answer, whatever the providers did; `message` is one sentence for people."""

    code: RefusalCode
    message: str
    kind: ErrorKind  # what the log files it under


@dataclass(frozen=True, slots=True)
class Mark:
    """What a decision says of one vote; it is written to the vote's row.

    `valid` False is a spoiled vote, None leaves it to whether there was an answer at all.
    """

    answer_key: str | None = None
    valid: bool | None = None
    counted: bool = False
    agreed: bool | None = None
    ballot: Mapping[str, Any] | None = None
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """How a strategy ended: with the winning vote, or with the error that is the caller's.

    `rule` and `seed` are all that is needed to choose again from the votes' rows; `flags` are words for what went
    otherwise than planned; `marks` go by vote id; `details` are shown to those who ask for an explanation.
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
        """What the caller gets."""
        return self.winner.answer if self.winner else None


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of a request: the choice, the plan it was made by, and every vote, in the order in which they ended.

    `spent` sums up the votes. `free_in_s` is how soon one of the plan's seats can be asked again, in seconds; None
    where nobody knows, or where there is an answer.
    """

    choice: Choice
    plan: Plan
    votes: tuple[Vote, ...]
    spent: Spent
    free_in_s: float | None = None


@dataclass(frozen=True, slots=True)
class RequestEnded:
    """The event that a request has ended, whatever came of it; `http_status` is what its door told the caller."""

    context: RequestContext
    decision: Decision
    outcome: RequestOutcome
    http_status: int
    duration_ms: float

    @property
    def overhead_ms(self) -> float:
        """What of its time no vote accounts for."""
        return max(0.0, self.duration_ms - self.decision.spent.duration_ms)

    @property
    def first_token_ms(self) -> float | None:
        """From the start of the request to the first token of its answer."""
        winner = self.decision.choice.winner
        if winner is None or winner.first_token_ms is None:
            return None
        return winner.arrival_ms - winner.duration_ms + winner.first_token_ms
