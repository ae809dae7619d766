"""Spells the names of tools in letters, digits and underscores, so that the name can be read back from the spelling.

A character that is not allowed becomes `_x` and its number in hexadecimal and `_`: `get-time` is `get_x2d_time`.
"""

from __future__ import annotations

import re

_SPELLED = re.compile(r"_x((?!d[89a-f][0-9a-f]{2}_)[0-9a-f]{2,5})_")  # half of a surrogate pair is no character
# an underscore too, where with what follows it would look like a spelling
_FOREIGN = re.compile(r"[^A-Za-z0-9_]|^[0-9]|_(?=x[0-9a-f]{2,5}[^A-Za-z0-9])")


def spelled(name: str) -> str:
    """`name` as one of letters, digits and underscores that begins with no digit."""
    return _FOREIGN.sub(lambda found: f"_x{ord(found[0]):02x}_", name)


def as_named(spelling: str) -> str:
    """The name that `spelled` made `spelling` of; whatever it did not make stays as it is."""
    return _SPELLED.sub(lambda found: chr(int(found[1], 16)), spelling)
