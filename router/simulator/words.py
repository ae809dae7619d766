"""Small tools for tables of words, used where a list of quoted names would hide the names."""

from __future__ import annotations


def names(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())
