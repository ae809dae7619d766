"""What one replica remembers of a counter: enough to bring it back to life, to go on without it, and to show it."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from router.core.registry import Limit, Seat
from router.guards.limits.counters import Counter, counters_of
from router.guards.limits.redis_counters import View
from router.guards.limits.windows import Span, Window

RECHECK_S = 30.0  # another replica may give back, or a limit be raised: what is held to be full is asked again
FRESH_S = 10.0
_OVERTAKING_US = 1_000_000  # no answer is waited for so long: one from further back is of a clock that was set back
_SOON = 0.1  # of a period


@dataclass(slots=True)
class Mark:
    """One counter as this replica knows it. Amounts are kept by bucket, as Redis keeps them.

    `journal` is what was given here while Redis was away, and not told to it yet; `asked` is what it is being asked for
    now, and may give before its answer is here.
    """

    counter: Counter
    epoch: bytes | None = None
    journal: dict[int, int] = field(default_factory=dict)
    asked: int = 0
    _own: dict[int, int] = field(default_factory=dict)  # what this replica was given by Redis
    _own_sum: int = 0
    _others: int = 0  # what all others were given, when it was last seen
    _seen_us: int = -1
    _seen_bucket: int = -1
    _logged: dict[int, int] | None = None  # what the vote log knew, when it was last asked
    _open: dict[int, int] = field(default_factory=dict)  # given here, by Redis or not, for calls still under way
    _free_at: float = -math.inf  # monotonic: until then not one more fits
    _fits_at: float = -math.inf  # until then `_refused` or more does not fit
    _refused: int = 0
    _recheck_at: float = -math.inf
    _told_at: float = -math.inf  # when Redis or the vote log last told how it stands
    _forgotten: int = -1  # buckets before this one have been left out

    def stale(self, now: float) -> bool:
        """Whether what is known is too old to give away a share of what is left."""
        return now - self._told_at > FRESH_S

    def edited(self, counter: Counter) -> None:
        """The registry has another amount for it: the count goes on, what was held to be full is asked again."""
        self.counter, self._refused, self._recheck_at = counter, 0, -math.inf

    # --- what Redis says ---------------------------------------------------------------------------------------------

    def hear(self, view: View, at_us: int, now: float, changes: Mapping[int, int] | None = None) -> bool:
        """Takes in how the counter stands, and what this call changed in it. True if it lives another life than before.

        Answers may overtake each other; they are told apart by the server's time.
        """
        if view.epoch is None:
            return False
        span = self.counter.window.span(at_us // 1000)
        self._forget(span)
        changed = 0
        for bucket, amount in (changes or {}).items():
            if bucket >= span.first:
                self._own[bucket] = self._own.get(bucket, 0) + amount
                changed += amount
        self._own_sum += changed
        renewed = self.epoch is not None and view.epoch != self.epoch
        if self._seen_us - _OVERTAKING_US < at_us < self._seen_us:
            if not renewed:
                self._others -= changed  # a later answer was here first, and took this for somebody else's
            return renewed
        others = view.used - self._own_sum
        self._others = max(others, self._others) if renewed else others
        self._seen_us, self._seen_bucket, self.epoch = at_us, view.bucket, view.epoch
        self._told_at, self._recheck_at = now, now + RECHECK_S
        self._free_at = now + view.free_ms / 1000
        if changed or view.used + self._refused <= self.counter.amount:
            self._refused = 0
        return renewed

    def refuse(self, amount: int, wait_ms: int, now: float) -> None:
        """So much does not fit now."""
        self._refused, self._fits_at, self._recheck_at = amount, now + wait_ms / 1000, now + RECHECK_S

    def lowered(self, left: int, span: Span) -> None:
        """The provider says that no more than this is left (-1: nothing), and there is no Redis to tell it to."""
        if left < 0:
            return
        unseen = self.counter.amount - left - self.used(span)
        if unseen > 0:
            self._others += unseen
            self._seen_bucket = span.bucket

    def seen_since(self, at_us: int) -> bool:
        """Whether Redis has told of it after that moment."""
        return self._seen_us > at_us

    # --- what the vote log says, and what was given without Redis ----------------------------------------------------

    def logged(self, amounts: Mapping[int, int], now: float) -> None:
        """Takes in what the vote log knows."""
        self._logged, self._told_at = dict(amounts), now

    def grant(self, bucket: int, amount: int) -> None:
        """Notes what was given, or given back, without Redis."""
        self.journal[bucket] = self.journal.get(bucket, 0) + amount

    def opened(self, bucket: int, amount: int) -> None:
        """A call begins with so much: the vote log cannot have it before it ends."""
        self._open[bucket] = self._open.get(bucket, 0) + amount

    def closed(self, bucket: int, amount: int) -> None:
        """A call that began with so much has ended."""
        if self._open.get(bucket, 0) > amount:
            self._open[bucket] -= amount
        else:
            self._open.pop(bucket, None)

    def told(self, pushed: Mapping[int, int]) -> None:
        """So much of the journal is in Redis now."""
        for bucket in pushed.keys() & self.journal.keys():
            rest = self.journal.pop(bucket) - pushed[bucket]
            if rest:
                self.journal[bucket] = rest

    # --- what is known -----------------------------------------------------------------------------------------------

    def used(self, span: Span) -> int:
        """What counts now, as far as is known here."""
        self._forget(span)
        return self._own_sum + max(self._others, -self._own_sum) + sum(self.journal.values())

    def spent_before(self, span: Span) -> int:
        """What counts now of that which was spent before Redis went away, by the larger of both accounts."""
        given = sum(self.journal.values())
        return max(self.used(span) - given, sum(self._logged.values()) if self._logged else 0)

    def known_by_bucket(self, span: Span) -> dict[int, int]:
        """All that counts now by bucket: enough to bring the counter back to life."""
        self._forget(span)
        others = {self._seen_bucket: self._others} if self._others > 0 else {}
        return merged(_sum(self._own, self.journal, others), _sum(self._logged or {}, self._open))

    def room(self, now_ms: int) -> float:
        """Which part of the limit is left, 0 to 1; more than that shortly before it starts anew, to be spent."""
        window = self.counter.window
        left = min(1.0, max(0.0, 1 - self.used(window.span(now_ms)) / self.counter.amount))
        ends_ms = window.ends_ms(now_ms)
        if ends_ms is None or not left:
            return left
        still = (ends_ms - now_ms) / (ends_ms - window.since_ms(now_ms))
        return math.pow(left, min(1.0, still / _SOON))

    def wait_s(self, now: float, amount: int | None = None) -> float:
        """For how long nothing more fits, or not this amount, by what is known; 0 for who should ask."""
        if now >= self._recheck_at:
            return 0.0
        fits_at = self._fits_at if amount is not None and self._refused and amount >= self._refused else -math.inf
        return max(0.0, max(self._free_at, fits_at) - now)

    def _forget(self, span: Span) -> None:
        """Leaves out what no longer counts."""
        if span.first == self._forgotten:
            return
        self._forgotten = span.first
        for bucket in _before(self._own, span):
            self._own_sum -= self._own.pop(bucket)
        for amounts in (self.journal, self._open, self._logged or {}):
            for bucket in _before(amounts, span):
                del amounts[bucket]
        if self._seen_bucket < span.first:
            self._others = 0


class Marks:
    """The marks of all counters that this replica has ever had a seat for, and which of them a seat has."""

    def __init__(self, window: Callable[[Limit], Window]) -> None:
        self._window = window
        self._by_key: dict[str, Mark] = {}
        self._by_seat: dict[str, tuple[Seat, tuple[Mark, ...]]] = {}

    def of(self, seat: Seat) -> tuple[Mark, ...]:
        """The counters of a seat, those of its model first; none where the registry names no limit."""
        known = self._by_seat.get(seat.id)
        if known is not None and known[0].model is seat.model and known[0].provider is seat.provider:
            return known[1]
        marks = tuple(self._mark(counter) for counter in counters_of(seat, self._window))
        self._by_seat[seat.id] = seat, marks
        return marks

    def __iter__(self) -> Iterator[Mark]:
        return iter(list(self._by_key.values()))

    def _mark(self, counter: Counter) -> Mark:
        mark = self._by_key.setdefault(counter.key, Mark(counter))
        if mark.counter != counter:
            mark.edited(counter)
        return mark


@contextmanager
def asking(asked: Collection[tuple[Mark, int]]) -> Iterator[None]:
    """While Redis is asked for these amounts they are no part of what is left, should it not answer others in time."""
    for mark, amount in asked:
        mark.asked += amount
    try:
        yield
    finally:
        for mark, amount in asked:
            mark.asked -= amount


def _before(amounts: dict[int, int], span: Span) -> list[int]:
    return [bucket for bucket in amounts if bucket < span.first]


def _sum(*accounts: Mapping[int, int]) -> dict[int, int]:
    total: dict[int, int] = {}
    for account in accounts:
        for bucket, amount in account.items():
            total[bucket] = total.get(bucket, 0) + amount
    return total


def merged(one: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    """Two accounts of the same calls as one: from any bucket on, as much as the larger of them has.

    Not bucket by bucket: they may differ by one in where a call is, and would add up.
    """
    amounts: dict[int, int] = {}
    sums, total = [0, 0], 0
    for bucket in sorted({*one, *other}, reverse=True):
        sums = [sums[0] + one.get(bucket, 0), sums[1] + other.get(bucket, 0)]
        if max(sums) > total:
            amounts[bucket] = max(sums) - total
            total = max(sums)
    return amounts
