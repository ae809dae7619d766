"""Tells whether a streamed text stands inside markdown code: a fenced code block or an inline code span.

After CommonMark (https://spec.commonmark.org/0.31.2/, sections 4.5 and 6.1), simplified to what can be decided without
looking ahead: only backticks count, no tildes; and an inline span ends with its line, where CommonMark would look for
its closing backticks through the whole paragraph. A stream cannot wait for a paragraph, and a lone backtick in a
sentence must not turn the rest of an answer into code.
"""

from __future__ import annotations

from typing import Literal

_FENCE = 3  # backticks that begin a line and open a block rather than a span


class CodeSpanTracker:
    """Is told a text in order, as runs of backticks and what stands between them; keeps no text itself."""

    def __init__(self) -> None:
        self.line_is_blank = True  # nothing but white space on this line so far
        self._open = 0  # how many backticks opened the code we are in; 0 outside
        self._fence: Literal["no", "opening", "inside"] = "no"  # `opening`: still on the line of the opening fence
        self._run = 0  # backticks seen last, which the next piece may continue

    @property
    def in_code(self) -> bool:
        """True inside a code block or span, now that the run of backticks is known to be over."""
        self._end_run()
        return self._open > 0

    def backticks(self, number: int) -> None:
        """`number` backticks follow; the run may go on with the next call."""
        self._run += number

    def text(self, text: str) -> None:
        """`text` without backticks follows."""
        if not text:
            return
        if self._run:
            self._end_run()
        _, newline, rest = text.rpartition("\n")
        if newline:
            self._end_line()
        self.line_is_blank = (self.line_is_blank or bool(newline)) and (not rest or rest.isspace())

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
            self._fence = "opening" if self.line_is_blank and run >= _FENCE else "no"
        elif (self.line_is_blank and run >= self._open) if self._fence == "inside" else run == self._open:
            self._open = 0
            self._fence = "no"
        self.line_is_blank = False
