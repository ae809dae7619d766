"""What a call holds of its seat's limits while it is under way, and what becomes of that when it has ended; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from adapters.types import LimitSeen, LimitsSeen, Usage
from router.guards.limits.counters import spent, told
from router.guards.limits.local_counters import Mark
from router.guards.limits.redis_counters import Change


@dataclass(frozen=True, slots=True)
class Taken:
    """What a reservation holds of one counter."""

    mark: Mark
    bucket: int
    amount: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """Leave to make one call; `local` when it was given without Redis. Without limits it holds nothing."""

    rid: str
    taken: tuple[Taken, ...] = ()
    local: bool = False


def opened(reservation: Reservation) -> Reservation:
    """Notes that a call begins, which the vote log cannot know before it has ended."""
    for each in reservation.taken:
        each.mark.opened(each.bucket, each.amount)
    return reservation


def closed(reservation: Reservation) -> None:
    """Notes that the call has ended."""
    for each in reservation.taken:
        each.mark.closed(each.bucket, each.amount)


# --- settling --------------------------------------------------------------------------------------------------------


class Part(NamedTuple):
    """What a settlement changes in one counter; `bucket` None when nobody knows whether anything was reserved."""

    mark: Mark
    bucket: int | None
    change: Change


@dataclass(frozen=True, slots=True)
class Settlement:
    """How one reservation ended, for all its counters."""

    rid: str
    parts: tuple[Part, ...]

    @property
    def empty(self) -> bool:
        """True when everything stays as it is."""
        return not any(part.change.amount or part.change.left >= 0 for part in self.parts)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended: whether anything left for its provider, what it took, and what the provider says is left."""

    sent: bool
    usage: Usage
    cost_usd: float | None
    seen: LimitsSeen


def settled(reservation: Reservation, ended: Ended, now_ms: int) -> Settlement:
    """What was reserved becomes what was spent; nothing was spent if nothing was sent."""
    left = told((each.mark.counter for each in reservation.taken), ended.seen)
    parts = []
    for each in reservation.taken:
        counter = each.mark.counter
        actual = spent(counter, each.amount, ended.usage, ended.cost_usd) if ended.sent else 0
        change = _change(each.mark, actual - each.amount, left.get(counter.key), now_ms)
        parts.append(Part(each.mark, each.bucket, change))
    return Settlement(reservation.rid, tuple(parts))


def _change(mark: Mark, amount: int, said: LimitSeen | None, now_ms: int) -> Change:
    """What the provider says is left is passed on only when it is less than we think."""
    if said is None or said.remaining is None:
        return Change(mark.counter, amount)
    left = math.floor(said.remaining)
    if mark.counter.amount - mark.used(mark.counter.window.span(now_ms)) - amount <= left:
        return Change(mark.counter, amount)
    resets_s = said.resets_in_s
    if resets_s is None and said.resets_at is not None:
        resets_s = said.resets_at - now_ms / 1000
    return Change(mark.counter, amount, left, -1 if resets_s is None else max(0, math.ceil(resets_s * 1000)))


def taken_back(rid: str, asked: list[tuple[Mark, int]]) -> Settlement:
    """Of a reservation that nobody knows to have been granted: if it was, it shall be as if it had not."""
    return Settlement(rid, tuple(Part(mark, None, Change(mark.counter, -amount)) for mark, amount in asked))
