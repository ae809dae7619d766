"""JSON Schemas as stricter providers want them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from adapters.codec.request_parts import encode

_LITERALS = frozenset({"enum", "const", "default", "examples"})  # data, not schemas


def closed(schema: Mapping[str, Any]) -> Any:
    """A copy of a JSON Schema in which no object may have other properties than those it names."""
    copy = orjson.loads(encode(schema))
    _close(copy)
    return copy


def _close(node: Any) -> None:
    if isinstance(node, list):
        for item in node:
            _close(item)
    elif isinstance(node, dict):
        if node.get("type") == "object":
            node["additionalProperties"] = False
        for keyword, value in node.items():
            if keyword not in _LITERALS:
                _close(value)
