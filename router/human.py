"""Times, counts and foreign text as people write and read them at a terminal."""

from __future__ import annotations

import math
import re

_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(s|m|h|d)", re.ASCII)
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SHOWN_IN = ((2 * 86400.0, 86400.0, "d"), (2 * 3600.0, 3600.0, "h"), (120.0, 60.0, "min"))  # (from, unit, its name)
_SIZES = ((1_000_000.0, "M"), (1_000.0, "k"))


def seconds_of(text: str) -> float:
    """The seconds of a span such as 90s, 30m, 2h or 7d; ValueError for anything else."""
    match = _SPAN.fullmatch(text)
    if match is None or not (seconds := float(match[1]) * _UNITS_S[match[2]]):
        raise ValueError(f"{printable(text)!r} is not a span of time such as 90s, 30m, 2h or 7d")
    return seconds


def span(seconds: float) -> str:
    """A span in its largest fitting unit, rounded up: `45 s`, `3 min`, `5 h`, `2 d`."""
    seconds = max(0.0, seconds)
    for least, unit_s, name in _SHOWN_IN:
        if seconds >= least:
            return f"{math.ceil(seconds / unit_s)} {name}"
    return f"{math.ceil(seconds)} s"


def count(number: float) -> str:
    """A number in at most three digits: `840`, `1k`, `14.4k`, `1.5M`."""
    for size, letter in _SIZES:
        if number >= size * 0.9995:  # what would be rounded up to it
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def printable(text: str) -> str:
    """Text without the control characters that could drive a terminal; lines and tabs stay."""
    return "".join(char for char in text if char.isprintable() or char in "\n\t")
