"""Ids of requests, votes and everything else that is written down: UUIDv7, so that they sort by time."""

from __future__ import annotations

import os

from router.core.clock import Clock


def new_id(clock: Clock) -> str:
    """A UUIDv7 (RFC 9562): sorts by the millisecond it was made in, and by nothing else."""
    noise = int.from_bytes(os.urandom(10))  # once, since each is a call to the kernel
    value = (
        int(clock.wall() * 1000) << 80 | 0x7 << 76 | (noise >> 62 & 0xFFF) << 64 | 0b10 << 62 | noise & (1 << 62) - 1
    )
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
