"""Where in markdown a text stands that arrives in pieces: at the beginning of a line, or inside code."""

from __future__ import annotations

from typing import Literal

_FENCE = 3  # backticks that begin a line and make a fence rather than an inline span


class Line:
    """Is told the text as words and backticks, in order. An inline span ends with its line, a fence does not."""

    def __init__(self) -> None:
        self.is_blank = True  # nothing but white space so far
        self._open = 0  # backticks that opened the code we are in; 0 outside
        self._fence: Literal["no", "opening", "inside"] = "no"
        self._run = 0  # backticks that may still grow in number

    @property
    def in_code(self) -> bool:
        """True inside a fence or an inline span."""
        self._end_run()
        return self._open > 0

    def backticks(self, number: int) -> None:
        """`number` backticks follow, and perhaps more."""
        self._run += number

    def words(self, text: str) -> None:
        """`text` without backticks follows."""
        if not text:
            return
        if self._run:
            self._end_run()
        _, newline, rest = text.rpartition("\n")
        if newline:
            self._end_line()
        self.is_blank = (self.is_blank or bool(newline)) and (not rest or rest.isspace())

    def _end_line(self) -> None:
        if self._fence == "no":
            self._open = 0
        else:
            self._fence = "inside"

    def _end_run(self) -> None:
        run, self._run = self._run, 0
        if not run:
            return
        if not self._open:
            self._open = run
            self._fence = "opening" if self.is_blank and run >= _FENCE else "no"
        elif (self.is_blank and run >= self._open) if self._fence == "inside" else run == self._open:
            self._open = 0
            self._fence = "no"
        self.is_blank = False
