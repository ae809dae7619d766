"""The parts of a model's thinking that its provider wants back in a tool loop: found, put together, kept bounded.

Half of such a part is worth nothing, because it is signed as a whole: what grows too large is left out altogether.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from adapters.codec.json_values import items
from adapters.types import ReasoningDetail

Details = tuple[ReasoningDetail, ...]

MAX_DETAILS = 256
MAX_CHARS = 1024 * 1024  # of one answer; the longest thinking that any model is allowed is about half of that
_GROWING = frozenset({"text", "summary", "thinking"})  # fields that come in pieces; all others come whole


def detail(maker: str, value: Any, index: int | None = None) -> Details:
    """The detail that a provider's object is; none if it is not one of plain values."""
    if not isinstance(value, dict) or any(isinstance(held, dict | list) for held in value.values()):
        return ()
    return (ReasoningDetail(maker, value, index),)


def details(maker: str, values: Any, *, whole: bool) -> Details:
    """The details in an array of OpenRouter's form, whose pieces are numbered by a field of their own."""
    found = (detail(maker, value, None if whole else _index(value)) for value in items(values))
    return tuple(one for each in found for one in each)


def own(maker: str | None, held: Details) -> list[Mapping[str, Any]]:
    """What goes back to `maker`, as it came; what others made is left out, because it would be refused."""
    return [one.raw for one in held if one.maker == maker]


def _index(value: Any) -> int | None:
    index = value.get("index") if isinstance(value, dict) else None
    return index if isinstance(index, int) else None


class DetailCollector:
    """The details of one answer, put together from their pieces by index and type."""

    def __init__(self) -> None:
        self._all: list[_Growing] = []
        self._open: dict[tuple[Any, ...], _Growing] = {}
        self._released = 0
        self._chars = 0

    def add(self, pieces: Iterable[ReasoningDetail]) -> None:
        """Takes pieces as they come."""
        for piece in pieces:
            self._chars += sum(len(held) for held in piece.raw.values() if isinstance(held, str))
            if self._fits:
                self._growing(piece).take(piece.raw)

    def all(self) -> Details:
        """Every detail, whole; none if they are too many or too long."""
        return tuple(ReasoningDetail(one.maker, one.whole()) for one in self._all) if self._fits else ()

    def release(self) -> Details:
        """The details that were not released before, numbered in the order in which they began."""
        since, self._released = self._released, len(self._all)
        self._open.clear()
        return tuple(ReasoningDetail(one.maker, one.raw, at) for at, one in enumerate(self.all()) if at >= since)

    @property
    def _fits(self) -> bool:
        return self._chars <= MAX_CHARS and len(self._all) <= MAX_DETAILS

    def _growing(self, piece: ReasoningDetail) -> _Growing:
        key = (piece.maker, piece.index, piece.raw.get("type"))
        known = self._open.get(key)
        if known is None or piece.index is None or not known.may_be(piece.raw.get("id")):
            known = self._open[key] = _Growing(piece.maker)
            self._all.append(known)
        return known


class _Growing:
    """One detail as far as its pieces have come."""

    def __init__(self, maker: str) -> None:
        self.maker = maker
        self._fields: dict[str, Any] = {}
        self._pieces: dict[str, list[str]] = {}

    def may_be(self, name: Any) -> bool:
        """False where both have an id, and not the same."""
        return name is None or self._fields.get("id") in (None, name)

    def take(self, raw: Mapping[str, Any]) -> None:
        """Adds a piece; of a field that comes whole, the last value that says something counts."""
        for name, held in raw.items():
            if held or name not in self._fields:
                self._fields[name] = held
            if name in _GROWING and isinstance(held, str):
                self._pieces.setdefault(name, []).append(held)

    def whole(self) -> dict[str, Any]:
        """The provider's object, as if it had come in one piece."""
        return {**self._fields, **{name: "".join(pieces) for name, pieces in self._pieces.items()}}
