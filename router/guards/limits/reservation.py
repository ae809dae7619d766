"""What a call holds of its seat's limits while it is under way, and what it has really consumed when it ends; pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from adapters.types import LimitSeen, LimitsSeen, Usage
from router.guards.limits.counters import spent, told
from router.guards.limits.local_counters import LocalCounter
from router.guards.limits.redis_counters import CounterChange


@dataclass(frozen=True, slots=True)
class Taken:
    """What a reservation holds of one counter."""

    local: LocalCounter
    bucket: int
    amount: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """Permission for one call; `offline` when it was granted without Redis. Without limits it holds nothing."""

    rid: str
    taken: tuple[Taken, ...] = ()
    offline: bool = False


def opened(reservation: Reservation) -> Reservation:
    """Notes that a call begins, which the vote log cannot know about before it ends."""
    for each in reservation.taken:
        each.local.opened(each.bucket, each.amount)
    return reservation


def closed(reservation: Reservation) -> None:
    """Notes that the call has ended."""
    for each in reservation.taken:
        each.local.closed(each.bucket, each.amount)


# --- settling --------------------------------------------------------------------------------------------------------


class SettledCounter(NamedTuple):
    """What a settlement changes in one counter; `bucket` is None when nobody knows whether anything was reserved."""

    local: LocalCounter
    bucket: int | None
    change: CounterChange


@dataclass(frozen=True, slots=True)
class Settlement:
    """How one reservation ended, for all its counters."""

    rid: str
    parts: tuple[SettledCounter, ...]

    @property
    def empty(self) -> bool:
        """True when it changes nothing."""
        return not any(part.change.amount or part.change.left >= 0 for part in self.parts)


@dataclass(frozen=True, slots=True)
class Consumption:
    """What a call has consumed: whether anything was sent, its usage, and what the provider reports as left."""

    sent: bool
    usage: Usage
    cost_usd: float | None
    seen: LimitsSeen


def settled(reservation: Reservation, consumed: Consumption, now_ms: int) -> Settlement:
    """Turns what was reserved into what was spent, which is nothing if nothing was sent."""
    left = told((each.local.counter for each in reservation.taken), consumed.seen)
    parts = []
    for each in reservation.taken:
        counter = each.local.counter
        actual = spent(counter, each.amount, consumed.usage, consumed.cost_usd) if consumed.sent else 0
        change = _change(each.local, actual - each.amount, left.get(counter.key), now_ms)
        parts.append(SettledCounter(each.local, each.bucket, change))
    return Settlement(reservation.rid, tuple(parts))


def _change(local: LocalCounter, amount: int, reported: LimitSeen | None, now_ms: int) -> CounterChange:
    """What the provider reports as left is passed on only where it is less than we know of."""
    if reported is None or reported.remaining is None:
        return CounterChange(local.counter, amount)
    left = math.floor(reported.remaining)
    if local.counter.amount - local.used(local.counter.window.span(now_ms)) - amount <= left:
        return CounterChange(local.counter, amount)
    resets_s = reported.resets_in_s
    if resets_s is None and reported.resets_at is not None:
        resets_s = reported.resets_at - now_ms / 1000
    return CounterChange(local.counter, amount, left, -1 if resets_s is None else max(0, math.ceil(resets_s * 1000)))


def taken_back(rid: str, claims: Iterable[tuple[LocalCounter, int]]) -> Settlement:
    """Takes back a reservation that may or may not have been granted: if it was, it counts as if it had not been."""
    return Settlement(
        rid, tuple(SettledCounter(local, None, CounterChange(local.counter, -amount)) for local, amount in claims)
    )
