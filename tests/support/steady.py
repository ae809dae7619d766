"""An event loop for tests whose clock stands still while the machine does not let it run.

On a busy machine a process may wait a second for its turn. Everything a test and a daemon in it have planned by then is
due at once, and what was in time looks late. Here the time until one's turn comes does not count.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Mapping


class SteadyLoop(asyncio.SelectorEventLoop):
    """The standard loop, but its `time` is that in which its thread works, or waits for something to happen."""

    def __init__(self) -> None:
        self._lost_s = 0.0
        self._seen = time.monotonic(), time.thread_time()
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Seconds, as of a monotonic clock; what is neither work nor a wait of the selector is left out."""
        now, worked_s = time.monotonic(), time.thread_time()
        self._lost_s += max(0.0, now - self._seen[0] - (worked_s - self._seen[1]))
        self._seen = now, worked_s
        return now - self._lost_s

    def waited(self, timeout_s: float | None) -> None:
        """Counts a wait of the selector: as long as it took, but no longer than it was meant to take."""
        now, worked_s = time.monotonic(), time.thread_time()
        if timeout_s is not None:
            self._lost_s += max(0.0, now - self._seen[0] - max(0.0, timeout_s))
        self._seen = now, worked_s


class _Selector(selectors.DefaultSelector):
    """Tells its loop where its waits begin and end."""

    def __init__(self, loop: SteadyLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.time()
        found: list[tuple[selectors.SelectorKey, int]] = super().select(timeout)
        self._loop.waited(timeout)
        return found


def pytest_asyncio_loop_factories(config: object, item: object) -> Mapping[str, type[SteadyLoop]]:
    """The loop on which pytest-asyncio runs every test."""
    return {"steady": SteadyLoop}
