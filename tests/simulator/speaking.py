"""What a small client of a simulated provider needs, written independently of the adapters."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

PNG = b"\x89PNG\r\n\x1a\n" + bytes(92)
PNG_TEXT = base64.b64encode(PNG).decode()
WEATHER_TOOL: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}

FUNCTION = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER_TOOL}}

Body = dict[str, Any]
Event = tuple[str, str]


@dataclass(frozen=True)
class Said:
    """An answer as read back: text, reasoning, calls as (id, name, arguments), finish reason and tokens."""

    text: str
    reasoning: str
    calls: tuple[tuple[str, str, Body], ...]
    finish: str
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class Speaker:
    """One wire format: how to ask and how to read. `stream_path` differs from `path` only at Gemini."""

    provider: str
    path: str
    stream_path: str
    model: str
    headers: Mapping[str, str]
    ask: Callable[..., Body]
    read: Callable[[Body], Said]
    read_stream: Callable[[list[Event]], Said]
    answer_tool: Callable[[Body, Body, str], Body]
    tool: Body
    finishes: Mapping[str, str]


def events(raw: bytes) -> list[Event]:
    """Server-sent events as (name, data)."""
    found = []
    for block in re.split(r"\r?\n\r?\n", raw.decode()):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in fields:
            found.append((fields.get("event", ""), fields["data"]))
    return found


def documents(found: Iterable[Event]) -> list[Any]:
    """The JSON of the events."""
    return [json.loads(data) for _, data in found if data != "[DONE]"]
