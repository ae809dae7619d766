"""Counts of recent events: in a sliding window of slices, or among the last few calls."""

from __future__ import annotations

from collections import deque

from router.core.clock import Clock


class RollingCount:
    """The number of events in the last `window_s` seconds, give or take one slice; O(1) per event."""

    def __init__(self, clock: Clock, window_s: float, slices: int) -> None:
        self._clock = clock
        self._slice_s = window_s / slices
        self._counts = [0] * slices
        self._total = 0
        self._newest = self._slice()

    def add(self) -> None:
        """Counts one event now."""
        self._forget()
        self._counts[self._newest % len(self._counts)] += 1
        self._total += 1

    def total(self) -> int:
        """The number of events in the window."""
        self._forget()
        return self._total

    def _slice(self) -> int:
        return int(self._clock.monotonic() // self._slice_s)

    def _forget(self) -> None:
        now = self._slice()
        for passed in range(max(self._newest + 1, now - len(self._counts) + 1), now + 1):
            place = passed % len(self._counts)
            self._total -= self._counts[place]
            self._counts[place] = 0
        self._newest = now


class LastOutcomes:
    """How the last `most` calls ended, of those that ended in the last `window_s` seconds; O(1) per call."""

    def __init__(self, clock: Clock, window_s: float, most: int) -> None:
        self.most = most
        self.failures = 0
        self._clock = clock
        self._window_s = window_s
        self._ended: deque[tuple[float, bool]] = deque()  # (monotonic, whether it failed)

    @property
    def calls(self) -> int:
        """How many calls there are, as of the last `add`."""
        return len(self._ended)

    def add(self, *, failed: bool) -> None:
        """Counts a call that ends now, and drops those that are too many or too old."""
        now = self._clock.monotonic()
        self._ended.append((now, failed))
        self.failures += failed
        while len(self._ended) > self.most or self._ended[0][0] <= now - self._window_s:
            self.failures -= self._ended.popleft()[1]

    def clear(self) -> None:
        """Starts again from zero."""
        self._ended.clear()
        self.failures = 0
