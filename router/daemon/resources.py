"""Operating-system limits of this process: open files, memory, and how often the garbage collector runs."""

from __future__ import annotations

import gc
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

_OWN_FILES = 200  # stores, logs, the registry: files that belong to no caller
_LEAST_CALLERS, _MOST_CALLERS = 256, 12_000


# --- open files -------------------------------------------------------------------------------------------------------


def raise_file_limit() -> None:
    """Raises the soft limit on open files to the hard one; many systems start processes with 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def most_callers() -> int:
    """How many callers can be served at once: each needs two open files, its own socket and one to a provider."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(_LEAST_CALLERS, min(_MOST_CALLERS, (soft - _OWN_FILES) // 2))


# --- memory -----------------------------------------------------------------------------------------------------------


def memory_share_reader(processes: int, root: Path = Path("/")) -> Callable[[], float]:
    """A function that reads the share (1.0 is all) of its memory that this process uses.

    Its memory is the machine's, or the tightest limit of its control groups, divided evenly among `processes`. The
    share is always 0 where the system has no `/proc`, as on macOS: there is no figure to compare with.
    """
    statm = root / "proc/self/statm"
    if not statm.exists():
        return lambda: 0.0
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    part_bytes = min((os.sysconf("SC_PHYS_PAGES") * page_bytes, *_cgroup_limits(root))) / processes
    # The second field of statm is the resident set, in pages (proc_pid_statm(5)).
    return lambda: int(statm.read_bytes().split()[1]) * page_bytes / part_bytes


def _cgroup_limits(root: Path) -> Iterator[int]:
    """The memory limits, in bytes, of this process's control groups (version 1 or 2), outer groups included."""
    membership = root / "proc/self/cgroup"
    for line in membership.read_text().splitlines() if membership.exists() else ():
        number, controllers, path = line.split(":", 2)
        if number == "0":  # version 2 has one hierarchy, and its number is 0
            mount, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            mount, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        group = mount / path.lstrip("/")
        for folder in (group, *group.parents):
            # In a container the path is often the host's, and only the mount itself exists.
            text = (folder / name).read_text().strip() if (folder / name).is_file() else ""
            if text.isdigit():  # an unlimited group says "max"
                yield int(text)
            if folder == mount:
                break


# --- garbage collection -----------------------------------------------------------------------------------------------


def collect_garbage_seldom() -> None:
    """Tunes the cyclic garbage collector for a daemon that is ready: startup objects are frozen, full passes are rare.

    With the default thresholds, full collections run again and again while many requests are in flight; with two
    thousand of them each takes a quarter of a second, during which nobody is answered.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
