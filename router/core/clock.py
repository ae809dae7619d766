"""The clock, a value that is handed in so that tests own the time: monotonic for durations, wall for records."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Clock:
    """`monotonic` (seconds since any moment) measures durations; `wall` is Unix time in seconds, for stored times."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


SYSTEM_CLOCK = Clock()


def utc(wall_s: float) -> datetime:
    """Unix time in seconds as a datetime in UTC, which is how tables store it."""
    return datetime.fromtimestamp(wall_s, UTC)


def utc_text(wall_s: float | None) -> str | None:
    """A time of the wall clock as ISO 8601 in UTC, to the second: `2026-11-30T12:00:00+00:00`; None stays None."""
    return None if wall_s is None else utc(wall_s).isoformat(timespec="seconds")
