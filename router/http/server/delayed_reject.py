"""Refusals on their way out, held for a moment: whoever is told at once to come again comes at once.

To turn a request away costs about a twentieth of what it costs to serve one, so a crowd that asks ten times as much as
there is time for would take nearly half of that time only to hear no. Callers who wait for their refusal ask less.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

HOLD_S = 0.5  # little beside the second or more that a caller is told to wait
_TICK_S = 0.01


class Holding:
    """Calls each `say` once, `hold_s` after it was handed in, in their order."""

    def __init__(self, hold_s: float) -> None:
        self._hold_s = hold_s
        self._loop = asyncio.get_running_loop()
        self._held: deque[tuple[float, Callable[[], None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def hold(self, say: Callable[[], None]) -> None:
        """Says it later."""
        self._held.append((self._loop.time() + self._hold_s, say))
        if self._timer is None:
            self._timer = self._loop.call_later(self._hold_s, self._say_due)

    def say_all(self) -> None:
        """Says everything now."""
        while self._held:
            self._held.popleft()[1]()

    def _say_due(self) -> None:
        now = self._loop.time()
        while self._held and self._held[0][0] <= now:
            self._held.popleft()[1]()
        self._timer = self._loop.call_later(_TICK_S, self._say_due) if self._held else None
