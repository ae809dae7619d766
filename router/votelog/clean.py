"""What is done to values so that Postgres takes every one: cut, replaced, or null, never refused.

Nearly every row is clean as it is, and each request writes several: so a row's values are looked at all together, and
one by one only where that shows something. What is of the wrong kind altogether raises `TypeError`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

TEXT_MAX_CHARS = 500
_INT_MAX = (1 << 63) - 1
_FLOAT_MAX = sys.float_info.max

Clean = Callable[[list[Any], Sequence[int]], None]
"""Cleans those of a row's values that stand at some places; None stays None."""


def clean_texts(values: list[Any], places: Sequence[int]) -> None:
    """Texts without NUL and lone surrogates, of at most 500 characters."""
    all_of_them = "".join([value for place in places if (value := values[place]) is not None])
    if len(all_of_them) <= TEXT_MAX_CHARS and all_of_them.isascii() and "\0" not in all_of_them:
        return
    for place in places:
        if values[place] is not None:
            values[place] = clean_text(values[place])


def clean_ints(values: list[Any], places: Sequence[int]) -> None:
    """Integers within 64 bits."""
    for place in places:
        value = values[place]
        if value is not None and not -_INT_MAX <= value <= _INT_MAX:
            values[place] = clean_int(value)


def clean_floats(values: list[Any], places: Sequence[int]) -> None:
    """None for numbers that JSON and sums cannot bear."""
    for place in places:
        value = values[place]
        if value is not None and not -_FLOAT_MAX <= value <= _FLOAT_MAX:
            values[place] = None


def clean_jsons(values: list[Any], places: Sequence[int]) -> None:
    """JSON texts of any plain values."""
    for place in places:
        if values[place] is not None:
            values[place] = clean_json(values[place])


# --- one value -------------------------------------------------------------------------------------------------------


def clean_text(value: str) -> str:
    """Text without NUL and lone surrogates, at most 500 characters."""
    return value[:TEXT_MAX_CHARS].replace("\0", "").encode("utf-8", "replace").decode()


def clean_int(value: int) -> int:
    """An integer within 64 bits."""
    return max(-_INT_MAX, min(value, _INT_MAX))


def clean_json(value: Any) -> str:
    """JSON text that a jsonb column takes; what cannot be encoded is replaced, never refused."""
    try:
        text = orjson.dumps(value)
    except (TypeError, ValueError):
        text = orjson.dumps(_plain(value))
    return (text if b"\\u0000" not in text else orjson.dumps(_plain(orjson.loads(text)))).decode()


def _plain(value: Any, depth: int = 0) -> Any:
    """The value with only such strings, numbers and keys as jsonb knows, at most 20 levels deep."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, Mapping) and depth < 20:
        return {_plain(str(key)): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth < 20:
        return [_plain(item, depth + 1) for item in value]
    if value is None or isinstance(value, bool | float):
        return value
    return clean_int(value) if isinstance(value, int) else _plain(str(value))
