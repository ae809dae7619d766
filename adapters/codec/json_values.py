"""Total functions over JSON from outside: whatever the value is, they return the type they promise.

Providers, gateways and proxies send any JSON at all where a number or an object is expected. An adapter that trusts the
documented shape raises KeyError or TypeError from deep inside, which the router must then count as a bug of its own.

Types are compared exactly: this is quicker than `isinstance`, and a JSON decoder makes no subclasses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from adapters.errors import ErrorKind, ProviderError
from adapters.types import Usage

MAX_COUNT = 2**53  # RFC 8259, section 6: above it JSON numbers are no longer exact everywhere, and no count is real


def decode(raw: bytes | str) -> Any:
    """The JSON value of `raw`, or None where it is not JSON.

    Broken UTF-8 inside a string costs single characters, not the answer: a model's tokens may end in the middle of a
    character, and some servers pass such halves on.
    """
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
    """The first string that is not empty under one of `names`, else an empty one."""
    for name in names:
        if name in place and (found := string(place[name])):
            return found
    return ""


def count(value: Any) -> int | None:
    """A number of tokens, kept between 0 and `MAX_COUNT`; None for anything that is not a number."""
    if type(value) is int and 0 <= value <= MAX_COUNT:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(min(max(value, 0), MAX_COUNT))


def total(*values: int | None) -> int | None:
    """The sum of the known values; None if none is known."""
    known = [value for value in values if value is not None]
    return min(sum(known), MAX_COUNT) if known else None


def usage(input_tokens: int | None, cached: int | None, output_tokens: int | None, reasoning: int | None) -> Usage:
    """Usage in which no part exceeds its whole.

    Providers do report such: OpenRouter has passed on 11 reasoning tokens of 10. Unchecked, the uncached or visible
    rest would be a negative number, and so would its price.
    """
    return Usage(input_tokens, _part(cached, input_tokens), output_tokens, _part(reasoning, output_tokens))


def _part(part: int | None, whole: int | None) -> int | None:
    return part if part is None or whole is None else min(part, whole)


def json_text(value: Any) -> str:
    """Tool arguments as JSON text, whether the provider sent text or the object itself; empty for null.

    Raises `ProviderError(BAD_RESPONSE)` where the value is nested more deeply than orjson writes (about 250 levels).
    """
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else orjson.dumps(value).decode()
    except TypeError as error:
        raise ProviderError(
            ErrorKind.BAD_RESPONSE, "the provider sent tool arguments that are nested too deeply to be JSON text"
        ) from error


def short_hash(text: str) -> str:
    """24 hexadecimal digits (96 bits) that stand for `text`: the same in every process, unlike `hash()`."""
    return hashlib.blake2s(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
