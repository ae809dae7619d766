"""One replica's copy of the board, and what it has yet to write there; no I/O, and every time is Redis's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from router.guards.gossip.facts import Fact, FactKind, decode, encode, field_of, withdrawal

MAX_FACTS = 10_000
_TICK_S = 0.001  # an answer to a fact comes after it, whatever the clocks say
_WITHDRAWAL_S = 86400.0


class KnownFacts:
    """Facts by their field on the board, withdrawals included.

    `on_change(before, after)` is called for what others have written, `on_trouble` with one sentence about what cannot
    be taken in.
    """

    def __init__(self, on_change: Callable[[Fact | None, Fact], None], on_trouble: Callable[[str], None]) -> None:
        self._on_change = on_change
        self._on_trouble = on_trouble
        self._facts: dict[str, Fact] = {}
        self._texts: dict[str, bytes] = {}  # the same facts as they stand in Redis, or are about to
        self._unwritten: dict[str, None] = {}  # fields whose fact has yet to be written to Redis, in order

    def holding(self, now: float) -> Iterable[Fact]:
        """Every fact that holds now."""
        return (fact for fact in self._facts.values() if fact.holds(now))

    def put(self, fact: Fact, now: float) -> None:
        """Takes in a fact of this replica's own, which will be written."""
        known = self._facts.get(fact.field)
        if known is None and not self._has_room():
            return
        if known is not None and known.holds(now) and known.outlasts(fact):
            return
        self._facts[fact.field] = replace(fact, at=max(fact.at, known.at + _TICK_S)) if known else fact
        self._texts.pop(fact.field, None)
        self._unwritten[fact.field] = None

    def withdraw(self, kind: FactKind, subject: str, by: str, now: float) -> None:
        """Takes back what is known; a newer fact that this replica has not read yet will prevail over it."""
        known = self._facts.get(field_of(kind, subject, by))
        if known is not None and not known.holds(now):
            return
        if known is None and kind == "wait":  # it has run out, and so it has for all others
            return
        at = known.at if known else now
        self.put(withdrawal(kind, subject, until=now + _WITHDRAWAL_S, at=at, by=by), now)

    def shift(self, by_s: float) -> None:
        """Corrects every time by so many seconds."""
        self._facts = {field: fact.shifted(by_s) for field, fact in self._facts.items()}

    def forget_ended(self, now: float) -> None:
        """Drops what has ended."""
        for field in [field for field, fact in self._facts.items() if fact.until is not None and fact.until <= now]:
            del self._facts[field]
            self._texts.pop(field, None)
            self._unwritten.pop(field, None)

    def compare(self, read: Mapping[bytes, bytes], *, lost: bool) -> None:
        """Takes in the whole board as read. What is missing there is written again; everything, if it has `lost` some.

        Only time removes a fact from the board, since a withdrawal is written over it: so what is missing is lost.
        """
        if lost:
            self._unwritten |= dict.fromkeys(self._facts)
        for key, text in read.items():
            field = key.decode(errors="replace")
            if field not in self._unwritten and self._texts.get(field) != text:
                self._take(field, text)
        self._unwritten |= {field: None for field in self._facts if field.encode() not in read}

    def unwritten(self) -> dict[str, bytes]:
        """What has yet to be written, by field; what was written before, byte for byte the same."""
        for field in self._unwritten:
            if field not in self._texts:
                self._texts[field] = encode(self._facts[field])
        return {field: self._texts[field] for field in self._unwritten}

    def written(self, told: Mapping[str, bytes], stands: Iterable[bytes]) -> None:
        """These were written, and Redis has replied what stands in each field now."""
        for (field, text), standing in zip(told.items(), stands, strict=True):
            if self._texts.get(field) is not text:
                continue  # something else was put there meanwhile
            self._unwritten.pop(field, None)
            if standing != text:
                self._take(field, standing)

    def _take(self, field: str, text: bytes) -> None:
        fact, before = decode(field, text), self._facts.get(field)
        if fact is None:
            self._on_trouble(f"the board's field {field[:80]!r} does not hold a fact: ignored")
        elif before is not None or self._has_room():
            self._facts[field], self._texts[field] = fact, text
            self._on_change(before, fact)

    def _has_room(self) -> bool:
        if len(self._facts) >= MAX_FACTS:
            self._on_trouble(f"the board holds {MAX_FACTS} facts already: further ones are ignored")
        return len(self._facts) < MAX_FACTS
