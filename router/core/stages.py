"""The stages of a decision, reported while it is made: one list of types, shared by the daemon and the command line.

On the wire a stage is a JSON object whose `stage` names its type: `{"stage": "chair", "provider": …, "model": …}`.
Readers ignore unknown stages and fields, since a newer daemon may send more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, get_args


@dataclass(frozen=True, slots=True)
class SeatsAsked:
    """A strategy begins: the seats it asks first, and the most calls it may make over all of its stages."""

    stage: ClassVar[str] = "plan"
    strategy: str
    seats: tuple[Mapping[str, str], ...]  # {"provider": …, "model": …}
    calls: int


@dataclass(frozen=True, slots=True)
class VoteEnded:
    """An attempt has ended, whatever its outcome."""

    stage: ClassVar[str] = "vote"
    provider: str
    model: str
    role: str
    outcome: str
    error_type: str | None
    ms: int


@dataclass(frozen=True, slots=True)
class VotesTallied:
    """The weight behind each answer so far, and the number of votes still out."""

    stage: ClassVar[str] = "tally"
    counts: Mapping[str, float]
    out: int


@dataclass(frozen=True, slots=True)
class AnswersGrouped:
    """Free-text answers were grouped by meaning; `known` is False if no grouping could be parsed."""

    stage: ClassVar[str] = "groups"
    groups: int
    known: bool


@dataclass(frozen=True, slots=True)
class DraftsGathered:
    """The drafts are complete: the number planned, and the number that can be used."""

    stage: ClassVar[str] = "drafts"
    planned: int
    usable: int
    ms: float


@dataclass(frozen=True, slots=True)
class RepairsAsked:
    """Ballots that could not be parsed are asked for once more, by this number of calls."""

    stage: ClassVar[str] = "repairs"
    calls: int


@dataclass(frozen=True, slots=True)
class BallotRead:
    """One reviewer's valid ballot: the seats it ranked, best first."""

    stage: ClassVar[str] = "ballot"
    reviewer: str
    ranking: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BallotsCounted:
    """All ballots are in: the number that count, and the number that could not be parsed."""

    stage: ClassVar[str] = "ballots"
    counted: int
    spoiled: int


@dataclass(frozen=True, slots=True)
class DraftsRanked:
    """The drafts as ranked by the ballots, best first, each named by the seat that wrote it."""

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
    """The chair's stage is over, after this number of calls."""

    stage: ClassVar[str] = "written"
    calls: int
    ms: float


@dataclass(frozen=True, slots=True)
class Escalated:
    """A vote was too weak, and another strategy and tier take over."""

    stage: ClassVar[str] = "escalated"
    strategy: str
    tier: str


@dataclass(frozen=True, slots=True)
class StreamCut:
    """A stream broke after part of the answer had been sent; with `goes_on` another seat continues it."""

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
    """The stage as a JSON object, the value of `quorum.event` in a stream."""
    return {"stage": stage.stage, **asdict(stage)}


def from_document(document: Any) -> Stage | None:
    """The stage from such an object; None if its type is unknown or a field is missing. Values are not checked."""
    kind = STAGES.get(str(document.get("stage"))) if isinstance(document, Mapping) else None
    names = [field.name for field in fields(kind)] if kind else []
    if kind is None or not all(name in document for name in names):
        return None
    return kind(**{name: document[name] for name in names})
