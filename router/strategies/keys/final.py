"""Finds the answer that a text declares itself: `Answer: 42`, `\\boxed{42}`, or a line that is nothing but a label."""

from __future__ import annotations

import re

_NOUN = r"(?:answer|label|classification|category|class|verdict|result|choice|decision|vote|prediction|sentiment)"
_MARK = r"[*_`\"'\s]*"
_BEFORE = r"(?:so |thus |therefore,? |hence,? )?(?:(?:the|my|your|its) )?(?P<final>final )?(?:correct )?"
_STATED = re.compile(
    rf"(?:^|[.!?\n:]){_MARK}{_BEFORE}{_NOUN}{_MARK}(?:(?:is|would be|=|->|→|:){_MARK})+(?P<said>[^\n]+)",
    re.IGNORECASE,
)
_MAX_LINE_CHARS = 1_000
_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")


def stated(text: str) -> tuple[str, ...]:
    """What the text declares to be its answer, each to the end of its line; `final` ones hide all others."""
    found = [(match["final"] is not None, match["said"].strip()) for match in _STATED.finditer(text)]
    finals = tuple(said for final, said in found if final)
    boxed = tuple(_BOXED.findall(text))
    return boxed or finals or tuple(said for _, said in found)


def lead_in_removed(text: str) -> str:
    """The answer that the last line declares, or the whole text."""
    last = text.rstrip().rpartition("\n")[2]
    said = stated(last[:_MAX_LINE_CHARS])
    return said[0] if len(said) == 1 else text
