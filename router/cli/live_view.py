"""Shows a streamed answer while it comes: the decision as it is made, then the answer's text.

On a terminal the scene is drawn over itself; anywhere else each stage is a line on standard error.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from router.cli.output import Screen, console, screen
from router.cli.progress import MOST_LINES, Scene, in_words
from router.core.stages import Stage

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

_BAR = 20  # columns of the longest bar of a tally
_COLOURS = {None: "dim", True: "green", False: "red"}


class AnswerView(Protocol):
    """Where a streamed answer is shown. `close` ends the last line, however the stream ended."""

    def stage(self, stage: Stage) -> None: ...

    def text(self, text: str) -> None: ...

    def close(self) -> None: ...


class PlainView:
    """The answer on `out` and nothing else; each stage is a line on `aside`."""

    def __init__(self, out: TextIO, aside: TextIO) -> None:
        self._out = out
        self._aside = aside
        self._open_line = False

    def stage(self, stage: Stage) -> None:
        """Prints the stage in words."""
        print(in_words(stage), file=self._aside, flush=True)

    def text(self, text: str) -> None:
        """Prints a piece of the answer."""
        print(text, end="", file=self._out, flush=True)
        self._open_line = not text.endswith("\n")

    def close(self) -> None:
        """Ends the answer's last line."""
        if self._open_line:
            print(file=self._out, flush=True)


class LiveView:
    """A terminal of `height` lines: the scene is drawn over itself until the answer's text comes, and stays above it.

    A scene taller than the terminal is cut, since what has left the screen at its top could not be drawn over.
    """

    def __init__(self, out: TextIO, on: Screen, height: int) -> None:
        self._out = out
        self._console = console(on, out)
        self._height = height
        self._answer = PlainView(out, out)
        self._scene = Scene()
        self._live: Live | None = None
        self._answering = False
        self._late: list[str] = []

    def stage(self, stage: Stage) -> None:
        """Draws the scene again; once the answer's text has begun, the stage is kept to be shown below it."""
        self._scene = self._scene.after(stage)
        if not self._answering:
            self._redraw()
        elif len(self._late) < MOST_LINES:
            self._late.append(in_words(stage))

    def text(self, text: str) -> None:
        """Prints a piece of the answer; the first one ends the drawing of the scene."""
        if not self._answering:
            self._answering = True
            self._settle(self._scene.settled())
        self._answer.text(text)

    def close(self) -> None:
        """Ends the answer's last line, and tells the stages that came after its beginning."""
        if not self._answering:
            self._settle(self._scene)
        self._answer.close()
        self._print([text_line(note) for note in self._late])

    def _redraw(self) -> None:
        from rich.console import Group

        if self._live is None:
            self._live = live(self._console)
            self._live.start()
        self._live.update(Group(*self._lines(self._scene)), refresh=True)

    def _settle(self, scene: Scene) -> None:
        """Replaces what was drawn by a last scene that stays."""
        if self._live is not None:
            self._live.stop()
        lines = self._lines(scene)
        self._print(lines)
        if lines and self._answering:
            print(file=self._out, flush=True)

    def _print(self, lines: Sequence[RenderableType]) -> None:
        from rich.console import Group

        self._console.print(Group(*lines), end="")  # a bare text would lose its own way of being cut

    def _lines(self, scene: Scene) -> list[RenderableType]:
        return cut(drawn(scene, self._console.width), self._height - 1)


def live(terminal: Console, *, transient: bool = True) -> Live:
    """An area of a terminal that is drawn over itself when told to; when it ends it is wiped away if `transient`.

    What is drawn must have fewer lines than the terminal.
    """
    from rich.live import Live

    return Live(
        console=terminal,
        auto_refresh=False,
        transient=transient,
        redirect_stdout=False,
        redirect_stderr=False,
        vertical_overflow="visible",
    )


def cut(lines: Sequence[RenderableType], height: int) -> list[RenderableType]:
    """The lines that fit into `height`, the last one saying how many more there are."""
    if len(lines) <= height:
        return list(lines)
    shown = max(0, height - 1)
    return [*lines[:shown], text_line(f"… and {len(lines) - shown} more")]


def drawn(scene: Scene, width: int) -> list[RenderableType]:
    """The scene as lines; names take at most half of the `width`, so that what is said of them can be seen."""
    seats = _padded([row.seat for row in scene.rows], width // 2)
    keys = _padded(scene.counts, width // 2)
    most = max(scene.counts.values(), default=0)
    return [
        *([text_line(scene.title)] if scene.title else []),
        *(text_line(f"{seat}  {row.state}", _COLOURS[row.good]) for seat, row in zip(seats, scene.rows, strict=True)),
        *(
            text_line(f"{key}  {'█' * _length(number, most)} {number:g}")
            for key, number in zip(keys, scene.counts.values(), strict=True)
        ),
        *([text_line(f"{scene.out} still out")] if scene.out else []),
        *map(text_line, scene.notes),
    ]


def _padded(names: Iterable[str], most: int) -> list[str]:
    """The names in one column, as wide as the longest of them and at most `most`."""
    from rich.text import Text

    texts = [Text(name) for name in names]
    width = min(most, max((text.cell_len for text in texts), default=0))
    for text in texts:
        text.truncate(width, overflow="ellipsis", pad=True)
    return [text.plain for text in texts]


@contextmanager
def spinner(words: str) -> Iterator[None]:
    """Shows on standard error that something is under way, and for how long; nothing where that is no terminal."""
    on = screen(sys.stderr)
    if not on.tty:
        yield
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(
        *columns, console=console(on, sys.stderr), transient=True, redirect_stdout=False, redirect_stderr=False
    ) as progress:
        progress.add_task(words, total=None)
        yield


def _length(number: float, most: float) -> int:
    return max(1, round(_BAR * number / most)) if number > 0 else 0


def text_line(text: str, style: str = "") -> RenderableType:
    """One line of literal text, cut at the edge of the terminal."""
    from rich.text import Text

    return Text(text, style, no_wrap=True, overflow="ellipsis")


def answer_view(on: Screen) -> AnswerView:
    """The view for standard output."""
    if on.tty:
        return LiveView(sys.stdout, on, shutil.get_terminal_size().lines)
    return PlainView(sys.stdout, sys.stderr)
