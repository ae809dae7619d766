"""What is known of a vote or council under way: each seat's state, the count, the ballots, in lines for a terminal.

The daemon tells its progress as events: a `stage` and its facts. All names and answers in them are hostile text. What
nobody here knows is left out: a newer daemon may tell more.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.types import NOTHING
from router.core.text import printable

Event = Mapping[str, Any]
Paint = Callable[[str, str], str]
"""(text, the number of a colour) → the same text in that colour, or as it is."""

MOST_LINES = 60
_ASKING = "asking…"
_MOST_CHARS = 200
_MOST_COUNTED = 1e9
_BAR = 20  # characters of the longest bar of a tally
_COLOURS = {None: "2", True: "32", False: "31"}  # dim, green, red


@dataclass(frozen=True, slots=True)
class Row:
    """One seat that is asked; `good` is None until it has answered or failed."""

    seat: str
    state: str = _ASKING
    good: bool | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """All events so far: the seats in the order they were named in, the count by answer, and what else was told."""

    rows: tuple[Row, ...] = ()
    counts: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    notes: tuple[str, ...] = ()

    def after(self, event: Event) -> Scene:
        """The scene with one more event in it; the order does not matter, and unknown stages change nothing."""
        match event.get("stage"):
            case "plan":
                return self._planned([_name(seat) for seat in _list(event.get("seats"))])
            case "vote" | "draft":
                return self._answered(_row(event))
            case "tally":
                return replace(self, counts=_counts(event))
            case _:
                note = told(event)
                return replace(self, notes=(*self.notes, note)[-MOST_LINES:]) if note else self

    def _planned(self, seats: list[str]) -> Scene:
        """Seats that have answered before they were named keep their answer."""
        for row in self.rows:
            if row.seat in seats:
                seats.remove(row.seat)
        return replace(self, rows=(*self.rows, *map(Row, seats))[:MOST_LINES])

    def _answered(self, row: Row) -> Scene:
        waiting = next((at for at, known in enumerate(self.rows) if known == Row(row.seat)), len(self.rows))
        return replace(self, rows=(*self.rows[:waiting], row, *self.rows[waiting + 1 :])[:MOST_LINES])

    def settled(self) -> Scene:
        """The scene once the answer comes: nobody is waited for any more."""
        return replace(self, rows=tuple(row for row in self.rows if row.good is not None))


# --- what is said of it -----------------------------------------------------------------------------------------------


def told(event: Event) -> str | None:
    """An event in one line; None for stages that have nothing to say, or that nobody here knows."""
    words = _WORDS.get(str(event.get("stage")))
    return words(event) if words else None


def _plan(event: Event) -> str:
    return "asking " + ", ".join(map(_name, _list(event.get("seats"))))


def _vote(event: Event) -> str:
    row = _row(event)
    return f"{row.seat}  {row.state}"


def _tally(event: Event) -> str:
    return ", ".join(f"{key} {number:g}" for key, number in _counts(event).items())


def _seam(event: Event) -> str:
    return f"{_name(event)} goes on where the answer was cut"


_WORDS: Mapping[str, Callable[[Event], str]] = {
    "plan": _plan,
    "vote": _vote,
    "draft": _vote,
    "tally": _tally,
    "ballot": lambda event: f"{_name(event.get('reviewer'))} ranks {_ranking(event)}",
    "ranking": lambda event: f"ranking: {_ranking(event)}",
    "chair": lambda event: f"{_name(event)} writes the answer",
    "seam": _seam,
}
_ANSWERED = {"draft": "draft is there"}


def _row(event: Event) -> Row:
    good = event.get("outcome", "ok") == "ok"
    told_by = (event.get("answer_key"),) if good else (event.get("error_type"), event.get("outcome"))
    state = next((_line(said) for said in told_by if said), _ANSWERED.get(str(event.get("stage")), "answered"))
    ms = event.get("ms")
    return Row(_name(event), f"{state}  {ms:.0f} ms" if isinstance(ms, int | float) else state, good)


def _counts(event: Event) -> dict[str, float]:
    counts = event.get("counts")
    found = counts.items() if isinstance(counts, Mapping) else ()
    return {
        _line(key): number for key, number in found if isinstance(number, int | float) and 0 <= number < _MOST_COUNTED
    }


def _ranking(event: Event) -> str:
    return " > ".join(map(_name, _list(event.get("ranking")))) or "nothing"


def _name(value: Any) -> str:
    """A seat, given as its name, as an object with provider and model, or as several that share a place."""
    match value:
        case {"provider": provider, "model": model}:
            return _line(f"{provider}/{model}")
        case list():
            return " = ".join(map(_name, value))
        case None | Mapping():
            return "somebody"
        case _:
            return _line(value)


def _list(value: Any) -> Sequence[Any]:
    return value[:MOST_LINES] if isinstance(value, list) else ()


def _line(value: Any) -> str:
    return " ".join(printable(str(value)[:_MOST_CHARS]).split())


def lines(scene: Scene, width: int, paint: Paint) -> list[str]:
    """The scene in lines of at most `width` columns; `paint(text, colour)` colours what is shown of a row."""
    longest = max((_columns(row.seat) for row in scene.rows), default=0)
    drawn = [
        paint(fit(f"{row.seat}{' ' * (longest - _columns(row.seat))}  {row.state}", width), _COLOURS[row.good])
        for row in scene.rows
    ]
    most = max(scene.counts.values(), default=0)
    names = max((_columns(key) for key in scene.counts), default=0)
    bars = [
        fit(f"{key}{' ' * (names - _columns(key))}  {'█' * _length(number, most)} {number:g}", width)
        for key, number in scene.counts.items()
    ]
    return [*drawn, *bars, *(fit(note, width) for note in scene.notes)]


def _length(number: float, most: float) -> int:
    return max(1, round(_BAR * number / most)) if number > 0 else 0


def _columns(text: str) -> int:
    return sum(map(_wide, text))


def _wide(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def fit(text: str, width: int) -> str:
    """`text`, cut so that a terminal does not wrap it: a line that takes two rows would spoil the next drawing."""
    if _columns(text) <= width:
        return text
    kept, used = "", 1
    for char in text:
        if (used := used + _wide(char)) > width:
            break
        kept += char
    return kept + "…"
