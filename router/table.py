"""Plain tables for a terminal: columns as wide as they must be, numbers to the right, long texts cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_MAX_WIDTH = 60


def render(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """The rows' `columns` under a heading; None is shown as `-`."""
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(column), *(len(line[i]) for line in cells), 0) for i, column in enumerate(columns)]
    right = [all(_is_number(line[i]) for line in cells) for i in range(len(columns))]
    heading = [column.replace("_", " ") for column in columns]
    lines = [heading, ["-" * width for width in widths], *cells]
    return "\n".join(_line(line, widths, right) for line in lines)


def _line(line: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (
        text.rjust(width) if to_right else text.ljust(width)
        for text, width, to_right in zip(line, widths, right, strict=True)
    )
    return "  ".join(padded).rstrip()


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
            text = "".join(char if char.isprintable() else " " for char in str(value))
            return text if len(text) <= _MAX_WIDTH else text[: _MAX_WIDTH - 1] + "…"


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(".", "", 1).replace("-", "", 1).isdigit()
