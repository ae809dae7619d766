"""Tasks: work beside the requests that is owned and restarted, and cancellation with a reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Any
from weakref import WeakKeyDictionary

import structlog

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


@asynccontextmanager
async def background(work: Callable[[], Awaitable[None]], name: str) -> AsyncIterator[None]:
    """Keeps `work` going inside the block: what it raises is logged, and it is begun anew after a growing pause."""
    task = asyncio.create_task(_kept_going(work, name), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _kept_going(work: Callable[[], Awaitable[None]], name: str) -> None:
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            await work()
            return
        except Exception:  # a bug in one of them must not end it for good, nor the daemon
            structlog.get_logger().exception("background_bug", work=name)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


# --- why a task is cancelled -----------------------------------------------------------------------------------------


class CancelReason(Enum):
    """Why a task was cancelled by us; a caller who leaves has none."""

    NOT_NEEDED = auto()
    """Its answer can change nothing any more."""
    SHUTDOWN = auto()
    """The daemon stops and cannot wait any longer."""


# By task, since the exception itself does not keep its argument everywhere: whatever awaits a shared future or cleans
# up on the way may raise another `CancelledError` in its place.
_REASONS: WeakKeyDictionary[asyncio.Task[Any], CancelReason] = WeakKeyDictionary()


def cancel(task: asyncio.Task[Any], reason: CancelReason) -> None:
    """Cancels a task, and remembers why until the task is gone."""
    if not task.done():
        _REASONS[task] = reason
    task.cancel()


def cancel_reason() -> CancelReason | None:
    """Why the current task was cancelled, None if nobody said."""
    task = asyncio.current_task()
    return None if task is None else _REASONS.get(task)
