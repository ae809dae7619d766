"""Plain tables for a terminal: columns as wide as they must be, numbers to the right, long texts cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

_MAX_WIDTH = 60
_MIN_WIDTH = 8  # no column is cut below this to fit a terminal
_GAP = "  "

Row = Mapping[str, Any]
Tint = Callable[[str, str], str]
"""(column, padded text of a cell) → the same text in a colour, or as it is."""


def render(
    rows: Iterable[Row],
    columns: Sequence[str],
    *,
    fit: int | None = None,
    tint: Tint = lambda column, text: text,
) -> str:
    """The rows' `columns` under a heading; None is shown as `-`. Lines are cut to `fit` characters where that helps."""
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    wanted = [max(len(column), *(len(line[i]) for line in cells), 0) for i, column in enumerate(columns)]
    widths = wanted if fit is None else _fitted(wanted, fit)
    right = [_are_numbers([line[i] for line in cells]) for i in range(len(columns))]
    heading = [_cut(column.replace("_", " "), width) for column, width in zip(columns, widths, strict=True)]
    lines = [_padded(heading, widths, right), ["-" * width for width in widths]]
    body = [
        _padded([_cut(text, width) for text, width in zip(line, widths, strict=True)], widths, right) for line in cells
    ]
    tinted = [[tint(column, text) for column, text in zip(columns, line, strict=True)] for line in body]
    return "\n".join(_GAP.join(line).rstrip() for line in (*lines, *tinted))


def _padded(line: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> list[str]:
    return [
        text.rjust(width) if to_right else text.ljust(width)
        for text, width, to_right in zip(line, widths, right, strict=True)
    ]


def _fitted(widths: Sequence[int], fit: int) -> list[int]:
    """The widths, the widest of them made narrower until a line fits."""
    fitted = list(widths)
    excess = sum(fitted) + len(_GAP) * (len(fitted) - 1) - fit
    for _ in range(max(0, excess)):
        widest = max(range(len(fitted)), key=fitted.__getitem__)
        if fitted[widest] <= _MIN_WIDTH:
            break
        fitted[widest] -= 1
    return fitted


def _cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
        case _:
            # What models and providers say is hostile: no control character reaches the terminal.
            return _cut(
                "".join(char if char.isprintable() else " " for char in str(value)[: 4 * _MAX_WIDTH]), _MAX_WIDTH
            )


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _are_numbers(texts: Sequence[str]) -> bool:
    said = [text for text in texts if text != "-"]
    return bool(said) and all(text.replace(".", "", 1).replace("-", "", 1).isdigit() for text in said)
