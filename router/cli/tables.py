"""Tables of rich on a terminal or in a pipe: columns as wide as they must be, numbers to the right, long cells cut."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from router.cli.output import PIPE, Screen, console
from router.core.text import one_line

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

CELL_WIDTH = 60  # terminal columns of one cell at most
_MIN_WIDTH = 8  # no text is cut below this to make a table fit its terminal
_MOST_CHARS = 4 * CELL_WIDTH  # looked at of one value: more cannot be seen
_GAP = 2

CellStyle = Callable[[str, str], str]
"""(column, text of a cell) → the style of rich to show it in, such as `red`; empty for none."""


def _plain(_: str, __: str) -> str:
    return ""


def render(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    on: Screen = PIPE,
    style: CellStyle = _plain,
    widest: int = CELL_WIDTH,
) -> str:
    """The table as text for `on`, in its colours; cells are cut to `widest`.

    A table that cannot be made to fit its terminal has lines that are too long.
    """
    out = io.StringIO()
    made = table(rows, columns, fit=on.width, style=style, widest=widest)
    console(Screen(on.tty, on.colours), out).print(made)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def table(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    fit: int | None = None,
    style: CellStyle = _plain,
    widest: int = CELL_WIDTH,
) -> Table:
    """The rows' `columns` under a heading, one line per row, made to `fit` a width where that is possible.

    None is shown as `-`. What models and providers say is hostile: a cell holds one line of printable characters, and
    markup stands literally.
    """
    from rich.table import Table

    headings = [column.replace("_", " ") for column in columns]
    lines = [[_cell(row.get(column)) for column in columns] for row in rows]
    cells = [[line[at] for line in lines] for at in range(len(columns))]
    numbers = [_are_numbers(column) for column in cells]
    made = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="")
    for heading, width, right in zip(headings, _widths(headings, cells, numbers, widest, fit), numbers, strict=True):
        made.add_column(_heading(heading), width=width, justify="right" if right else "left")
    for line in lines:
        made.add_row(*(_text(cell, style(column, cell)) for column, cell in zip(columns, line, strict=True)))
    return made


def _widths(
    headings: Sequence[str], cells: Sequence[Sequence[str]], numbers: Sequence[bool], widest: int, fit: int | None
) -> list[int]:
    """The width of each column: what its longest cell takes, less where the table would not `fit`.

    The widest column gives way first. Digits are never cut: a heading above numbers is.
    """
    from rich.cells import cell_len

    longest = [min(widest, max(map(cell_len, column), default=0)) for column in cells]
    widths = [max(cell_len(heading), width) for heading, width in zip(headings, longest, strict=True)]
    least = [
        digits if right else min(_MIN_WIDTH, width)
        for digits, right, width in zip(longest, numbers, widths, strict=True)
    ]
    excess = 0 if fit is None else sum(widths) + _GAP * (len(widths) - 1) - fit
    for _ in range(excess):
        slack = [at for at, width in enumerate(widths) if width > least[at]]
        if not slack:
            break
        widths[max(slack, key=widths.__getitem__)] -= 1
    return widths


def _heading(text: str) -> RenderableType:
    from rich.console import Group
    from rich.rule import Rule

    return Group(_text(text), Rule(characters="-", style=""))


def _text(text: str, style: str = "") -> RenderableType:
    from rich.text import Text

    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
        case _:
            return one_line(str(value)[:_MOST_CHARS])


def _are_numbers(texts: Iterable[str]) -> bool:
    said = [text for text in texts if text != "-"]
    return bool(said) and all(
        text.isascii() and text.replace(".", "", 1).replace("-", "", 1).isdigit() for text in said
    )
