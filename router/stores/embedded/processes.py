"""What the operating system knows of file locks and processes, and a bounded wait for it to change."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from router.stores.errors import StoreError

_POLL_S = 0.005


def open_lock(path: Path) -> int:
    """A descriptor of the lock file, which is made if need be; children do not inherit it."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def locked(descriptor: int, how: int) -> bool:
    """Whether the lock (`LOCK_SH` or `LOCK_EX`) was to be had at once; a lock held before is given up for it."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def alive(pid: int | None) -> bool:
    """Whether a process of that number exists."""
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def ended(child: int | None) -> bool:
    """Whether a child process has ended, which also buries it; one that is not ours has ended as far as we know."""
    if child is None:
        return True
    try:
        return os.waitpid(child, os.WNOHANG)[0] == child
    except ChildProcessError:
        return True


async def until(condition: Callable[[], Awaitable[bool]] | Callable[[], bool], timeout_s: float, what: str) -> None:
    """Polls until the condition holds; after `timeout_s`, `StoreError` says what was waited for in vain."""
    try:
        async with asyncio.timeout(timeout_s):
            while not (met if isinstance(met := condition(), bool) else await met):  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise StoreError(f"waited {timeout_s:.0f} s in vain for {what}") from None
