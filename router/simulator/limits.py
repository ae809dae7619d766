"""Rate limits as a provider keeps them: requests in a sliding minute and in a UTC day."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

DAY_S = 86_400
MINUTE_S = 60.0
KEYS = (
    1_000  # counters kept; the least recently used is dropped first, so that made-up model names cannot fill the memory
)


@dataclass(frozen=True, slots=True)
class Quota:
    """Requests allowed in any 60 seconds and in one UTC day; None means unlimited."""

    per_minute: int | None = 6_000
    per_day: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A caller's counters after one request: what is used and left of the quota, and when each window resets."""

    quota: Quota
    used_minute: int
    used_day: int
    minute_resets_s: float
    day_resets_s: float
    refused: Literal["minute", "day"] | None = None

    @property
    def left_minute(self) -> int:
        """Requests left in this minute."""
        return max(0, (self.quota.per_minute or self.used_minute) - self.used_minute)

    @property
    def left_day(self) -> int:
        """Requests left today."""
        return max(0, (self.quota.per_day or self.used_day) - self.used_day)


@dataclass(slots=True)
class _Count:
    sent: deque[float] = field(default_factory=deque)
    day: int = 0
    today: int = 0


class Limits:
    """The counters of all keys; `now` is a monotonic clock, `wall` Unix time, both in seconds."""

    def __init__(self, now: Callable[[], float], wall: Callable[[], float]) -> None:
        self._now = now
        self._wall = wall
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def admit(self, key: str, quota: Quota) -> Standing:
        """Counts one request under `key` if both windows have room (a refused one is not), and returns the counters."""
        now, wall = self._now(), self._wall()
        count = self._count(key)
        while count.sent and count.sent[0] <= now - MINUTE_S:
            count.sent.popleft()
        if count.day != (day := int(wall // DAY_S)):
            count.day, count.today = day, 0
        refused = _full(count, quota)
        if refused is None:
            count.today += 1
            if quota.per_minute is not None:
                count.sent.append(now)
        minute_resets_s = count.sent[0] + MINUTE_S - now if count.sent else 0.0
        return Standing(quota, len(count.sent), count.today, minute_resets_s, DAY_S - wall % DAY_S, refused)

    def _count(self, key: str) -> _Count:
        count = self._counts.setdefault(key, _Count())
        self._counts.move_to_end(key)
        if len(self._counts) > KEYS:
            self._counts.popitem(last=False)
        return count


def _full(count: _Count, quota: Quota) -> Literal["minute", "day"] | None:
    if quota.per_day is not None and count.today >= quota.per_day:
        return "day"
    if quota.per_minute is not None and len(count.sent) >= quota.per_minute:
        return "minute"
    return None
