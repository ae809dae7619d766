"""Ids of requests, votes and other rows: UUIDv7 (RFC 9562), which sort by time."""

from __future__ import annotations

import os

from router.core.clock import Clock


def new_id(clock: Clock) -> str:
    """A UUIDv7: sorts by the millisecond in which it was made; ids of one millisecond have no order."""
    noise = int.from_bytes(os.urandom(10))  # 74 random bits in one system call
    value = (
        int(clock.wall() * 1000) << 80 | 0x7 << 76 | (noise >> 62 & 0xFFF) << 64 | 0b10 << 62 | noise & (1 << 62) - 1
    )
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
