"""What a strategy decides: which vote is the answer, what every vote counted for, and by which rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.errors import ProviderError
from adapters.types import NOTHING, Answer
from router.vote import Vote


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
class Decision:
    """How a strategy ended: with the winning vote, or with the error that is the caller's.

    `rule` and `seed` are all that is needed to decide again from the votes' rows; `flags` are words for what went
    otherwise than planned; `marks` go by vote id; `details` are shown to those who ask for an explanation.
    """

    winner: Vote | None = None
    error: ProviderError | None = None
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
