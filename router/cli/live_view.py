"""Shows a streamed answer while it comes: a vote or council as it happens, then the answer's text.

On a terminal the scene is drawn over itself; anywhere else each event is a line beside the answer.
"""

from __future__ import annotations

from typing import Protocol, TextIO

from router.cli.progress import MOST_LINES, Event, Scene, fit, lines, told


class View(Protocol):
    """Where a streamed answer is shown. `close` ends the last line, however the stream ended."""

    def event(self, event: Event) -> None: ...

    def text(self, text: str) -> None: ...

    def close(self) -> None: ...


class PlainView:
    """The answer on `out` and nothing else; what happens is told line by line on `aside`."""

    def __init__(self, out: TextIO, aside: TextIO) -> None:
        self._out = out
        self._aside = aside
        self._open_line = False

    def event(self, event: Event) -> None:
        """Says what has happened."""
        if note := told(event):
            print(note, file=self._aside, flush=True)

    def text(self, text: str) -> None:
        """A piece of the answer."""
        print(text, end="", file=self._out, flush=True)
        self._open_line = not text.endswith("\n")

    def close(self) -> None:
        """Ends the answer's last line."""
        if self._open_line:
            print(file=self._out, flush=True)


class LiveView:
    """A terminal of `width` × `height`: the scene is drawn over itself until the answer comes, and stands above it."""

    def __init__(self, out: TextIO, width: int, height: int, *, colours: bool) -> None:
        self._answer = PlainView(out, out)
        self._out = out
        self._width = width
        self._height = height
        self._colours = colours
        self._scene = Scene()
        self._drawn = 0
        self._answering = False
        self._late: list[str] = []

    def event(self, event: Event) -> None:
        """Draws the scene anew; while the answer is being written, keeps the news for below it."""
        self._scene = self._scene.after(event)
        if not self._answering:
            self._draw(self._scene)
        elif (note := told(event)) and len(self._late) < MOST_LINES:
            self._late.append(note)

    def text(self, text: str) -> None:
        """A piece of the answer."""
        if not self._answering:
            self._answering = True
            self._draw(self._scene.settled())
            if self._drawn:
                print(file=self._out)
        self._answer.text(text)

    def close(self) -> None:
        """Ends the answer's last line, and tells what happened meanwhile."""
        self._answer.close()
        for note in self._late:
            print(fit(note, self._width), file=self._out)

    def _draw(self, scene: Scene) -> None:
        shown = lines(scene, self._width, self._paint)
        if len(shown) >= self._height:  # what has left the screen at its top cannot be drawn over
            shown = [*shown[: self._height - 2], f"… and {len(shown) - self._height + 2} more"]
        back = f"\x1b[{self._drawn}F\x1b[J" if self._drawn else ""
        print(back + "".join(f"{line}\n" for line in shown), end="", file=self._out, flush=True)
        self._drawn = len(shown)

    def _paint(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours else text
