"""Canonical JSON and tool calls, one text per meaning: keys sorted, numbers in one form, ignored parts left out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NoReturn

from adapters.types import ToolCall
from router.strategies.keys.wording import unfenced


def document_key(text: str, ignored: Iterable[str] = ()) -> str | None:
    """The canonical form of a JSON text, without what the JSON pointers `ignored` name; None if it is not JSON."""
    try:
        value = read_json(text)
        for pointer in ignored:
            value = _without(value, [_step(part) for part in pointer.split("/")[1:]])
        return _written(value)
    except (ValueError, RecursionError):
        return None


def calls_key(calls: Iterable[ToolCall]) -> str | None:
    """The canonical form of a set of tool calls: calls made side by side have no order, and their ids no meaning."""
    keys = []
    for call in calls:
        arguments = document_key(call.arguments or "{}")
        if arguments is None:
            return None
        keys.append(f"{call.name}({arguments})")
    return " & ".join(sorted(keys))


def read_json(text: str) -> Any:
    """Parses JSON, in a code fence or not; raises `ValueError` for what is not JSON or names a key twice."""
    return json.loads(
        unfenced(text), parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_without_repeats
    )


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice: readers differ in which one counts")
    return found


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{_written(key)}:{_written(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    if isinstance(value, Decimal):
        return _number(value)
    return json.dumps(value, ensure_ascii=False)


def _number(value: Decimal) -> str:
    """1.0, 1 and 10e-1 are one number; an exponent stays one, so that 1e999999 does not fill the memory."""
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    bare = "".join(map(str, digits)).lstrip("0")
    if not bare:
        return "0"
    whole = bare.rstrip("0")
    exponent += len(bare) - len(whole)
    minus = "-" if sign else ""
    return f"{minus}{whole}{'0' * exponent}" if 0 <= exponent <= 30 else f"{minus}{whole}e{exponent}"


def _step(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")


def _without(value: Any, path: list[str]) -> Any:
    """A copy without what stands at `path`; of a list the place stays, as null, so that the others keep theirs."""
    if not path:
        return value
    step, *rest = path
    if isinstance(value, dict) and step in value:
        if not rest:
            return {key: kept for key, kept in value.items() if key != step}
        return {**value, step: _without(value[step], rest)}
    if isinstance(value, list) and step.isascii() and step.isdigit() and int(step) < len(value):
        at = int(step)
        return [*value[:at], _without(value[at], rest) if rest else None, *value[at + 1 :]]
    return value
