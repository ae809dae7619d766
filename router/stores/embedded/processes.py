"""File locks and processes as the operating system reports them, and a bounded wait for them to change."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from router.stores.errors import StoreError

_POLL_S = 0.005


def open_lock(path: Path) -> int:
    """A descriptor of the lock file, created if missing; child processes do not inherit it."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def locked(descriptor: int, how: int) -> bool:
    """Tries to take the lock (`LOCK_SH` or `LOCK_EX`) without waiting; returns whether it is held now.

    It replaces a lock held on the same descriptor, which is lost even when the new one is refused (flock(2)).
    """
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def alive(pid: int | None) -> bool:
    """Whether a process with that id exists, whoever owns it."""
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
    """Whether a child process has ended, and reaps it if so; True for None and for what is not our child."""
    if child is None:
        return True
    try:
        return os.waitpid(child, os.WNOHANG)[0] == child
    except ChildProcessError:
        return True


async def until(condition: Callable[[], Awaitable[bool]] | Callable[[], bool], timeout_s: float, what: str) -> None:
    """Polls until the condition holds; after `timeout_s` raises `StoreError` naming `what` did not happen."""
    try:
        async with asyncio.timeout(timeout_s):
            while not (met if isinstance(met := condition(), bool) else await met):  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise StoreError(f"waited {timeout_s:.0f} s in vain for {what}") from None
