"""The stages of a decision, as they are told while it is made: one list of types for the daemon and its terminal.

On the wire a stage is a JSON object whose `stage` names its type: `{"stage": "chair", "provider": …, "model": …}`.
Whoever reads them leaves out what it does not know, since a newer daemon may tell more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, get_args


@dataclass(frozen=True, slots=True)
class SeatsAsked:
    """A strategy begins: the seats it asks first, and how many calls it may make at most, over all of its stages."""

    stage: ClassVar[str] = "plan"
    strategy: str
    seats: tuple[Mapping[str, str], ...]  # {"provider": …, "model": …}
    calls: int


@dataclass(frozen=True, slots=True)
class VoteEnded:
    """An attempt has ended, whatever came of it."""

    stage: ClassVar[str] = "vote"
    provider: str
    model: str
    role: str
    outcome: str
    error_type: str | None
    ms: int


@dataclass(frozen=True, slots=True)
class VotesTallied:
    """The weight behind each answer so far, and how many votes are still out."""

    stage: ClassVar[str] = "tally"
    counts: Mapping[str, float]
    out: int


@dataclass(frozen=True, slots=True)
class AnswersGrouped:
    """Answers in free text were grouped by what they say; `known` is False where no grouping could be read."""

    stage: ClassVar[str] = "groups"
    groups: int
    known: bool


@dataclass(frozen=True, slots=True)
class DraftsGathered:
    """The drafts are there: so many were planned, so many can be used."""

    stage: ClassVar[str] = "drafts"
    planned: int
    usable: int
    ms: float


@dataclass(frozen=True, slots=True)
class RepairsAsked:
    """So many ballots could not be read and are asked for once more."""

    stage: ClassVar[str] = "repairs"
    calls: int


@dataclass(frozen=True, slots=True)
class BallotRead:
    """A reviewer's ballot counts: the seats it ranked, best first."""

    stage: ClassVar[str] = "ballot"
    reviewer: str
    ranking: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BallotsCounted:
    """All ballots are in: so many count, so many reviewers said nothing that could be read."""

    stage: ClassVar[str] = "ballots"
    counted: int
    spoiled: int


@dataclass(frozen=True, slots=True)
class DraftsRanked:
    """The drafts in the order that the ballots give them, best first, by the seats that wrote them."""

    stage: ClassVar[str] = "ranking"
    ranking: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChairAsked:
    """This seat is asked to write the answer."""

    stage: ClassVar[str] = "chair"
    provider: str
    model: str


@dataclass(frozen=True, slots=True)
class AnswerWritten:
    """The stage of the chair is over, after so many calls."""

    stage: ClassVar[str] = "written"
    calls: int
    ms: float


@dataclass(frozen=True, slots=True)
class Escalated:
    """A vote came out weak, and another strategy goes on in another tier."""

    stage: ClassVar[str] = "escalated"
    strategy: str
    tier: str


@dataclass(frozen=True, slots=True)
class StreamCut:
    """A stream broke after part of the answer had gone out; with `goes_on` another seat continues it."""

    stage: ClassVar[str] = "cut"
    provider: str
    model: str
    goes_on: bool


Stage = (
    SeatsAsked
    | VoteEnded
    | VotesTallied
    | AnswersGrouped
    | DraftsGathered
    | RepairsAsked
    | BallotRead
    | BallotsCounted
    | DraftsRanked
    | ChairAsked
    | AnswerWritten
    | Escalated
    | StreamCut
)
STAGES: Mapping[str, type[Stage]] = {kind.stage: kind for kind in get_args(Stage)}


def to_document(stage: Stage) -> dict[str, Any]:
    """The stage as the object that stands in `quorum.event` of a stream."""
    return {"stage": stage.stage, **asdict(stage)}


def from_document(document: Any) -> Stage | None:
    """The stage of such an object; None for one that is not known here or lacks a field. Values are not checked."""
    kind = STAGES.get(str(document.get("stage"))) if isinstance(document, Mapping) else None
    names = [field.name for field in fields(kind)] if kind else []
    if kind is None or not all(name in document for name in names):
        return None
    return kind(**{name: document[name] for name in names})
