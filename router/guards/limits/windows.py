"""The window of a limit: rolling, counted in buckets, or following a calendar; pure.

Both look alike from outside: at any moment new amounts go into one bucket, and all buckets since a first one count.
Times are Unix time in milliseconds.
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

LimitPeriod = Literal["minute", "day", "month"]

JITTER_S = 2.0  # by so much two requests may move towards each other on their way to the provider
_BUCKETS = 240  # per window: the oldest bucket counts until it is old as a whole, which costs at most 0.4 % of a limit
_LENGTH_S: Mapping[LimitPeriod, float] = MappingProxyType({"minute": 60.0, "day": 86400.0, "month": 30 * 86400.0})


class Span(NamedTuple):
    """A window at one moment: amounts spent now go into `bucket`, and those in buckets before `first` do not count."""

    first: int
    bucket: int


@dataclass(frozen=True, slots=True)
class RollingWindow:
    """The last `window_ms`, in buckets of `width_ms`: an amount counts until its whole bucket is older than that."""

    width_ms: int
    window_ms: int

    def span(self, now_ms: int) -> Span:
        """The window at a moment (Unix time)."""
        return Span((now_ms - self.window_ms) // self.width_ms, now_ms // self.width_ms)

    def since_ms(self, now_ms: int) -> int:
        """When the oldest bucket that counts began."""
        return self.span(now_ms).first * self.width_ms

    def script_args(self, now_ms: int) -> tuple[str, int, int]:
        """The window as arguments of the scripts in Redis: its kind, bucket width and length."""
        return "rolling", self.width_ms, self.window_ms

    def ends_ms(self, now_ms: int) -> int | None:
        """None, since a rolling window never ends."""
        return None


@dataclass(frozen=True, slots=True)
class CalendarWindow:
    """A day or month that begins at `resets`, a local time and its zone; it has one bucket, named by its start."""

    resets: str
    per: LimitPeriod

    def span(self, now_ms: int) -> Span:
        """The window at a moment (Unix time)."""
        start = self.since_ms(now_ms)
        return Span(start, start)

    def since_ms(self, now_ms: int) -> int:
        """When the window began."""
        return self._period(now_ms).start * 1000

    def script_args(self, now_ms: int) -> tuple[str, int, int]:
        """The window as arguments of the scripts in Redis: its kind, start and end."""
        period = self._period(now_ms)
        return "calendar", period.start * 1000, period.end * 1000

    def ends_ms(self, now_ms: int) -> int:
        """When the next window begins."""
        return self._period(now_ms).end * 1000

    def _period(self, now_ms: int) -> CalendarPeriod:
        return period(self.resets, self.per, now_ms / 1000)


LimitWindow = RollingWindow | CalendarWindow


def rolling(length_s: float, jitter_s: float = JITTER_S) -> RollingWindow:
    """A rolling window by which no more than the limit is sent in any `length_s`, as the provider sees it."""
    window_ms = math.ceil((length_s + jitter_s) * 1000)
    return RollingWindow(math.ceil(window_ms / _BUCKETS), window_ms)


_ROLLING: Mapping[LimitPeriod, RollingWindow] = MappingProxyType(
    {per: rolling(length_s) for per, length_s in _LENGTH_S.items()}
)


def window_of(limit: Limit) -> LimitWindow:
    """The window of a limit as the registry has it."""
    return _ROLLING[limit.per] if limit.resets == "rolling" else CalendarWindow(limit.resets, limit.per)


# --- the calendar ----------------------------------------------------------------------------------------------------


class CalendarPeriod(NamedTuple):
    """From one reset to the next, in Unix time in seconds; the end is the start of the next period."""

    start: int
    end: int


def next_reset(limit: Limit, wall: float) -> float:
    """The Unix time of a calendar limit's next reset after `wall`, in its own zone: days may have 23 or 25 hours."""
    return period(limit.resets, limit.per, wall).end


def period(resets: str, per: LimitPeriod, wall: float) -> CalendarPeriod:
    """The day or month that contains a moment, bounded by `resets` (`00:00 Europe/Berlin`)."""
    return _period(resets, per, int(wall // 60))  # resets lie on whole minutes: one answer serves for sixty seconds


@lru_cache(maxsize=4096)
def _period(resets: str, per: LimitPeriod, minute: int) -> CalendarPeriod:
    at, name = resets.split(" ", 1)
    zone, time = ZoneInfo(name), dt.time.fromisoformat(at)
    today = dt.datetime.fromtimestamp(minute * 60, zone).date()
    days = _days_around(today) if per == "day" else _firsts_around(today)
    # Through UTC, so that a local time that does not exist (a spring gap) becomes the moment after the gap.
    moments = [int(dt.datetime.combine(day, time, zone).timestamp()) for day in days]
    return CalendarPeriod(
        max(moment for moment in moments if moment <= minute * 60),
        min(moment for moment in moments if moment > minute * 60),
    )


def _days_around(today: dt.date) -> list[dt.date]:
    """Two days each way: when the date line was moved, a zone skipped a whole day."""
    return [today + dt.timedelta(days) for days in range(-2, 3)]


def _firsts_around(today: dt.date) -> list[dt.date]:
    first = today.replace(day=1)
    return [(first - dt.timedelta(1)).replace(day=1), first, (first + dt.timedelta(32)).replace(day=1)]
