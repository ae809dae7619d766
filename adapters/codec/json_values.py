"""Total functions over JSON that strangers wrote: whatever stands there, they give a value of the type they promise.

Types are compared exactly, since that is quicker and a JSON decoder makes no subclasses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from adapters.errors import ErrorKind, ProviderError
from adapters.types import Usage

MAX_COUNT = 2**53  # beyond it a JSON number is no longer exact, and no token count is real


def decode(raw: bytes | str) -> Any:
    """The JSON value of `raw`; None where it is not JSON, whatever is wrong with it."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        if isinstance(raw, str):
            return None
    try:
        return orjson.loads(raw.decode("utf-8-sig", "replace"))
    except orjson.JSONDecodeError:
        return None


def obj(value: Any) -> Mapping[str, Any]:
    """`value` if it is a JSON object, else an empty one."""
    return value if type(value) is dict else {}


def items(value: Any) -> Sequence[Any]:
    """`value` if it is a JSON array, else an empty one."""
    return value if type(value) is list else ()


def string(value: Any) -> str:
    """`value` if it is a string, else an empty one."""
    return value if type(value) is str else ""


def first_string(place: Mapping[str, Any], names: Iterable[str]) -> str:
    """The first string that says something under one of the names; empty if there is none."""
    for name in names:
        if name in place and (found := string(place[name])):
            return found
    return ""


def count(value: Any) -> int | None:
    """A number of tokens, between 0 and `MAX_COUNT`; None for anything that is not a number."""
    if type(value) is int and 0 <= value <= MAX_COUNT:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(min(max(value, 0), MAX_COUNT))


def total(*values: int | None) -> int | None:
    """The sum of what is known; None if nothing is."""
    known = [value for value in values if value is not None]
    return min(sum(known), MAX_COUNT) if known else None


def usage(input_tokens: int | None, cached: int | None, output_tokens: int | None, reasoning: int | None) -> Usage:
    """Usage whose parts are never larger than their whole."""
    return Usage(input_tokens, _part(cached, input_tokens), output_tokens, _part(reasoning, output_tokens))


def _part(part: int | None, whole: int | None) -> int | None:
    return part if part is None or whole is None else min(part, whole)


def json_text(value: Any) -> str:
    """Tool arguments as JSON text, whether the provider sent text or the object itself."""
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else orjson.dumps(value).decode()
    except TypeError as error:
        raise ProviderError(ErrorKind.BAD_RESPONSE, "the tool arguments are nested too deeply") from error


def hashed(text: str) -> str:
    """24 hexadecimal digits that stand for `text`, and in practice for nothing else."""
    return hashlib.blake2s(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
