"""Checks of values in a caller's JSON: each returns the value in its expected type, or raises a 400 in one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from router.core.text import near_miss
from router.http.errors import ApiError

MAX_DEPTH = 64  # levels of a JSON Schema or another value that is passed on; orjson encodes up to 254 of them
_SLIP_CHARS = 3
_SHOWN_CHARS = 60


def invalid(message: str, param: str | None = None) -> ApiError:
    """A 400 `invalid_body`; `param` is the path of the field at fault."""
    return ApiError(400, "invalid_body", message, param=param)


def slip_of(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` is a likely typo of: at most 3 characters inserted or deleted (a replaced one is 2).

    A plain near miss would refuse too much: `reasoning_format`, which some providers accept, is near
    `reasoning_effort` but not a typo of it.
    """
    near = near_miss(word, known, cutoff=0.8)
    if near is None:
        return None
    same = sum(block.size for block in difflib.SequenceMatcher(None, word, near).get_matching_blocks())
    return near if len(word) + len(near) - 2 * same <= _SLIP_CHARS else None


def quoted(word: str) -> str:
    """A caller's word, safe to repeat in a message: cut to 60 characters, unprintable ones escaped."""
    return repr(word[:_SHOWN_CHARS])


def named(value: Any) -> str:
    """A value as an error message names it: short strings and numbers literally, all else by its type and size."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str() if len(value) <= _SHOWN_CHARS:
            return repr(value)
        case int() | float():
            return str(value)
        case str():
            return f"a string of {len(value)} characters"
        case list():
            return f"a list of {len(value)}"
        case _:
            return "an object"


def typed(document: Mapping[str, Any], name: str, kind: type, word: str, at: str = "") -> Any:
    """The member `name` of a JSON object if it has the type `kind`, None if it is absent or null; else raises a 400.

    `word` names the type in the message, `at` is the path of the object within the body, with a final dot.
    """
    if name not in document:
        return None
    value = document[name]
    if value is not None and not isinstance(value, kind):
        raise invalid(f"{at}{name} must be {word}, not {named(value)}", f"{at}{name}")
    return value


def bounded(value: Any, at: str) -> None:
    """Raises a 400 for a value nested deeper than 64 levels: orjson could not encode it again for a provider."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return
    raise invalid(f"{at} is nested deeper than {MAX_DEPTH} levels", at)
