"""What one replica knows of the board, and what the board has yet to be told; no I/O, and every time is Redis's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from router.guards.gossip.facts import Fact, FactKind, decode, encode, field_of, withdrawal

MAX_FACTS = 10_000
_TICK_S = 0.001  # who answers a fact he has seen comes after it, whatever the clocks say
_WITHDRAWAL_S = 86400.0


class Known:
    """Facts by their place on the board, withdrawals among them.

    `on_change(before, after)` hears of what others have told, `on_trouble` of what cannot be taken, in one sentence.
    """

    def __init__(self, on_change: Callable[[Fact | None, Fact], None], on_trouble: Callable[[str], None]) -> None:
        self._on_change = on_change
        self._on_trouble = on_trouble
        self._facts: dict[str, Fact] = {}
        self._texts: dict[str, bytes] = {}  # those facts as they stand in Redis, or are about to
        self._unsaid: dict[str, None] = {}  # places whose fact Redis has yet to be told, in order

    def holding(self, now: float) -> Iterable[Fact]:
        """Every fact that is to be heeded now."""
        return (fact for fact in self._facts.values() if fact.holds(now))

    def put(self, fact: Fact, now: float) -> None:
        """Takes in what this replica has to tell."""
        known = self._facts.get(fact.field)
        if known is None and not self._has_room():
            return
        if known is not None and known.holds(now) and known.outlasts(fact):
            return
        self._facts[fact.field] = replace(fact, at=max(fact.at, known.at + _TICK_S)) if known else fact
        self._texts.pop(fact.field, None)
        self._unsaid[fact.field] = None

    def withdraw(self, kind: FactKind, subject: str, by: str, now: float) -> None:
        """Takes back what is known; a newer fact that has not been heard of yet will stand against it."""
        known = self._facts.get(field_of(kind, subject, by))
        if known is not None and not known.holds(now):
            return
        if known is None and kind == "wait":  # it has run out, and so it has for all the others
            return
        at = known.at if known else now
        self.put(withdrawal(kind, subject, until=now + _WITHDRAWAL_S, at=at, by=by), now)

    def shift(self, by_s: float) -> None:
        """Sets every time right by so many seconds."""
        self._facts = {field: fact.shifted(by_s) for field, fact in self._facts.items()}

    def forget_ended(self, now: float) -> None:
        """Drops what has ended."""
        for field in [field for field, fact in self._facts.items() if fact.until is not None and fact.until <= now]:
            del self._facts[field]
            self._texts.pop(field, None)
            self._unsaid.pop(field, None)

    def compare(self, read: Mapping[bytes, bytes], *, lost: bool) -> None:
        """Takes in the whole board as it was read. What it lacks will be told again; everything, if it has `lost` some.

        Nobody but time removes a fact from the board: what is withdrawn is written over. So what is missing is lost.
        """
        if lost:
            self._unsaid |= dict.fromkeys(self._facts)
        for key, text in read.items():
            field = key.decode(errors="replace")
            if field not in self._unsaid and self._texts.get(field) != text:
                self._take(field, text)
        self._unsaid |= {field: None for field in self._facts if field.encode() not in read}

    def unsaid(self) -> dict[str, bytes]:
        """What Redis has yet to be told, by place. What has been said before is said again in the same words."""
        for field in self._unsaid:
            if field not in self._texts:
                self._texts[field] = encode(self._facts[field])
        return {field: self._texts[field] for field in self._unsaid}

    def said(self, told: Mapping[str, bytes], stands: Iterable[bytes]) -> None:
        """Redis was told, and answered for each place what stands there now."""
        for (field, text), standing in zip(told.items(), stands, strict=True):
            if self._texts.get(field) is not text:
                continue  # something else was put there in the meantime
            self._unsaid.pop(field, None)
            if standing != text:
                self._take(field, standing)

    def _take(self, field: str, text: bytes) -> None:
        fact, before = decode(field, text), self._facts.get(field)
        if fact is None:
            self._on_trouble(f"what stands at {field[:80]!r} is no fact")
        elif before is not None or self._has_room():
            self._facts[field], self._texts[field] = fact, text
            self._on_change(before, fact)

    def _has_room(self) -> bool:
        if len(self._facts) >= MAX_FACTS:
            self._on_trouble(f"there are {MAX_FACTS} facts already, further ones are left out")
        return len(self._facts) < MAX_FACTS
