"""Problems of a registry, each with its place in the file, and the exception that carries all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Path = tuple[str | int, ...]
Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """A problem at a place in a file, shown as `path:line:col: severity: message`; `line` and `col` count from 1."""

    path: str
    line: int
    col: int
    severity: Severity
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.col}: {self.severity}: {self.message}"


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem at a path of the document, which `strict_yaml.Tree` resolves to a line and a column.

    With `key` the place is the last key of the path, else that key's value.
    """

    path: Path
    message: str
    severity: Severity = "error"
    key: bool = False


class RegistryError(Exception):
    """The registry cannot be used; the text is one line per problem, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))
