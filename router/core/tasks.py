"""Asyncio tasks: background work with an owner and restarts, and cancellation with a reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Any
from weakref import WeakKeyDictionary

import structlog

_FIRST_PAUSE_S = 0.1  # before the first restart; doubled each time, so that a lasting bug does not spin
_LONGEST_PAUSE_S = 5.0


@asynccontextmanager
async def background(work: Callable[[], Awaitable[None]], name: str) -> AsyncIterator[None]:
    """Runs `work` inside the block; an exception is logged, and the work restarted after a growing pause."""
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
        except Exception:  # a bug must end neither this work for good nor the daemon
            structlog.get_logger().exception("background_bug", work=name)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


# --- cancellation with a reason --------------------------------------------------------------------------------------


class CancelReason(Enum):
    """Why the router cancelled a task; a caller's disconnect has no reason."""

    NOT_NEEDED = auto()
    """The task's answer cannot change the decision any more."""
    SHUTDOWN = auto()
    """The daemon shuts down, and its drain time is over."""


# Kept by task, not as the argument of `CancelledError`: code that awaits a shared future or cleans up on the way may
# raise a new `CancelledError` without it.
_REASONS: WeakKeyDictionary[asyncio.Task[Any], CancelReason] = WeakKeyDictionary()


def cancel(task: asyncio.Task[Any], reason: CancelReason) -> None:
    """Cancels a task, and keeps the reason for as long as the task exists."""
    if not task.done():
        _REASONS[task] = reason
    task.cancel()


def cancel_reason() -> CancelReason | None:
    """Why the current task was cancelled; None without a reason, as after a caller's disconnect."""
    task = asyncio.current_task()
    return None if task is None else _REASONS.get(task)
