"""Durations as people write and read them, in the registry, in settings, in queries and on the command line."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from router.core.text import shown

DURATION = r"[0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h|d)"
EXAMPLES = "250ms, 30s, 5m, 2h or 14d"
_SECONDS: Mapping[str, float] = MappingProxyType({"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400})
_SHOWN_IN = ((2 * 86400.0, 86400.0, "d"), (2 * 3600.0, 3600.0, "h"), (120.0, 60.0, "min"))  # (from, unit, its name)


def parse_duration(value: Any) -> float:
    """`250ms`, `30s`, `5m`, `2h` or `14d`, in seconds; raises `ValueError` with one sentence for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"{value} needs a unit: write '{value}s' (or ms, m, h, d)")
    if not isinstance(value, str) or not (match := re.fullmatch(DURATION, value)):
        raise ValueError(f"{shown(value)} is not a duration: write {EXAMPLES}")
    unit = match[2]
    return float(value.removesuffix(unit)) * _SECONDS[unit]


def format_duration(seconds: float) -> str:
    """Seconds in the largest unit of which there are at least two, rounded up: `45 s`, `3 min`, `5 h`, `2 d`."""
    seconds = max(0.0, seconds)
    for least, unit_s, name in _SHOWN_IN:
        if seconds >= least:
            return f"{math.ceil(seconds / unit_s)} {name}"
    return f"{math.ceil(seconds)} s"
