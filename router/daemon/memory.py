"""How much memory this process uses of what it may, and how seldom it looks for what of it is garbage."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path


def memory_share_reader(processes: int, root: Path = Path("/")) -> Callable[[], float]:
    """A function that reads which share this process uses of its part of the memory, when `processes` share it evenly.

    It tells 0 where the system has no `/proc`, as on macOS: there is nothing to compare with.
    """
    statm = root / "proc/self/statm"
    if not statm.exists():
        return lambda: 0.0
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    part_bytes = min((os.sysconf("SC_PHYS_PAGES") * page_bytes, *_cgroup_limits(root))) / processes
    return lambda: int(statm.read_bytes().split()[1]) * page_bytes / part_bytes


def collect_garbage_seldom() -> None:
    """For a daemon that is ready: what is there now stays, and what comes is looked through less often.

    By default everything is looked through again and again while many requests are under way, a quarter of a second
    each time for two thousand of them, in which nobody is answered.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def _cgroup_limits(root: Path) -> Iterator[int]:
    """The limits in bytes of the control groups this process is in, of either version, outer ones included."""
    membership = root / "proc/self/cgroup"
    for line in membership.read_text().splitlines() if membership.exists() else ():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            mount, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            mount, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        group = mount / path.lstrip("/")
        for folder in (group, *group.parents):
            # In a container the path is often the host's, and only the mount itself is there.
            text = (folder / name).read_text().strip() if (folder / name).is_file() else ""
            if text.isdigit():
                yield int(text)
            if folder == mount:
                break
