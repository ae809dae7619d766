"""What can be wrong with a registry: one `Problem` per place in the file, and the exception that carries them all."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Path = tuple[str | int, ...]
Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One finding in a file; `line` and `col` count from 1, as editors do."""

    path: str
    line: int
    col: int
    severity: Severity
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.col}: {self.severity}: {self.message}"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong at a path of the document: at its value, or at its key."""

    path: Path
    message: str
    severity: Severity = "error"
    key: bool = False


class RegistryError(Exception):
    """The registry cannot be used; its text is every problem, one a line, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """The end of a sentence about a wrong word: the likeliest right one, or else all that are allowed."""
    words = list(allowed)
    close = difflib.get_close_matches(word.lower(), words, n=1, cutoff=0.6)
    if close:
        return f", did you mean '{close[0]}'?"
    return f"; allowed: {', '.join(words)}" if words else ""
