"""Time as a value that is handed in: one monotonic reading for durations, one wall reading for records."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Clock:
    """`monotonic` seconds measure how long things take; `wall` is Unix time in seconds, for what is written down."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


SYSTEM_CLOCK = Clock()


def utc(wall_s: float) -> datetime:
    """A time of the wall clock as tables hold it."""
    return datetime.fromtimestamp(wall_s, UTC)
