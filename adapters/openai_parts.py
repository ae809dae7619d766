"""The parts of OpenAI's chat format that all its dialects share, written and read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.errors import ErrorKind, ProviderError
from adapters.reading import count, items, json_text, obj, string, total, usage
from adapters.types import (
    FinishReason,
    Image,
    Opaque,
    Part,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    Usage,
)

# --- to the wire -----------------------------------------------------------------------------------------------------


def content(parts: tuple[Part, ...]) -> str | list[Mapping[str, Any]]:
    """Message content: plain text where that is all there is, else a list of parts."""
    if all(isinstance(part, Text) for part in parts):
        return "".join(part.text for part in parts if isinstance(part, Text))
    return [_part(part) for part in parts]


def _part(part: Part) -> Mapping[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Image():
            detail = {} if part.detail is None else {"detail": part.detail}
            return {"type": "image_url", "image_url": {"url": part.url, **detail}}
        case Opaque():
            return part.raw


def call_form(call: ToolCall) -> dict[str, Any]:
    """A tool call of the conversation so far."""
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def tool_form(tool: Tool) -> dict[str, Any]:
    """A function offered to the model."""
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }
    return {"type": "function", "function": _given(function)}


def tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    """Which functions may or must be called."""
    return {"type": "function", "function": {"name": choice.name}} if choice.mode == "tool" else choice.mode


def response_format(form: ResponseFormat) -> dict[str, Any]:
    """The form the answer must have."""
    if form.kind != "json_schema":
        return {"type": form.kind}
    schema = {"name": form.name, "schema": form.schema, "strict": form.strict, "description": form.description}
    return {"type": form.kind, form.kind: _given(schema)}


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


# --- from the wire ---------------------------------------------------------------------------------------------------

_FINISH: Mapping[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "refusal": "content_filter",
}


def first_choice(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The choice numbered 0; an empty one where an event has none of it."""
    choices = (obj(choice) for choice in items(document.get("choices")))
    return next((choice for choice in choices if not choice.get("index")), {})


def finish_reason(value: Any) -> FinishReason | None:
    """Our word for the reason; `stop` for one we do not know, because it did finish."""
    if value == "error":
        raise ProviderError(ErrorKind.BAD_RESPONSE, "the provider ended the answer with the finish reason 'error'")
    return _FINISH.get(value, "stop") if string(value) else None


def spoken(value: Any) -> tuple[str, str]:
    """Text and reasoning of message content: a string, a list of chunks, or the JSON object of a JSON mode."""
    if isinstance(value, str):
        return value, ""
    if isinstance(value, list):
        pairs = [_chunk(chunk) for chunk in value]
        return "".join(text for text, _ in pairs), "".join(thought for _, thought in pairs)
    return ("", "") if value is None else (json_text(value), "")


def _chunk(chunk: Any) -> tuple[str, str]:
    if isinstance(chunk, str):
        return chunk, ""
    thinking = obj(chunk).get("thinking")
    inner = thinking if isinstance(thinking, list) else [thinking]
    thought = "".join(string(piece) or string(obj(piece).get("text")) for piece in inner)
    return string(obj(chunk).get("text")), thought


def piece(call: Mapping[str, Any]) -> ToolCallDelta:
    """A whole tool call or a piece of one; arguments may be text or the object itself."""
    function = obj(call.get("function"))
    index = call.get("index")
    return ToolCallDelta(
        index=index if isinstance(index, int) else None,
        id=string(call.get("id")),
        name=string(function.get("name")),
        arguments=json_text(function.get("arguments")),
    )


def usage_of(document: Mapping[str, Any], choice: Mapping[str, Any], *, reasoning_inside: bool) -> Usage | None:
    """The usage, wherever it stands; `reasoning_inside` tells whether output tokens already count the reasoning."""
    places = (document.get("usage"), obj(document.get("x_groq")).get("usage"), choice.get("usage"))
    used = next(filter(None, map(obj, places)), None)
    if used is None:
        return None
    details, prompt = obj(used.get("completion_tokens_details")), obj(used.get("prompt_tokens_details"))
    hidden = _known(details.get("reasoning_tokens"), used.get("reasoning_tokens"))
    cached = _known(*map(prompt.get, _CACHED), *map(used.get, _CACHED))
    output = _known(used.get("completion_tokens"), used.get("output_tokens"))
    if not reasoning_inside and output is not None:
        output = total(output, hidden)
    return usage(_known(used.get("prompt_tokens"), used.get("input_tokens")), cached, output, hidden)


_CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "num_cached_tokens")


def _known(*values: Any) -> int | None:
    return next((number for number in map(count, values) if number is not None), None)
