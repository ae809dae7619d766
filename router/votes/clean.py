"""What is done to values so that Postgres takes every one: cut, replaced, or null, never refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson

TEXT_MAX_CHARS = 500
_INT_MAX = (1 << 63) - 1


def clean_text(value: Any) -> Any:
    """Text without NUL and lone surrogates, at most 500 characters; anything else as it is."""
    if not isinstance(value, str):
        return value
    if len(value) <= TEXT_MAX_CHARS and value.isascii() and "\0" not in value:
        return value
    return value[:TEXT_MAX_CHARS].replace("\0", "").encode("utf-8", "replace").decode()


def clean_int(value: Any) -> Any:
    """An integer within 64 bits; anything else as it is."""
    if not isinstance(value, int) or -_INT_MAX <= value <= _INT_MAX:
        return value
    return _INT_MAX if value > 0 else -_INT_MAX


def clean_float(value: Any) -> Any:
    """None for a number that JSON and sums cannot bear; anything else as it is."""
    return value if not isinstance(value, float) or math.isfinite(value) else None


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
