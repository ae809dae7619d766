"""Reads a small file that others may write: regular files only, never more than a given number of bytes."""

from __future__ import annotations

import os
import stat


def read_regular(path: str, *, max_bytes: int) -> bytes:
    """The bytes of a regular file.

    Raises `OSError` if it cannot be opened; `ValueError` if it is larger than `max_bytes` or no regular file, with a
    message that continues "file X …".
    """
    # O_NONBLOCK: opening a FIFO that has no writer would otherwise block for ever.
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
