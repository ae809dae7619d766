"""When a limit starts anew: windows that roll, counted in buckets, and windows that follow a calendar; pure.

Both look the same from outside: at any moment amounts go into one bucket, and those since a first bucket count.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from router.core.registry import Limit

Per = Literal["minute", "day", "month"]

JITTER_S = 2.0  # two requests may get closer to each other on their way to the provider, by so much
_BUCKETS = 240  # per window: what the last one holds too long costs at most 0.4 % of a limit
_LENGTH_S: Mapping[Per, float] = MappingProxyType({"minute": 60.0, "day": 86400.0, "month": 30 * 86400.0})


class Span(NamedTuple):
    """A window at one moment: what is spent goes into `bucket`, and counts while that is not before `first`."""

    first: int
    bucket: int


@dataclass(frozen=True, slots=True)
class Rolling:
    """The last `window_ms`, in buckets of `width_ms`: an amount counts until the whole of its bucket is older."""

    width_ms: int
    window_ms: int

    def span(self, now_ms: int) -> Span:
        """The window at a moment (Unix time)."""
        return Span((now_ms - self.window_ms) // self.width_ms, now_ms // self.width_ms)

    def since_ms(self, now_ms: int) -> int:
        """When the oldest bucket that counts began."""
        return self.span(now_ms).first * self.width_ms

    def words(self, now_ms: int) -> tuple[str, int, int]:
        """What the scripts in Redis need to know of it."""
        return "rolling", self.width_ms, self.window_ms

    def ends_ms(self, now_ms: int) -> int | None:
        """A rolling window never ends."""
        return None


@dataclass(frozen=True, slots=True)
class Calendar:
    """A day or month that begins at `resets`, a local time and its zone; its one bucket is named by its start."""

    resets: str
    per: Per

    def span(self, now_ms: int) -> Span:
        """The window at a moment (Unix time)."""
        start = self.since_ms(now_ms)
        return Span(start, start)

    def since_ms(self, now_ms: int) -> int:
        """When the window began."""
        return self._period(now_ms).start * 1000

    def words(self, now_ms: int) -> tuple[str, int, int]:
        """What the scripts in Redis need to know of it."""
        period = self._period(now_ms)
        return "calendar", period.start * 1000, period.end * 1000

    def ends_ms(self, now_ms: int) -> int:
        """When the next window begins."""
        return self._period(now_ms).end * 1000

    def _period(self, now_ms: int) -> Period:
        return period(self.resets, self.per, now_ms / 1000)


Window = Rolling | Calendar


def rolling(length_s: float, jitter_s: float = JITTER_S) -> Rolling:
    """A rolling window in which no more than the limit is sent in any `length_s`, as the provider sees it."""
    window_ms = math.ceil((length_s + jitter_s) * 1000)
    return Rolling(math.ceil(window_ms / _BUCKETS), window_ms)


_ROLLING: Mapping[Per, Rolling] = MappingProxyType({per: rolling(length_s) for per, length_s in _LENGTH_S.items()})


def window_of(limit: Limit) -> Window:
    """The window of a limit as the registry has it."""
    return _ROLLING[limit.per] if limit.resets == "rolling" else Calendar(limit.resets, limit.per)


# --- the calendar ----------------------------------------------------------------------------------------------------


class Period(NamedTuple):
    """From one reset to the next, in Unix time; the end belongs to the next one."""

    start: int
    end: int


def next_reset(limit: Limit, wall: float) -> float:
    """The Unix time of a calendar limit's next reset after `wall`, in its own zone: days may have 23 or 25 hours."""
    return period(limit.resets, limit.per, wall).end


def period(resets: str, per: Per, wall: float) -> Period:
    """The day or month, as `resets` has it (`00:00 Europe/Berlin`), in which a moment lies."""
    return _period(resets, per, int(wall // 60))  # resets lie on whole minutes: one answer serves for sixty seconds


@lru_cache(maxsize=4096)
def _period(resets: str, per: Per, minute: int) -> Period:
    at, name = resets.split(" ", 1)
    zone, time = ZoneInfo(name), dt.time.fromisoformat(at)
    today = dt.datetime.fromtimestamp(minute * 60, zone).date()
    days = _days_around(today) if per == "day" else _firsts_around(today)
    # Through UTC, so that a local time that does not exist (a spring gap) becomes the moment after it.
    moments = [int(dt.datetime.combine(day, time, zone).timestamp()) for day in days]
    return Period(
        max(moment for moment in moments if moment <= minute * 60),
        min(moment for moment in moments if moment > minute * 60),
    )


def _days_around(today: dt.date) -> list[dt.date]:
    """Two days each way: where the date line was moved, a zone has skipped a whole day."""
    return [today + dt.timedelta(days) for days in range(-2, 3)]


def _firsts_around(today: dt.date) -> list[dt.date]:
    first = today.replace(day=1)
    return [(first - dt.timedelta(1)).replace(day=1), first, (first + dt.timedelta(32)).replace(day=1)]
