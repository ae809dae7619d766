"""`reasoning_details`: OpenRouter's field with which a caller returns a model's reasoning in a tool loop, unread.

A provider's signed reasoning contains its thoughts in plain text, which answers show only with `include_reasoning`. So
it goes out sealed: an entry `reasoning.encrypted` whose `data` is `quorum.<maker>.<base64 of the provider's JSON>`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any

import orjson

from adapters.codec.reasoning_details import MAX_DETAILS
from adapters.types import ReasoningDetail
from router.http.values import bounded, invalid, named

_SEAL = "quorum."
_OPENROUTER = "openrouter"  # the field's origin: a caller may continue a conversation that it began there


def sealed(details: Iterable[ReasoningDetail]) -> list[dict[str, Any]]:
    """The details as callers receive them, numbered so that clients can assemble a stream."""
    return [
        {
            "type": "reasoning.encrypted",
            "data": f"{_SEAL}{detail.maker}.{base64.b64encode(orjson.dumps(dict(detail.raw))).decode()}",
            "format": "unknown",
            "index": number if detail.index is None else detail.index,
        }
        for number, detail in enumerate(details)
    ]


def read_reasoning_details(value: Any, at: str) -> tuple[ReasoningDetail, ...]:
    """An assistant message's `reasoning_details`, unsealed; entries without our seal count as OpenRouter's own."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise invalid(f"{at} must be a list, not {named(value)}", at)
    if len(value) > MAX_DETAILS:
        raise invalid(f"{at} has {len(value)} entries, at most {MAX_DETAILS} are allowed", at)
    return tuple(_opened(entry, f"{at}[{index}]") for index, entry in enumerate(value))


def _opened(entry: Any, at: str) -> ReasoningDetail:
    if not isinstance(entry, dict):
        raise invalid(f"{at} must be an object, not {named(entry)}", at)
    data = entry.get("data")
    if not isinstance(data, str) or not data.startswith(_SEAL):
        bounded(entry, at)
        return ReasoningDetail(_OPENROUTER, MappingProxyType(entry))
    maker, _, text = data.removeprefix(_SEAL).partition(".")
    try:
        raw = orjson.loads(base64.b64decode(text, validate=True))
    except ValueError:
        raw = None
    if not isinstance(raw, dict):
        raise invalid(f"{at}.data has been changed: send it back as it was received, or leave it out", f"{at}.data")
    bounded(raw, f"{at}.data")
    return ReasoningDetail(maker, MappingProxyType(raw))
