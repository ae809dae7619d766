"""Detects that another model answered than the one asked for: some providers reroute retired models silently."""

from __future__ import annotations

import re

_DATED = re.compile(r"[-@:](?:latest|preview|exp|\d{3,4}|\d{8}|\d{2}-\d{2}|\d{2}-\d{4}|\d{4}-\d{2}-\d{2})$")


def is_rerouted(asked: str, served: str | None) -> bool:
    """True when, by its name, the served model is neither the asked one nor a version or alias of it.

    Makers before a slash, variants after a colon, and dates or `latest` at the end are ignored.
    """
    if not served or served == asked:
        return False
    ours, theirs = _core(asked), _core(served)
    return not (ours.startswith(theirs) or theirs.startswith(ours))


def _core(name: str) -> str:
    core = name.lower().rstrip("/").rpartition("/")[2].partition(":")[0]
    while (shorter := _DATED.sub("", core)) != core:
        core = shorter
    return core
