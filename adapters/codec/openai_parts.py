"""The parts of OpenAI's chat format that all its dialects share, written and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.codec.json_values import count, hashed, items, json_text, obj, string, total, usage
from adapters.codec.request_parts import Convert
from adapters.errors import ErrorKind, ProviderError
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
    texts = [part.text for part in parts if isinstance(part, Text)]
    return "".join(texts) if len(texts) == len(parts) else [_part(part) for part in parts]


def _part(part: Part) -> Mapping[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Image():
            detail = {} if part.detail is None else {"detail": part.detail}
            return {"type": "image_url", "image_url": {"url": part.url, **detail}}
        case Opaque():
            return part.raw


MAX_ID = 40


def short_id(call_id: str) -> str:
    """A tool call's id as it is, unless it is longer than OpenAI takes: then another, always the same for the same."""
    return call_id if len(call_id) <= MAX_ID else "call_" + hashed(call_id)


def call_form(call: ToolCall, call_id: str) -> dict[str, Any]:
    """A tool call of the conversation so far, under the id it has on this wire."""
    return {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def tool_form(tool: Tool, strict_schema: Convert) -> dict[str, Any]:
    """A function offered to the model."""
    parameters = strict_schema(tool.parameters) if tool.strict and tool.parameters else tool.parameters
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": parameters,
        "strict": tool.strict,
    }
    return {"type": "function", "function": _given(function)}


def tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    """Which functions may or must be called."""
    return {"type": "function", "function": {"name": choice.name}} if choice.mode == "tool" else choice.mode


def response_format(form: ResponseFormat, strict_schema: Convert) -> dict[str, Any]:
    """The form the answer must have."""
    if form.kind != "json_schema":
        return {"type": form.kind}
    schema = strict_schema(form.schema) if form.strict else form.schema
    described = {"name": form.name, "schema": schema, "strict": form.strict, "description": form.description}
    return {"type": form.kind, form.kind: _given(described)}


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


# --- from the wire ---------------------------------------------------------------------------------------------------

_FINISH: Mapping[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "refusal": "content_filter",
}


def first_choice(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The choice numbered 0; an empty one where an event has none of it.

    Ollama's own endpoint has no choices: its one message and the reason stand in the document itself.
    """
    if "choices" not in document and isinstance(document.get("message"), dict):
        return {"message": document["message"], "finish_reason": document.get("done_reason")}
    for each in items(document.get("choices")):
        choice = obj(each)
        if not choice.get("index"):
            return choice
    return {}


_BROKEN: Mapping[str, ErrorKind] = {
    "error": ErrorKind.BAD_RESPONSE,
    "insufficient_system_resource": ErrorKind.OVERLOADED,
}


def finish_reason(value: Any) -> FinishReason | None:
    """Our word for the reason; `stop` for one we do not know, because it did finish. Raises where it broke off."""
    if value is None:
        return None
    reason = string(value).lower()
    if reason in _BROKEN:
        raise ProviderError(_BROKEN[reason], f"the provider ended the answer with the finish reason {reason!r}")
    return _FINISH.get(reason, "stop") if reason else None


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


def calls_of(message: Mapping[str, Any]) -> Sequence[Any]:
    """The tool calls in a message or delta; the single `function_call` of the oldest models counts as one."""
    calls, single = message.get("tool_calls"), message.get("function_call")
    if calls is None and single is None:
        return ()
    return items(calls) or ([{"index": 0, "function": single}] if obj(single) else ())


def piece(call: Mapping[str, Any]) -> ToolCallDelta:
    """A whole tool call or a piece of one; arguments may be text or the object itself.

    The proof of thinking stands where Gemini's OpenAI surface puts it.
    """
    function = obj(call.get("function"))
    index = call.get("index")
    google = obj(obj(call.get("extra_content")).get("google"))
    return ToolCallDelta(
        index=index if isinstance(index, int) else None,
        id=string(call.get("id")),
        name=string(function.get("name")),
        arguments=json_text(function.get("arguments")),
        signature=string(google.get("thought_signature")) or None,
    )


def usage_of(document: Mapping[str, Any], choice: Mapping[str, Any], *, reasoning_inside: bool) -> Usage | None:
    """The usage, wherever it stands.

    Where the total does not show it, `reasoning_inside` tells whether output tokens already count the reasoning.
    """
    used = _used(document, choice)
    if not used:
        return None
    details, prompt = obj(used.get("completion_tokens_details")), obj(used.get("prompt_tokens_details"))
    hidden = _known(("reasoning_tokens",), details, used)
    cached = _known(("cached_tokens", "prompt_cache_hit_tokens", "num_cached_tokens"), prompt, used)
    output = _known(("completion_tokens", "output_tokens", "eval_count"), used)
    sent = _known(("prompt_tokens", "input_tokens", "prompt_eval_count"), used)
    if hidden and output is not None and not _counted(sent, output, hidden, used, reasoning_inside):
        output = total(output, hidden)
    return usage(sent, cached, output, hidden)


def _used(document: Mapping[str, Any], choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object that tells the usage; most events have none."""
    groqs = obj(document["x_groq"]) if "x_groq" in document else {}
    for place in (document, groqs, choice):
        if "usage" in place and (used := obj(place["usage"])):
            return used
    return document if "eval_count" in document else {}


def _counted(sent: int | None, output: int, hidden: int, used: Mapping[str, Any], usually: bool) -> bool:
    """Whether `output` counts the `hidden` tokens already, as the total says, or as the provider usually does."""
    whole = count(used.get("total_tokens"))
    return {total(sent, output): True, total(sent, output, hidden): False}.get(whole, usually)


def _known(names: tuple[str, ...], *places: Mapping[str, Any]) -> int | None:
    """The first number of tokens that stands under one of the names in one of the places."""
    for place in places:
        for name in names:
            if name in place and (number := count(place[name])) is not None:
                return number
    return None
