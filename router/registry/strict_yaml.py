"""YAML without surprises: bytes in, plain data with the position of every key and value out.

One pass over the parser's event stream: aliases, tags and depth are refused before anything is built from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import yaml

from router.core.text import shown
from router.registry.problems import Finding, Path, Problem, Severity
from router.registry.scalars import CONTROL, read_scalar

MAX_DEPTH = 20
MAX_NODES = 20_000
MAX_PROBLEMS = 100

_SYNTAX_ADVICE: Mapping[str, str] = MappingProxyType(
    {
        "mapping values are not allowed in this context": "check the indentation, and quote a value that contains ': '",
        "found character that cannot start any token": "indent with spaces, not tabs; quote a value that begins with @",
        "found a tab character that violates indentation": "indent with spaces, not tabs",
        "did not find expected ',' or ']'": "a '[' is not closed",
        "did not find expected ',' or '}'": "close the '{', or quote a value inside it, as ${VAR} needs",
    }
)


class Spot(NamedTuple):
    """A place in the text, counted from 1."""

    line: int
    col: int


@dataclass(slots=True)
class Tree:
    """Plain data with its map: where every key and value stands, and what was already found wrong, and where.

    `usable` is False where reading stopped early; `broken` holds the paths whose value is not what the file says.
    """

    source: str
    data: Any = None
    keys: dict[Path, Spot] = field(default_factory=dict)
    values: dict[Path, Spot] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    broken: set[Path] = field(default_factory=set)
    usable: bool = True

    def problem(self, spot: Spot, message: str, severity: Severity = "error") -> None:
        """Adds what was found at a spot."""
        self.problems.append(Problem(self.source, *spot, severity, message))

    def add(self, findings: Iterable[Finding]) -> None:
        """Adds findings, each at the place that its path has in the text."""
        for finding in findings:
            self.problem(self.at(finding.path, key=finding.key), finding.message, finding.severity)

    def at(self, path: Path, *, key: bool = False) -> Spot:
        """Where the value (or the key) of a path stands; where the file has none, the nearest value above it."""
        tables = (self.keys, self.values) if key else (self.values, self.keys)
        for table in tables:
            if path in table:
                return table[path]
        return self.at(path[:-1]) if path else Spot(1, 1)


def read_yaml(text: bytes, source: str) -> Tree:
    """Reads one YAML document; what is refused stands in the tree's `problems`, `source` is the file's name in them."""
    tree = Tree(source)
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = text[: error.start].decode("utf-8", "replace")
        tree.problem(_spot_of(before), "is not UTF-8 here: save the file as UTF-8")
        tree.usable = False
        return tree
    try:
        _build(decoded, tree)
    except _Stop as stop:
        tree.problem(stop.spot, str(stop))
        tree.usable = False
    except yaml.YAMLError as error:
        tree.problem(*(_refused_before(error, decoded) or _syntax_problem(error, decoded)))
        tree.usable = False
    return tree


def _build(text: str, tree: Tree) -> None:
    builder = _Builder(tree)
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        builder.take(event)


def _refused_before(error: yaml.YAMLError, text: str) -> tuple[Spot, str] | None:
    """The refusal that comes before a syntax error, if the parser failed while it looked ahead.

    To tell a key from a value the parser reads up to 1,024 characters ahead before it reports any of them, and fails
    at a depth of its own (1,000 since PyYAML 6.0.4). Given only the text before the error, it reports all of that.
    """
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        try:
            _build(text[: error.problem_mark.index], Tree(""))
        except _Stop as stop:
            return stop.spot, str(stop)
        except yaml.YAMLError:
            pass
    return None


class _Stop(Exception):
    """The text is not worth reading on."""

    def __init__(self, event: Any, message: str) -> None:
        super().__init__(message)
        self.spot = _spot(event)


@dataclass(slots=True)
class _Frame:
    """A mapping or sequence being filled; `key` waits for its value, `skip` marks a value that must not be kept."""

    container: dict[str, Any] | list[Any]
    path: Path
    key: str | None = None
    skip: bool = False


class _Builder:
    """Turns events into a tree, one event at a time."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._stack: list[_Frame] = []
        self._nodes = 0
        self._documents = 0
        self._take: Mapping[type, Callable[[Any], None]] = {
            yaml.DocumentStartEvent: self._document,
            yaml.MappingStartEvent: lambda event: self._open(event, {}),
            yaml.SequenceStartEvent: lambda event: self._open(event, []),
            yaml.MappingEndEvent: lambda event: self._close(),
            yaml.SequenceEndEvent: lambda event: self._close(),
            yaml.ScalarEvent: self._scalar,
            yaml.AliasEvent: self._alias,
        }

    def take(self, event: Any) -> None:
        if handler := self._take.get(type(event)):
            handler(event)
        if len(self._tree.problems) > MAX_PROBLEMS:
            raise _Stop(event, f"more than {MAX_PROBLEMS} problems: reading stops here")

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            raise _Stop(event, "a second document begins here: a registry is one YAML document, without '---' between")

    def _open(self, event: Any, container: dict[str, Any] | list[Any]) -> None:
        if self._is_key():
            raise _Stop(event, "a key must be a single word or text, not a list or a mapping")
        if len(self._stack) >= MAX_DEPTH:
            raise _Stop(event, f"nested more than {MAX_DEPTH} deep")
        path = self._place(event, container)
        self._stack.append(_Frame(container, path))

    def _close(self) -> None:
        self._stack.pop()

    def _alias(self, event: Any) -> None:
        self._tree.problem(_spot(event), f"alias '*{event.anchor}' is not allowed: write the value out")
        self._replace(event, None)

    def _scalar(self, event: Any) -> None:
        if self._is_key():
            self._key(event)
            return
        value, refusal = read_scalar(event.value, plain=not event.style)
        if refusal:
            self._tree.problem(_spot(event), refusal)
            self._replace(event, value)
        else:
            self._place(event, value)

    def _key(self, event: Any) -> None:
        frame = self._stack[-1]
        key, path = event.value, (*frame.path, event.value)
        self._refuse_tricks(event)
        first = self._tree.keys.get(path)
        if key == "<<":
            self._tree.problem(_spot(event), "merge key '<<' is not allowed: write the values out")
        elif control := CONTROL.search(key):
            self._tree.problem(_spot(event), f"control character {control[0]!r} in a key")
        elif first and isinstance(frame.container, dict) and key in frame.container:
            self._tree.problem(_spot(event), f"duplicate key {shown(key)}: it already stands on line {first.line}")
        frame.skip = key == "<<" or key in frame.container
        frame.key = key
        self._tree.keys.setdefault(path, _spot(event))

    def _replace(self, event: Any, value: Any) -> None:
        """Places a stand-in for a refused value, so that reading goes on without errors that follow from it."""
        self._tree.broken.add(self._place(event, value))

    def _place(self, event: Any, value: Any) -> Path:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _Stop(event, f"more than {MAX_NODES:,} values: that is no registry")
        if self._is_key():
            raise _Stop(event, "a key must be a single word or text")
        self._refuse_tricks(event)
        path = self._path()
        self._tree.values.setdefault(path, _spot(event))
        self._keep(value)
        return path

    def _path(self) -> Path:
        if not self._stack:
            return ()
        frame = self._stack[-1]
        return (*frame.path, len(frame.container) if frame.key is None else frame.key)

    def _keep(self, value: Any) -> None:
        if not self._stack:
            self._tree.data = value
            return
        frame = self._stack[-1]
        if isinstance(frame.container, list):
            frame.container.append(value)
        elif frame.key is not None and not frame.skip:
            frame.container[frame.key] = value
        frame.key = None

    def _is_key(self) -> bool:
        """True when the next node is a key of the mapping being filled."""
        return bool(self._stack) and isinstance(self._stack[-1].container, dict) and self._stack[-1].key is None

    def _refuse_tricks(self, event: Any) -> None:
        if getattr(event, "anchor", None) and not isinstance(event, yaml.AliasEvent):
            self._tree.problem(
                _spot(event), f"anchor '&{event.anchor}' is not allowed: write the value out where it is used"
            )
        if getattr(event, "tag", None):
            self._tree.problem(_spot(event), f"tag {shown(event.tag)} is not allowed: write the plain value")


def _spot(event: Any) -> Spot:
    return Spot(event.start_mark.line + 1, event.start_mark.column + 1)


def _spot_of(before: str) -> Spot:
    """The place after some text."""
    return Spot(before.count("\n") + 1, len(before) - before.rfind("\n"))


def _syntax_problem(error: yaml.YAMLError, text: str) -> tuple[Spot, str]:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        what = error.problem or "cannot be read"
        advice = _SYNTAX_ADVICE.get(what)
        mark = error.problem_mark
        return Spot(mark.line + 1, mark.column + 1), f"not YAML: {what}" + (f": {advice}" if advice else "")
    if isinstance(error, yaml.reader.ReaderError):
        spot = _spot_of(text.encode()[: error.position].decode("utf-8", "ignore"))
        return spot, f"character {chr(error.character)!r} is not allowed in YAML" if isinstance(
            error.character, int
        ) else "not YAML"
    return Spot(1, 1), "not YAML"
