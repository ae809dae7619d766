"""Makes values that fit a JSON Schema, filled with words and numbers from the prompt where it has any."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

DEPTH = 8  # how far a recursive schema is followed
OPTIONAL_DEPTH = 4  # deeper than this only required properties are filled
PROPER = re.compile(r"(?<![.!?:]\s)(?<!^)(?<!\w)[A-Z][\w'’-]*(?: [A-Z][\w'’-]*)*")
QUOTED = re.compile(r"[\"“'`]([^\"”'`]{1,60})[\"”'`]")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
FORMATS = {
    "date": "2026-01-15",
    "time": "12:00:00Z",
    "date-time": "2026-01-15T12:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "duration": "PT1H",
}

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Hints:
    """Words and numbers of a prompt to fill a schema with, and a number that stands for chance."""

    words: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()
    chance: int = 0

    @classmethod
    def from_prompt(cls, prompt: str, chance: int) -> Hints:
        """The names, quotations and numbers in a prompt, in order."""
        head = prompt[:2000]
        words = [*PROPER.findall(head), *QUOTED.findall(head)]
        return cls(tuple(words), tuple(float(number) for number in NUMBER.findall(head)[:20]), chance)

    def turned(self, by: int) -> Hints:
        """The same hints starting at another word, so that neighbouring fields get different values."""
        words, numbers = self.words, self.numbers
        return replace(
            self,
            words=words[by % len(words) :] + words[: by % len(words)] if words else words,
            numbers=numbers[by % len(numbers) :] + numbers[: by % len(numbers)] if numbers else numbers,
            chance=self.chance // (by + 1),
        )


def fit(schema: Schema, hints: Hints) -> Any:
    """A value that the schema accepts; a `pattern` is met only if one of the hints or a few guesses matches it."""
    return _fit(schema, hints, schema, 0)


def _fit(schema: Any, hints: Hints, root: Schema, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > DEPTH:
        return None
    schema = _resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][hints.chance % len(schema["enum"])]
    if variants := schema.get("anyOf") or schema.get("oneOf"):
        return _fit(_variant(variants, schema, root, depth), hints, root, depth + 1)
    if "default" in schema:
        return schema["default"]
    return MAKERS.get(_kind(schema), _string)(schema, hints, root, depth)


def _resolved(schema: Schema, root: Schema) -> Schema:
    """The schema with references followed and `allOf` merged, a bounded number of times."""
    for _ in range(DEPTH):
        reference = schema.get("$ref")
        if isinstance(reference, str):
            schema = {**_lookup(reference, root), **{key: value for key, value in schema.items() if key != "$ref"}}
        elif parts := schema.get("allOf"):
            rest = {key: value for key, value in schema.items() if key != "allOf"}
            schema = _merged([rest, *parts])
        else:
            break
    return schema


def _lookup(reference: str, root: Schema) -> Schema:
    found: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        found = (
            found.get(step.replace("~1", "/").replace("~0", "~"), {}) if step and isinstance(found, Mapping) else found
        )
    return found if isinstance(found, Mapping) else {}


def _merged(parts: list[Any]) -> Schema:
    whole: dict[str, Any] = {}
    for part in (part for part in parts if isinstance(part, Mapping)):
        whole |= {
            **part,
            "properties": {**whole.get("properties", {}), **part.get("properties", {})},
            "required": [*whole.get("required", []), *part.get("required", [])],
        }
    return {key: value for key, value in whole.items() if value not in ({}, [])}


def _variant(variants: list[Any], schema: Schema, root: Schema, depth: int) -> Schema:
    """The first variant that is not null; deep down a scalar one, so that recursive schemas end."""
    resolved = [_resolved(one, root) for one in variants if isinstance(one, Mapping)]
    real = [one for one in resolved if _kind(one) != "null"] if depth < OPTIONAL_DEPTH else resolved
    plain = [one for one in resolved if _kind(one) in ("null", "string", "integer", "number", "boolean")]
    chosen = (plain or real or [{"type": "null"}]) if depth >= OPTIONAL_DEPTH else (real or [{"type": "null"}])
    rest = {
        key: value for key, value in schema.items() if key not in ("anyOf", "oneOf", "title", "description", "default")
    }
    return {**rest, **chosen[0]}


def _kind(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if kind is None:
        kind = next((name for key, name in IMPLIED.items() if key in schema), "string")
    return str(kind).lower()


def _object(schema: Schema, hints: Hints, root: Schema, depth: int) -> dict[str, Any]:
    required = schema.get("required") or []
    properties: Mapping[str, Any] = schema.get("properties") or {}
    wanted = [name for name in properties if name in required or depth < OPTIONAL_DEPTH]
    values = {name: _fit(properties[name], hints.turned(at), root, depth + 1) for at, name in enumerate(wanted)}
    return values | {name: "value" for name in required if name not in properties}


def _array(schema: Schema, hints: Hints, root: Schema, depth: int) -> list[Any]:
    fixed = [_fit(item, hints.turned(at), root, depth + 1) for at, item in enumerate(schema.get("prefixItems") or [])]
    items = schema.get("items")
    least = int(schema.get("minItems") or 0)
    count = min(max(least, int(depth < OPTIONAL_DEPTH), 0), int(schema.get("maxItems", least + 1)), 1000) - len(fixed)
    if not isinstance(items, Mapping) or count <= 0:
        return fixed
    choices = _resolved(items, root).get("enum")
    if choices and (schema.get("uniqueItems") or least == len(choices)):
        turn = hints.chance % len(choices)
        return [*fixed, *(choices[turn:] + choices[:turn])[:count]]
    return fixed + [_fit(items, hints.turned(at), root, depth + 1) for at in range(count)]


def _string(schema: Schema, hints: Hints, root: Schema, depth: int) -> str:
    made = FORMATS.get(schema.get("format", "")) or _matching(schema.get("pattern"), hints)
    least, most = int(schema.get("minLength") or 0), schema.get("maxLength")
    return made.ljust(least, "x")[: None if most is None else int(most)]


def _matching(pattern: Any, hints: Hints) -> str:
    guesses = (*hints.words, "text", "Text", "A", "a", "1", "ABC", "abc", "123", "a1", "2026-01-15", "12:00")
    if not isinstance(pattern, str):
        return guesses[0]
    try:
        return next((guess for guess in guesses if re.search(pattern, guess)), guesses[0])
    except re.error:
        return guesses[0]


def _number(schema: Schema, hints: Hints, root: Schema, depth: int) -> float:
    low, high = _bounds(schema, 1e-3)
    value = hints.numbers[0] if hints.numbers else max(1.0, low)
    return _stepped(min(max(value, low), high), schema, low)


def _integer(schema: Schema, hints: Hints, root: Schema, depth: int) -> int:
    low, high = _bounds(schema, 1)
    value = next((number for number in hints.numbers if number == int(number)), max(1.0, low))
    return int(_stepped(min(max(value, low), high), schema, low))


def _bounds(schema: Schema, step: float) -> tuple[float, float]:
    """Lowest and highest value; `step` is the distance kept from an exclusive bound."""
    low, high = schema.get("minimum", -1e15), schema.get("maximum", 1e15)
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    low = above + step if isinstance(above, int | float) and not isinstance(above, bool) else low
    high = below - step if isinstance(below, int | float) and not isinstance(below, bool) else high
    return float(low), float(high)


def _stepped(value: float, schema: Schema, low: float) -> float:
    step = schema.get("multipleOf")
    if not step:
        return value
    down = value // step * step
    return float(down if down >= low else down + step)


IMPLIED = {"properties": "object", "items": "array", "prefixItems": "array", "minimum": "number", "maximum": "number"}
MAKERS: Mapping[str, Callable[[Schema, Hints, Schema, int], Any]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "number": _number,
    "integer": _integer,
    "boolean": lambda schema, hints, root, depth: hints.chance % 2 == 0,
    "null": lambda schema, hints, root, depth: None,
}
