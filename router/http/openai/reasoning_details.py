"""`reasoning_details`: OpenRouter's field in which a caller returns the reasoning of a tool loop, unread.

What a provider signed holds its thoughts in plain words, and no answer shows those unless they were asked for. So it
goes out sealed: as an encrypted detail whose `data` is `quorum.<maker>.<base64 of the provider's own JSON>`.
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
_OPENROUTER = "openrouter"  # whose form this is: a caller may come with a conversation that it had there


def sealed(details: Iterable[ReasoningDetail]) -> list[dict[str, Any]]:
    """The details as callers get them, numbered so that clients can put a stream together."""
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
    """An assistant message's `reasoning_details`, opened; those that are not ours count as OpenRouter's."""
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
        raise invalid(f"{at}.data is not as it was handed out: send it back unchanged, or not at all", f"{at}.data")
    bounded(raw, f"{at}.data")
    return ReasoningDetail(maker, MappingProxyType(raw))
