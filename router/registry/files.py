"""Reading a small file that somebody else wrote: regular files only, and never more than was asked for."""

from __future__ import annotations

import os
import stat


def read_regular(path: str, *, max_bytes: int) -> bytes:
    """The bytes of a regular file; OSError where it cannot be opened, ValueError where it is not fit to be read."""
    # O_NONBLOCK: opening a FIFO that nobody writes to would wait forever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(max_bytes + 1)
    finally:
        os.close(descriptor)
    if len(content) > max_bytes:
        raise ValueError(f"is larger than {max_bytes:,} bytes")
    return content
