"""Numbers as people read them at a terminal."""

from __future__ import annotations

_SIZES = ((1_000_000.0, "M"), (1_000.0, "k"))


def count(number: float) -> str:
    """A number in at most three digits: `840`, `1k`, `14.4k`, `1.5M`."""
    for size, letter in _SIZES:
        if number >= size * 0.9995:  # from here on, three digits round it up to this size
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def many(number: object, noun: str) -> str:
    """`1 call`, `3 calls`; `? calls` for what is no count, which a terminal may be told by anybody."""
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < 1e15:
        return f"? {noun}s"
    return f"{number:,.0f} {noun}{'' if number == 1 else 's'}"
