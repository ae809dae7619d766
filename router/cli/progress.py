"""What is known of a decision under way, as frozen values: a scene to draw, and each stage in one line of words.

Stages come from the wire: their fields may hold anything, so everything here is total. All names in them are hostile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.types import NOTHING
from router.cli.format import many
from router.core.stages import (
    AnswersGrouped,
    AnswerWritten,
    BallotRead,
    BallotsCounted,
    ChairAsked,
    DraftsGathered,
    DraftsRanked,
    Escalated,
    RepairsAsked,
    SeatsAsked,
    Stage,
    StreamCut,
    VoteEnded,
    VotesTallied,
)
from router.core.text import one_line

MOST_LINES = 60
_ASKING = "asking…"
_MOST_CHARS = 200
_MOST_COUNTED = 1e9
_ENDED = {  # what a seat has done when its vote of this role went well
    "answer": "answered",
    "draft": "drafted",
    "ballot": "ranked the drafts",
    "chair": "wrote the answer",
    "judge": "judged",
    "hedge": "answered as a hedge",
    "shadow": "answered as a shadow",
}


@dataclass(frozen=True, slots=True)
class SeatRow:
    """One seat that is asked; `good` is None until its attempt has ended."""

    seat: str
    state: str = _ASKING
    good: bool | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """All stages so far: the strategy, its seats in the order they were named in, the tally, and notes on the rest."""

    title: str = ""
    rows: tuple[SeatRow, ...] = ()
    counts: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    out: str = ""
    notes: tuple[str, ...] = ()

    def after(self, stage: Stage) -> Scene:
        """The scene with one more stage in it; a vote may come before the seat it belongs to is named."""
        match stage:
            case SeatsAsked():
                return self._planned(stage)
            case VoteEnded():
                return self._answered(_row(stage))
            case VotesTallied():
                return replace(self, counts=_counts(stage), out=many(stage.out, "vote"))
            case _:
                return replace(self, notes=(*self.notes, in_words(stage))[-MOST_LINES:])

    def _planned(self, stage: SeatsAsked) -> Scene:
        """Adds the seats; those that have answered already keep their answer."""
        seats = _names(stage.seats)
        title = f"{_name(stage.strategy)}, at most {many(stage.calls, 'call')}"
        for row in self.rows:
            if row.seat in seats:
                seats.remove(row.seat)
        return replace(self, title=title, rows=(*self.rows, *map(SeatRow, seats))[:MOST_LINES])

    def _answered(self, row: SeatRow) -> Scene:
        waiting = next((at for at, known in enumerate(self.rows) if known == SeatRow(row.seat)), len(self.rows))
        return replace(self, rows=(*self.rows[:waiting], row, *self.rows[waiting + 1 :])[:MOST_LINES])

    def settled(self) -> Scene:
        """The scene once the answer comes: no seat is waited for any more."""
        return replace(self, rows=tuple(row for row in self.rows if row.good is not None), out="")


# --- in words ---------------------------------------------------------------------------------------------------------


def in_words(stage: Stage) -> str:
    """A stage in one line."""
    return _WORDS[type(stage)](stage)


def _seats(stage: SeatsAsked) -> str:
    seats = ", ".join(_names(stage.seats)) or "no seat"
    return f"{_name(stage.strategy)} asks {seats}, at most {many(stage.calls, 'call')}"


def _vote(stage: VoteEnded) -> str:
    row = _row(stage)
    return f"{row.seat}  {row.state}"


def _tally(stage: VotesTallied) -> str:
    counts = ", ".join(f"{key} {number:g}" for key, number in _counts(stage).items()) or "nothing yet"
    return f"tally: {counts}; {many(stage.out, 'vote')} still out"


def _groups(stage: AnswersGrouped) -> str:
    return f"the answers form {many(stage.groups, 'group')}" if stage.known else "the answers could not be grouped"


def _drafts(stage: DraftsGathered) -> str:
    return f"{many(stage.usable, 'usable draft')} of {many(stage.planned, 'seat')}{_after(stage.ms)}"


def _ballots(stage: BallotsCounted) -> str:
    return f"{many(stage.counted, 'ballot')} counted, {many(stage.spoiled, 'ballot')} spoiled"


def _cut(stage: StreamCut) -> str:
    onward = "another seat goes on" if stage.goes_on else "the answer ends there"
    return f"{_seat(stage)} broke off in mid-answer; {onward}"


_WORDS: Mapping[type[Stage], Callable[[Any], str]] = {
    SeatsAsked: _seats,
    VoteEnded: _vote,
    VotesTallied: _tally,
    AnswersGrouped: _groups,
    DraftsGathered: _drafts,
    RepairsAsked: lambda stage: f"{many(stage.calls, 'unreadable ballot')} asked for again",
    BallotRead: lambda stage: f"{_name(stage.reviewer)} ranks {_ranking(stage)}",
    BallotsCounted: _ballots,
    DraftsRanked: lambda stage: f"ranking: {_ranking(stage)}",
    ChairAsked: lambda stage: f"{_seat(stage)} writes the answer",
    AnswerWritten: lambda stage: f"the answer is written, after {many(stage.calls, 'call')}{_after(stage.ms)}",
    Escalated: lambda stage: f"the vote was weak: {_name(stage.strategy)} goes on in tier {_name(stage.tier)}",
    StreamCut: _cut,
}


def _row(stage: VoteEnded) -> SeatRow:
    good = stage.outcome == "ok"
    role = stage.role if isinstance(stage.role, str) else ""
    done = _ENDED.get(role, "answered") if good else _name(stage.error_type or stage.outcome)
    failed_as = f"{_name(role)}: " if role not in ("", "answer") and not good else ""
    return SeatRow(_seat(stage), f"{failed_as}{done}{_after(stage.ms)}", good)


def _counts(stage: VotesTallied) -> dict[str, float]:
    found = list(stage.counts.items())[:MOST_LINES] if isinstance(stage.counts, Mapping) else ()
    return {_name(key): number for key, number in found if _is_number(number)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MOST_COUNTED


def _after(ms: Any) -> str:
    return f"  {ms:.0f} ms" if _is_number(ms) else ""


def _ranking(stage: BallotRead | DraftsRanked) -> str:
    return " > ".join(_names(stage.ranking)) or "nothing"


def _names(values: Any) -> list[str]:
    return [_name(value) for value in values[:MOST_LINES]] if isinstance(values, list | tuple) else []


def _seat(stage: VoteEnded | ChairAsked | StreamCut) -> str:
    return f"{_name(stage.provider)}/{_name(stage.model)}"


def _name(value: Any) -> str:
    """A seat, given as its name or as an object, or any other word; one printable line."""
    match value:
        case {"provider": provider, "model": model}:
            return f"{_word(provider)}/{_word(model)}"
        case _:
            return _word(value)


def _word(value: Any) -> str:
    text = value if isinstance(value, str) else f"{value:g}" if _is_number(value) else ""
    return one_line(text[:_MOST_CHARS]) or "?"
