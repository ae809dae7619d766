"""Work that goes on beside the requests, as long as the daemon runs: owned, restarted when it fails, ended with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

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
