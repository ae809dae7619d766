"""An event loop for tests whose clock stops while the process waits for a CPU.

On a busy machine a process may wait a second for a CPU. All timers of the test and of its daemon are then due at once,
and what was in time looks late. This loop's clock leaves that waiting out.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Mapping


class SteadyLoop(asyncio.SelectorEventLoop):
    """The standard loop; its `time` counts only while its thread runs or waits in the selector."""

    def __init__(self) -> None:
        self._lost_s = 0.0
        self._seen = time.monotonic(), time.thread_time()
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Monotonic seconds, without the time in which the thread was neither running nor waiting in the selector."""
        now, worked_s = time.monotonic(), time.thread_time()
        self._lost_s += max(0.0, now - self._seen[0] - (worked_s - self._seen[1]))
        self._seen = now, worked_s
        return now - self._lost_s

    def waited(self, timeout_s: float | None) -> None:
        """Counts a wait of the selector, but never more than its time-out: the rest was spent waiting for a CPU."""
        now, worked_s = time.monotonic(), time.thread_time()
        if timeout_s is not None:
            self._lost_s += max(0.0, now - self._seen[0] - max(0.0, timeout_s))
        self._seen = now, worked_s


class _Selector(selectors.DefaultSelector):
    """Reports to its loop when its waits begin and end."""

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
