"""Times, counts and foreign text as people write and read them at a terminal."""

from __future__ import annotations

_SIZES = ((1_000_000.0, "M"), (1_000.0, "k"))


def count(number: float) -> str:
    """A number in at most three digits: `840`, `1k`, `14.4k`, `1.5M`."""
    for size, letter in _SIZES:
        if number >= size * 0.9995:  # what would be rounded up to it
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"
