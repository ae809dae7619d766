"""How many probes a limit pays for, and the count of those that were made. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from healthcheck.subjects import Limit, Subject, Unit

JITTER = 0.1  # of an interval, either way

# A probe is about 100 tokens: a short question, a short answer, and the thoughts of those that think. In neurons and
# US dollars that is rounded up to what a dear model takes.
_COST: Mapping[Unit, float] = {"requests": 1.0, "tokens": 100.0, "neurons": 10.0, "usd": 0.001}
_SHORTEST_S = 86_400.0  # what a shorter window holds is back before it is missed
_GRAINS = 288  # a day is counted in pieces of five minutes


Key = tuple[str, Unit, float]
"""Whose limit (a provider's or one model's), of what, over how long."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What one limit pays for: `probes` in any `period_s`, counted under `key` for all who share it.

    `spare` of them are not needed for the regular rounds, which one sharer can have every `pace_s`.
    """

    key: Key
    probes: int
    period_s: float
    spare: int
    pace_s: float


def keys(subject: Subject, *, listing: bool) -> Iterator[tuple[Key, Limit]]:
    """The limits that a probe of this subject takes from.

    A listing of models asks no model: it counts as one request of the account and costs no tokens.
    """
    for limit in subject.limits:
        if limit.period_s >= _SHORTEST_S and not (listing and (limit.unit != "requests" or not limit.shared)):
            yield (subject.provider if limit.shared else subject.id, limit.unit, limit.period_s), limit


def grants(subject: Subject, *, listing: bool, sharers: Mapping[Key, int]) -> Iterator[Grant]:
    """What those limits pay for, where `sharers` take from each in turn (one, where it does not say)."""
    for key, limit in keys(subject, listing=listing):
        # Rounded first, since a twentieth of 20 must not be less than one for a bit at the end of a float.
        exact = round(subject.probe_share * limit.amount / _COST[limit.unit], 6)
        if exact <= 0:
            yield Grant(key, 0, limit.period_s, 0, math.inf)
            continue
        # Less than one a day is one in several days.
        probes, period_s = max(1, math.floor(exact)), limit.period_s / min(1.0, exact)
        together = sharers.get(key, 1)
        needed = math.ceil(together * period_s / (subject.interval_s * (1 - JITTER)))
        rounds = min(probes - probes // 4, needed)
        yield Grant(key, probes, period_s, probes - rounds, together * period_s / rounds)


class Ledger:
    """Counts what was spent of every grant, so that no window of its length ever holds more probes than it grants."""

    def __init__(self) -> None:
        self._all: dict[Key, _Window] = {}
        self._extra: dict[Key, _Window] = {}

    def affords(self, granted: Iterable[Grant], now: float, *, extra: bool) -> bool:
        """Whether one more probe may be made now; an `extra` one takes only from what regular rounds leave over."""
        return all(
            _count(self._all, grant, now) < grant.probes
            and not (extra and _count(self._extra, grant, now) >= grant.spare)
            for grant in granted
        )

    def charge(self, granted: Iterable[Grant], at: float, *, extra: bool) -> None:
        """Counts a probe that is made, or that another replica has made."""
        for grant in granted:
            for windows in (self._all, self._extra) if extra else (self._all,):
                windows.setdefault(grant.key, _Window()).add(at, grant.period_s)

    def forget_spent(self, now: float) -> None:
        """Drops the windows that have emptied; what a removed model spent is remembered until it is back."""
        for windows in (self._all, self._extra):
            for key in [key for key, window in windows.items() if not window.count(now, window.period_s)]:
                del windows[key]


class _Window:
    """How many probes the last `period_s` held, in a bounded number of entries: near ones leave together, the later."""

    def __init__(self) -> None:
        self.period_s = 0.0
        self._entries: deque[tuple[float, float, int]] = deque()  # the first and last moment of some, how many
        self._total = 0

    def add(self, at: float, period_s: float) -> None:
        self.period_s = period_s
        first, number = at, 1
        if self._entries and at - self._entries[-1][0] < period_s / _GRAINS:
            first, last, so_far = self._entries.pop()
            at, number = max(at, last), so_far + 1
        self._entries.append((first, at, number))
        self._total += 1

    def count(self, now: float, period_s: float) -> int:
        while self._entries and self._entries[0][1] + period_s <= now:
            self._total -= self._entries.popleft()[2]
        return self._total


def _count(windows: Mapping[Key, _Window], grant: Grant, now: float) -> int:
    window = windows.get(grant.key)
    return window.count(now, grant.period_s) if window else 0
