"""Makes values fit for Postgres: cut, replaced or null, so that no row is rejected for one of its values.

Nearly every row is fit as it is, and each request writes several. So all texts of a row are checked together, and one
by one only where that check fails. A value of the wrong type raises `TypeError`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

TEXT_MAX_CHARS = 500  # error messages and names; prompts and answers are payloads, which are bytes
_INT_MAX = (1 << 63) - 1
_FLOAT_MAX = sys.float_info.max

Clean = Callable[[list[Any], Sequence[int]], None]
"""Cleans, in place, the values of a row at the given indexes; None stays None."""


def clean_texts(values: list[Any], places: Sequence[int]) -> None:
    """Texts without NUL and lone surrogates, which Postgres rejects, cut to 500 characters."""
    together = "".join([value for place in places if (value := values[place]) is not None])
    if len(together) <= TEXT_MAX_CHARS and together.isascii() and "\0" not in together:
        return
    for place in places:
        if values[place] is not None:
            values[place] = clean_text(values[place])


def clean_ints(values: list[Any], places: Sequence[int]) -> None:
    """Integers clamped to 64 bits (bigint)."""
    for place in places:
        value = values[place]
        if value is not None and not -_INT_MAX <= value <= _INT_MAX:
            values[place] = clean_int(value)


def clean_floats(values: list[Any], places: Sequence[int]) -> None:
    """Null for NaN and the infinities, which would spoil every sum over the column and have no form in JSON."""
    for place in places:
        value = values[place]
        if value is not None and not -_FLOAT_MAX <= value <= _FLOAT_MAX:
            values[place] = None


def clean_jsons(values: list[Any], places: Sequence[int]) -> None:
    """Plain values as JSON text, as `clean_json` makes it."""
    for place in places:
        if values[place] is not None:
            values[place] = clean_json(values[place])


# --- one value -------------------------------------------------------------------------------------------------------


def clean_text(value: str) -> str:
    """The text without NUL and lone surrogates, cut to 500 characters."""
    return value[:TEXT_MAX_CHARS].replace("\0", "").encode("utf-8", "replace").decode()


def clean_int(value: int) -> int:
    """The integer, clamped to 64 bits."""
    return max(-_INT_MAX, min(value, _INT_MAX))


def clean_json(value: Any) -> str:
    """JSON text that a jsonb column accepts; what cannot be encoded is replaced by text or null."""
    try:
        text = orjson.dumps(value)
    except (TypeError, ValueError):
        text = orjson.dumps(_plain(value))
    return (text if b"\\u0000" not in text else orjson.dumps(_plain(orjson.loads(text)))).decode()


def _plain(value: Any, depth: int = 0) -> Any:
    """The value reduced to what jsonb can hold; below 20 levels it becomes text, so that a cycle ends."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, Mapping) and depth < 20:
        return {_plain(str(key)): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth < 20:
        return [_plain(item, depth + 1) for item in value]
    if value is None or isinstance(value, bool | float):
        return value
    return clean_int(value) if isinstance(value, int) else _plain(str(value))
