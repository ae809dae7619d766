"""Tables of names written as text: a list of quoted names would be mostly quotes."""

from __future__ import annotations


def names(text: str) -> frozenset[str]:
    """The words of `text` as a set."""
    return frozenset(text.split())
