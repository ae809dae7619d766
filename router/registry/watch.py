"""Hot reload: holds the registry in force, checks a saved file off the event loop, swaps it in by one reference."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

from router.core.registry import Registry
from router.registry.diff import diff
from router.registry.load import Checked
from router.registry.problems import Problem, RegistryError

Check = Callable[[], Checked]
"""Reads and checks the file; called in a thread."""

CHECK_LIMIT_S = 5.0
POLL_S = 0.5

# A file much smaller than the one in force may be half of what an editor is still writing: it must stand still longer.
_SHRUNK = 0.9
_PATIENT_POLLS = 4


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """The result of a reload. `registry` is in force after it, `previous` was in force before it.

    `problems` are those of the file that was read; `changes` say in words what a swap has changed.
    """

    status: Literal["swapped", "unchanged", "failed"]
    registry: Registry
    previous: Registry
    problems: tuple[Problem, ...] = ()
    changes: tuple[str, ...] = ()


class RegistryHolder:
    """Holds the registry in force and replaces it by what `check` reads; a file with errors changes nothing.

    `on_reload` is called with every result, after the swap. A request takes the registry once and keeps it to its end,
    so that no reload can change the rules in the middle of it.
    """

    def __init__(
        self,
        registry: Registry,
        check: Check,
        *,
        on_reload: Callable[[ReloadResult], None] | None = None,
        limit_s: float = CHECK_LIMIT_S,
    ) -> None:
        self._current = registry
        self._check = check
        self._on_reload = on_reload
        self._limit_s = limit_s
        self._last_error: tuple[Problem, ...] = ()
        self._lock = asyncio.Lock()
        self._checking: asyncio.Future[Checked] | None = None
        self._queued: asyncio.Task[ReloadResult] | None = None
        self._tasks: set[asyncio.Task[ReloadResult]] = set()

    @classmethod
    async def open(cls, check: Check, *, on_reload: Callable[[ReloadResult], None] | None = None) -> Self:
        """A holder of the registry that `check` reads now; raises `RegistryError` if it has errors."""
        checked = await asyncio.to_thread(check)
        if checked.registry is None:
            raise RegistryError(checked.problems)
        return cls(checked.registry, check, on_reload=on_reload)

    @property
    def current(self) -> Registry:
        """The registry that new requests begin with."""
        return self._current

    def in_force(self) -> Registry:
        """As `current`, for parts that are handed a function which returns the registry."""
        return self._current

    @property
    def last_error(self) -> tuple[Problem, ...]:
        """The problems of the file read last, if it could not be used; empty after a good one."""
        return self._last_error

    async def reload(self) -> ReloadResult:
        """Reads the file again; returns what came of it, and never raises for the file's sake.

        Reloads run one after another. Calls made while one waits for its turn share its result.
        """
        if self._queued is None:
            self._queued = asyncio.create_task(self._take_turn(), name="registry reload")
            self._tasks.add(self._queued)
            self._queued.add_done_callback(self._tasks.discard)
        # Shielded: a caller that is cancelled must not cancel the reload that others wait for.
        return await asyncio.shield(self._queued)

    async def close(self) -> None:
        """Cancels the reloads under way."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _take_turn(self) -> ReloadResult:
        async with self._lock:
            # The file may be read from here on, so a later call needs another look at it.
            self._queued = None
            result = self._apply(await self._checked())
        if self._on_reload:
            self._on_reload(result)
        return result

    def _apply(self, checked: Checked) -> ReloadResult:
        old, new = self._current, checked.registry
        if new is None:
            self._last_error = checked.problems
            return ReloadResult("failed", old, old, checked.problems)
        self._last_error = ()
        if new == old:
            return ReloadResult("unchanged", old, old, checked.problems)
        self._current = new
        return ReloadResult("swapped", new, old, checked.problems, tuple(diff(old, new)))

    async def _checked(self) -> Checked:
        """Runs the check in a thread, for at most the limit; while one still hangs, no second one is started."""
        source = self._current.source
        if self._checking is None or self._checking.done():
            self._checking = asyncio.get_running_loop().run_in_executor(None, self._check)
        done, _ = await asyncio.wait([self._checking], timeout=self._limit_s)
        if not done:
            return _failure(source, f"reading and checking took longer than {self._limit_s:g} s")
        if error := self._checking.exception():
            # A file that crashes our own checks must not stop the daemon: it keeps the registry in force.
            return _failure(source, f"the check itself failed with {type(error).__name__}: please report this file")
        return self._checking.result()


def _failure(source: str, message: str) -> Checked:
    return Checked((Problem(source, 1, 1, "error", message),))


class Signature(NamedTuple):
    """What changes whenever a file's content does, even by a rename, a swapped symlink, or a copy with an old date."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


def signature(path: str) -> Signature | None:
    """The signature of the file that a path leads to now; None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return Signature(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class Watcher:
    """Polls the file; reloads when it has changed and then stayed the same for one poll, or when `nudge` asks for it.

    Polling, not inotify: events miss bind mounts and network disks (docs/decisions/001). `read` is the signature the
    path had before the holder's registry was read, so that a change made meanwhile is not missed.
    """

    def __init__(
        self,
        holder: RegistryHolder,
        path: str,
        *,
        read: Signature | None = None,
        poll_s: float = POLL_S,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._holder = holder
        self._path = path
        self._poll_s = poll_s
        self._sleep = sleep
        self._read = read
        self._seen: Signature | None = None
        self._stable_polls = 0
        self._nudged = False

    def nudge(self) -> None:
        """Asks for a reload at the next poll; safe in a signal handler. Calls between two polls are one reload."""
        self._nudged = True

    async def run(self) -> None:
        """Polls until cancelled."""
        while True:
            await self.poll_once()
            await self._sleep(self._poll_s)

    async def poll_once(self) -> ReloadResult | None:
        """Looks at the file once; returns the result of the reload, None if there was none."""
        found = await asyncio.to_thread(signature, self._path)
        self._stable_polls = self._stable_polls + 1 if found == self._seen else 0
        self._seen = found
        settled = found != self._read and self._stable_polls >= self._patience(found)
        if not (settled or self._nudged):
            return None
        self._nudged = False
        self._read = found
        return await self._holder.reload()

    def _patience(self, found: Signature | None) -> int:
        shrunk = found and self._read and found.size < self._read.size * _SHRUNK
        return _PATIENT_POLLS if shrunk else 1
