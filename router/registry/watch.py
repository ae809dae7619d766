"""The registry in use, and how a saved file takes its place: checked off the loop, swapped in one reference."""

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
CHECK_LIMIT_S = 5.0
POLL_S = 0.5

# A file that is much smaller than the one in use may be half of what an editor is still writing.
_SHRUNK = 0.9
_PATIENT_POLLS = 4


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """What a reload came to; `registry` is the one in use after it, `problems` those of the file that was read."""

    status: Literal["swapped", "unchanged", "failed"]
    registry: Registry
    problems: tuple[Problem, ...] = ()
    changes: tuple[str, ...] = ()


class RegistryHolder:
    """Holds the registry in use, and replaces it with what `check` finds; a file with errors changes nothing.

    `on_reload` is told of every reload, after the swap. Requests take `current` once and keep it.
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
        """A holder of what `check` finds now; RegistryError if that is not usable."""
        checked = await asyncio.to_thread(check)
        if checked.registry is None:
            raise RegistryError(checked.problems)
        return cls(checked.registry, check, on_reload=on_reload)

    @property
    def current(self) -> Registry:
        """The registry that new requests begin with."""
        return self._current

    @property
    def last_error(self) -> tuple[Problem, ...]:
        """The problems of the last file that could not be used; empty since a good one was read."""
        return self._last_error

    async def reload(self) -> ReloadResult:
        """Reads the file again. Calls that come while a reload waits for its turn share its result."""
        if self._queued is None:
            self._queued = asyncio.create_task(self._take_turn(), name="registry reload")
            self._tasks.add(self._queued)
            self._queued.add_done_callback(self._tasks.discard)
        # Shielded: one caller that leaves must not take the reload away from the others.
        return await asyncio.shield(self._queued)

    async def close(self) -> None:
        """Ends the reloads under way."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _take_turn(self) -> ReloadResult:
        async with self._lock:
            # From here on the file may already be read: who comes later needs a later look at it.
            self._queued = None
            result = self._apply(await self._checked())
        if self._on_reload:
            self._on_reload(result)
        return result

    def _apply(self, checked: Checked) -> ReloadResult:
        old, new = self._current, checked.registry
        if new is None:
            self._last_error = checked.problems
            return ReloadResult("failed", old, checked.problems)
        self._last_error = ()
        if new == old:
            return ReloadResult("unchanged", old, checked.problems)
        self._current = new
        return ReloadResult("swapped", new, checked.problems, tuple(diff(old, new)))

    async def _checked(self) -> Checked:
        """Runs the check in a thread for at most the time allowed; one that hangs is not started a second time."""
        source = self._current.source
        if self._checking is None or self._checking.done():
            self._checking = asyncio.get_running_loop().run_in_executor(None, self._check)
        done, _ = await asyncio.wait([self._checking], timeout=self._limit_s)
        if not done:
            return _failure(source, f"reading and checking took longer than {self._limit_s:g} s")
        if error := self._checking.exception():
            # Whatever a file makes our own checks do, the daemon keeps the registry it has.
            return _failure(source, f"the check itself failed with {type(error).__name__}: please report this file")
        return self._checking.result()


def _failure(source: str, message: str) -> Checked:
    return Checked((Problem(source, 1, 1, "error", message),))


class Signature(NamedTuple):
    """What changes when a file's content does, also by renaming, by a swapped symlink, or with an old date."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


def signature(path: str) -> Signature | None:
    """The signature of the file that a path leads to now; None where it leads nowhere."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return Signature(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class Watcher:
    """Reloads when the file has changed and then stood still for a poll, or when asked to by `nudge`.

    It asks for the state of the path instead of subscribing to events, which miss bind mounts and network disks. `read`
    is the signature that the path had before the holder's registry was read from it.
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
        """Asks for a reload at the next poll; safe in a signal handler, and a thousand calls are one reload."""
        self._nudged = True

    async def run(self) -> None:
        """Polls until cancelled."""
        while True:
            await self.poll_once()
            await self._sleep(self._poll_s)

    async def poll_once(self) -> ReloadResult | None:
        """Looks at the file once; the result of the reload, if there was one."""
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
