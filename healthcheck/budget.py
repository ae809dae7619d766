"""The probe budget: how many probes each limit pays for, and how many were made. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from healthcheck.subjects import ChargedUnit, Subject, SubjectLimit

JITTER = 0.1  # of an interval, either way

# A probe costs about 100 tokens: a short question, a short answer, and the reasoning of models that reason. In neurons
# and US dollars that is rounded up to what an expensive model takes.
_COST: Mapping[ChargedUnit, float] = {"requests": 1.0, "tokens": 100.0, "neurons": 10.0, "usd": 0.001}
_SHORTEST_S = 86_400.0  # what a probe takes from a shorter window is back before it is missed
_GRAINS = 288  # a day is counted in pieces of five minutes


LimitKey = tuple[str, ChargedUnit, float]
"""Whose limit (the id of a provider or of one model), its unit, its period in seconds."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What one limit pays for: `probes` in any `period_s`, counted under `key` for all subjects that share the limit.

    `spare` of them are not needed for the regular rounds, in which each sharer has one probe every `pace_s`.
    """

    key: LimitKey
    probes: int
    period_s: float
    spare: int
    pace_s: float


def keys(subject: Subject, *, listing: bool) -> Iterator[tuple[LimitKey, SubjectLimit]]:
    """The limits that a probe of this subject takes from.

    A listing of models calls no model: it counts as one request of the account and costs no tokens.
    """
    for limit in subject.limits:
        if limit.period_s >= _SHORTEST_S and not (listing and (limit.unit != "requests" or not limit.shared)):
            yield (subject.provider if limit.shared else subject.id, limit.unit, limit.period_s), limit


def grants(subject: Subject, *, listing: bool, sharers: Mapping[LimitKey, int]) -> Iterator[Grant]:
    """What those limits pay for, where so many `sharers` take turns at each (one if not given)."""
    for key, limit in keys(subject, listing=listing):
        # Rounded first, since a twentieth of 20 must not fall below one by a float's last bit.
        exact = round(subject.probe_share * limit.amount / _COST[limit.unit], 6)
        if exact <= 0:
            yield Grant(key, 0, limit.period_s, 0, math.inf)
            continue
        # A fraction of a probe per day is one probe in several days.
        probes, period_s = max(1, math.floor(exact)), limit.period_s / min(1.0, exact)
        together = sharers.get(key, 1)
        needed = math.ceil(together * period_s / (subject.interval_s * (1 - JITTER)))
        rounds = min(probes - probes // 4, needed)
        yield Grant(key, probes, period_s, probes - rounds, together * period_s / rounds)


class ProbeBudget:
    """Counts the probes of every grant, so that no window of its period ever holds more of them than it grants.

    Times are monotonic seconds.
    """

    def __init__(self) -> None:
        self._all: dict[LimitKey, _ProbeCount] = {}
        self._extra: dict[LimitKey, _ProbeCount] = {}

    def affords(self, granted: Iterable[Grant], now: float, *, extra: bool) -> bool:
        """Whether one more probe may be made now; an `extra` one may only take what regular rounds leave over."""
        return all(
            _spent(self._all, grant, now) < grant.probes
            and not (extra and _spent(self._extra, grant, now) >= grant.spare)
            for grant in granted
        )

    def charge(self, granted: Iterable[Grant], at: float, *, extra: bool) -> None:
        """Counts a probe that is being made, or that another replica has made."""
        for grant in granted:
            for counts in (self._all, self._extra) if extra else (self._all,):
                counts.setdefault(grant.key, _ProbeCount()).add(at, grant.period_s)

    def forget_spent(self, now: float) -> None:
        """Drops the counts that have sunk to zero; what a removed model spent counts until its period is over."""
        for counts in (self._all, self._extra):
            for key in [key for key, count in counts.items() if not count.total(now, count.period_s)]:
                del counts[key]


class _ProbeCount:
    """The number of probes in the last `period_s`, in a bounded number of entries.

    Probes close to each other share an entry, which leaves the window with the last of them.
    """

    def __init__(self) -> None:
        self.period_s = 0.0
        self._entries: deque[tuple[float, float, int]] = deque()  # the first and last moment of some probes, how many
        self._total = 0

    def add(self, at: float, period_s: float) -> None:
        self.period_s = period_s
        first, number = at, 1
        if self._entries and at - self._entries[-1][0] < period_s / _GRAINS:
            first, last, so_far = self._entries.pop()
            at, number = max(at, last), so_far + 1
        self._entries.append((first, at, number))
        self._total += 1

    def total(self, now: float, period_s: float) -> int:
        while self._entries and self._entries[0][1] + period_s <= now:
            self._total -= self._entries.popleft()[2]
        return self._total


def _spent(counts: Mapping[LimitKey, _ProbeCount], grant: Grant, now: float) -> int:
    count = counts.get(grant.key)
    return count.total(now, grant.period_s) if count else 0
