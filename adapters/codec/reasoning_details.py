"""The parts of a model's reasoning that its provider wants back in a tool loop: read, put together, kept bounded.

Anthropic refuses the next turn of a tool loop if its signed `thinking` blocks do not come back unchanged; OpenRouter
demands its `reasoning_details` back for reasoning models. Each part is signed as a whole, so a shortened one is worth
nothing: what grows too large is left out altogether.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from adapters.codec.json_values import items
from adapters.types import ReasoningDetail

ReasoningDetails = tuple[ReasoningDetail, ...]

MAX_DETAILS = 256
MAX_CHARS = 1024 * 1024  # of one answer; the longest reasoning any model is allowed is about half of that
_STREAMED_FIELDS = frozenset({"text", "summary", "thinking"})  # come in pieces; all other fields come whole


def read_detail(maker: str, value: Any, index: int | None = None) -> ReasoningDetails:
    """The detail in a provider's object, as a tuple of one; empty if the object is nested or none at all.

    All kinds known so far are flat. The bound on size (`MAX_CHARS`) counts the strings of a flat object, and a nested
    one would escape it.
    """
    if not isinstance(value, dict) or any(isinstance(held, dict | list) for held in value.values()):
        return ()
    return (ReasoningDetail(maker, value, index),)


def read_details(maker: str, values: Any, *, whole: bool) -> ReasoningDetails:
    """The details in an array of OpenRouter's form; in a stream (not `whole`) its field `index` numbers the pieces."""
    found = (read_detail(maker, value, None if whole else _index(value)) for value in items(values))
    return tuple(one for each in found for one in each)


def details_for(maker: str | None, held: ReasoningDetails) -> list[Mapping[str, Any]]:
    """What goes back to `maker`, as it came; what other providers made is left out, because it would be refused."""
    return [one.raw for one in held if one.maker == maker]


def _index(value: Any) -> int | None:
    index = value.get("index") if isinstance(value, dict) else None
    return index if isinstance(index, int) else None


class DetailCollector:
    """The details of one answer, put together from their pieces by index and type.

    The type is part of the key, so that a summary is never joined to the signed text even if both carry one index.
    """

    def __init__(self) -> None:
        self._all: list[_PartialDetail] = []
        self._open: dict[tuple[Any, ...], _PartialDetail] = {}
        self._released = 0
        self._chars = 0

    def add(self, pieces: Iterable[ReasoningDetail]) -> None:
        """Takes pieces as they come; beyond the bounds they are only counted."""
        for piece in pieces:
            self._chars += sum(len(held) for held in piece.raw.values() if isinstance(held, str))
            if self._fits:
                self._growing(piece).take(piece.raw)

    def all(self) -> ReasoningDetails:
        """Every detail, whole; none at all if they are too many or too long together."""
        return tuple(ReasoningDetail(one.maker, one.whole()) for one in self._all) if self._fits else ()

    def release(self) -> ReasoningDetails:
        """The details not released before, numbered in the order in which they began."""
        since, self._released = self._released, len(self._all)
        self._open.clear()
        return tuple(ReasoningDetail(one.maker, one.raw, at) for at, one in enumerate(self.all()) if at >= since)

    @property
    def _fits(self) -> bool:
        return self._chars <= MAX_CHARS and len(self._all) <= MAX_DETAILS

    def _growing(self, piece: ReasoningDetail) -> _PartialDetail:
        key = (piece.maker, piece.index, piece.raw.get("type"))
        known = self._open.get(key)
        if known is None or piece.index is None or not known.may_be(piece.raw.get("id")):
            known = self._open[key] = _PartialDetail(piece.maker)
            self._all.append(known)
        return known


class _PartialDetail:
    """One detail as far as its pieces have come."""

    def __init__(self, maker: str) -> None:
        self.maker = maker
        self._fields: dict[str, Any] = {}
        self._pieces: dict[str, list[str]] = {}

    def may_be(self, name: Any) -> bool:
        """False if both have an id and the ids differ: then the piece begins another detail."""
        return name is None or self._fields.get("id") in (None, name)

    def take(self, raw: Mapping[str, Any]) -> None:
        """Adds a piece; of a field that comes whole, the last value that is not empty counts."""
        for name, held in raw.items():
            if held or name not in self._fields:
                self._fields[name] = held
            if name in _STREAMED_FIELDS and isinstance(held, str):
                self._pieces.setdefault(name, []).append(held)

    def whole(self) -> dict[str, Any]:
        """The provider's object, as if it had come in one piece."""
        return {**self._fields, **{name: "".join(pieces) for name, pieces in self._pieces.items()}}
