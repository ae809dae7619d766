"""One replica's memory of the shared counters: enough to recover one, to go on without Redis, and to show it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from router.core.registry import Seat
from router.guards.limits.counters import Counter, WindowOf, counters_of
from router.guards.limits.redis_counters import CounterView
from router.guards.limits.windows import Span

RECHECK_S = 30.0  # another replica may refund, or a limit be raised: a full counter is asked again after this time
FRESH_S = 10.0
_OVERTAKING_US = 1_000_000  # replies overtake each other by less: an older one comes from a clock that was set back
_SOON = 0.1  # of a calendar period


@dataclass(slots=True)
class LocalCounter:
    """One shared counter as this replica knows it. Amounts are kept by bucket, as in Redis.

    `epoch` names the counter's life in Redis since it was last seeded. `journal` is what was admitted here while Redis
    was away and has not been told to it yet; `asked` is what Redis is being asked for now, and may grant before its
    answer is here.
    """

    counter: Counter
    epoch: bytes | None = None
    journal: dict[int, int] = field(default_factory=dict)
    asked: int = 0
    _own: dict[int, int] = field(default_factory=dict)  # granted to this replica by Redis
    _own_sum: int = 0
    _others: int = 0  # granted to all other replicas, when last seen
    _seen_us: int = -1
    _seen_bucket: int = -1
    _logged: dict[int, int] | None = None  # what the vote log knew when it was last asked
    _open: dict[int, int] = field(default_factory=dict)  # granted here, by Redis or not, to calls still under way
    _free_at: float = -math.inf  # monotonic: until then not one more unit fits
    _fits_at: float = -math.inf  # until then `_refused` or more does not fit
    _refused: int = 0
    _recheck_at: float = -math.inf
    _told_at: float = -math.inf  # when Redis or the vote log last told how the counter stands
    _forgotten: int = -1  # buckets before this one have been dropped

    def stale(self, now: float) -> bool:
        """Whether what is known is too old to admit calls by a share of what is left."""
        return now - self._told_at > FRESH_S

    def edited(self, counter: Counter) -> None:
        """The registry has a new amount for the limit: the count goes on, and a full counter is asked again."""
        self.counter, self._refused, self._recheck_at = counter, 0, -math.inf

    # --- what Redis reports ------------------------------------------------------------------------------------------

    def hear(self, view: CounterView, at_us: int, now: float, changes: Mapping[int, int] | None = None) -> bool:
        """Takes in how the counter stands and what this call has changed in it; True if its epoch is a new one.

        Replies may overtake each other; they are told apart by the server's time `at_us`.
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
                self._others -= changed  # a later reply came first, and took this for another replica's
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
        """Redis has refused this amount for the next `wait_ms`."""
        self._refused, self._fits_at, self._recheck_at = amount, now + wait_ms / 1000, now + RECHECK_S

    def lowered(self, left: int, span: Span) -> None:
        """The provider reports so much left (-1: it reports nothing), and there is no Redis to lower it in."""
        if left < 0:
            return
        unseen = self.counter.amount - left - self.used(span)
        if unseen > 0:
            self._others += unseen
            self._seen_bucket = span.bucket

    def seen_since(self, at_us: int) -> bool:
        """Whether Redis has reported the counter after that moment."""
        return self._seen_us > at_us

    # --- what the vote log says, and what was granted without Redis --------------------------------------------------

    def logged(self, amounts: Mapping[int, int], now: float) -> None:
        """Takes in what the vote log knows."""
        self._logged, self._told_at = dict(amounts), now

    def grant(self, bucket: int, amount: int) -> None:
        """Notes in the journal what was granted without Redis, or refunded (a negative amount)."""
        self.journal[bucket] = self.journal.get(bucket, 0) + amount

    def opened(self, bucket: int, amount: int) -> None:
        """A call with this reservation begins: the vote log cannot know about it before it ends."""
        self._open[bucket] = self._open.get(bucket, 0) + amount

    def closed(self, bucket: int, amount: int) -> None:
        """A call with this reservation has ended."""
        if self._open.get(bucket, 0) > amount:
            self._open[bucket] -= amount
        else:
            self._open.pop(bucket, None)

    def told(self, pushed: Mapping[int, int]) -> None:
        """Redis has taken in this much of the journal."""
        for bucket in pushed.keys() & self.journal.keys():
            rest = self.journal.pop(bucket) - pushed[bucket]
            if rest:
                self.journal[bucket] = rest

    # --- what is known -----------------------------------------------------------------------------------------------

    def used(self, span: Span) -> int:
        """The amount that counts now, as far as is known here."""
        self._forget(span)
        return self._own_sum + max(self._others, -self._own_sum) + sum(self.journal.values())

    def spent_before(self, span: Span) -> int:
        """The part that was spent before Redis went away, by the larger of both accounts (ours and the vote log's)."""
        given = sum(self.journal.values())
        return max(self.used(span) - given, sum(self._logged.values()) if self._logged else 0)

    def known_by_bucket(self, span: Span) -> dict[int, int]:
        """All that counts now, by bucket: enough to recover the counter in an empty Redis."""
        self._forget(span)
        others = {self._seen_bucket: self._others} if self._others > 0 else {}
        return merged(_sum(self._own, self.journal, others), _sum(self._logged or {}, self._open))

    def room(self, now_ms: int) -> float:
        """The share of the limit that is left, 0 to 1; raised shortly before a reset, when the rest would expire."""
        window = self.counter.window
        left = min(1.0, max(0.0, 1 - self.used(window.span(now_ms)) / self.counter.amount))
        ends_ms = window.ends_ms(now_ms)
        if ends_ms is None or not left:
            return left
        still = (ends_ms - now_ms) / (ends_ms - window.since_ms(now_ms))
        return math.pow(left, min(1.0, still / _SOON))

    def wait_s(self, now: float, amount: int | None = None) -> float:
        """For how many seconds nothing more fits, or not this amount, as far as known; 0 if Redis should be asked."""
        if now >= self._recheck_at:
            return 0.0
        fits_at = self._fits_at if amount is not None and self._refused and amount >= self._refused else -math.inf
        return max(0.0, max(self._free_at, fits_at) - now)

    def _forget(self, span: Span) -> None:
        """Drops the buckets that no longer count."""
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


class LocalCounters:
    """The local counters of every limit that this replica has ever had a seat for, and which of them a seat has."""

    def __init__(self, window: WindowOf) -> None:
        self._window = window
        self._by_key: dict[str, LocalCounter] = {}
        self._by_seat: dict[str, tuple[Seat, tuple[LocalCounter, ...]]] = {}

    def of(self, seat: Seat) -> tuple[LocalCounter, ...]:
        """The counters of a seat, its model's own first; none where the registry names no limit."""
        known = self._by_seat.get(seat.id)
        if known is not None and known[0].model is seat.model and known[0].provider is seat.provider:
            return known[1]
        counters = tuple(self._local(counter) for counter in counters_of(seat, self._window))
        self._by_seat[seat.id] = seat, counters
        return counters

    def __iter__(self) -> Iterator[LocalCounter]:
        return iter(list(self._by_key.values()))

    def _local(self, counter: Counter) -> LocalCounter:
        local = self._by_key.setdefault(counter.key, LocalCounter(counter))
        if local.counter != counter:
            local.edited(counter)
        return local


@contextmanager
def asking(claims: Collection[tuple[LocalCounter, int]]) -> Iterator[None]:
    """While Redis is asked for these amounts, a share of what is left does not include them: it may grant them yet."""
    for local, amount in claims:
        local.asked += amount
    try:
        yield
    finally:
        for local, amount in claims:
            local.asked -= amount


def _before(amounts: dict[int, int], span: Span) -> list[int]:
    return [bucket for bucket in amounts if bucket < span.first]


def _sum(*accounts: Mapping[int, int]) -> dict[int, int]:
    total: dict[int, int] = {}
    for account in accounts:
        for bucket, amount in account.items():
            total[bucket] = total.get(bucket, 0) + amount
    return total


def merged(one: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    """Two accounts of the same calls as one: from any bucket on, as much as the larger of the two has.

    Not bucket by bucket: they may disagree by one bucket about a call, which would then count twice.
    """
    amounts: dict[int, int] = {}
    sums, total = [0, 0], 0
    for bucket in sorted({*one, *other}, reverse=True):
        sums = [sums[0] + one.get(bucket, 0), sums[1] + other.get(bucket, 0)]
        if max(sums) > total:
            amounts[bucket] = max(sums) - total
            total = max(sums)
    return amounts
