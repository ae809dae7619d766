"""Delays rejections by half a second, since clients that are rejected at once retry at once.

A rejection costs about a twentieth of an answer: at ten times the capacity, rejections alone would take half of it.
A client that waits for its rejection sends fewer requests, so the delay is backpressure.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

DELAY_S = 0.5  # little beside the `Retry-After` of 1 s or more
_TICK_S = 0.01  # rejections that fall due within one tick share a timer


class DelayedRejects:
    """Calls each `send` once, `delay_s` after it was added, in the order in which they were added."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, send: Callable[[], None]) -> None:
        """Schedules `send`; it must not raise."""
        self._waiting.append((self._loop.time() + self._delay_s, send))
        if self._timer is None:
            self._timer = self._loop.call_later(self._delay_s, self._run_due)

    def run_all(self) -> None:
        """Calls every pending `send` now, before connections are closed."""
        while self._waiting:
            self._waiting.popleft()[1]()

    def _run_due(self) -> None:
        now = self._loop.time()
        while self._waiting and self._waiting[0][0] <= now:
            self._waiting.popleft()[1]()
        self._timer = self._loop.call_later(_TICK_S, self._run_due) if self._waiting else None
