"""OpenAI's chat completions format, written and read: the parts that all its dialects share.

Reading is lenient on purpose. Nine providers and countless servers copy this format, each with liberties of its own:
content as a list or an object, arguments as an object, usage in four places, finish reasons of the model behind it.
What is written keeps to the original, since that is what all of them accept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.codec.json_values import count, items, json_text, obj, short_hash, string, total, usage
from adapters.codec.request_body import Convert
from adapters.errors import ErrorKind, ProviderError
from adapters.types import (
    ContentPart,
    FinishReason,
    Image,
    Opaque,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    Usage,
)

# --- writing ---------------------------------------------------------------------------------------------------------


def write_content(parts: tuple[ContentPart, ...]) -> str | list[Mapping[str, Any]]:
    """Message content: a plain string if all parts are text, which every dialect takes, else a list of parts."""
    texts = [part.text for part in parts if isinstance(part, Text)]
    return "".join(texts) if len(texts) == len(parts) else [_part(part) for part in parts]


def _part(part: ContentPart) -> Mapping[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Image():
            detail = {} if part.detail is None else {"detail": part.detail}
            return {"type": "image_url", "image_url": {"url": part.url, **detail}}
        case Opaque():
            return part.raw


MAX_CALL_ID = 40  # OpenAI refuses longer ids of tool calls, and other providers' ids can be longer


def short_call_id(call_id: str) -> str:
    """A tool call's id as it is or, above `MAX_CALL_ID`, a hash of it: the same in the call and in its result."""
    return call_id if len(call_id) <= MAX_CALL_ID else "call_" + short_hash(call_id)


def write_tool_call(call: ToolCall, call_id: str) -> dict[str, Any]:
    """A tool call of the conversation so far, under the id it has on this wire."""
    return {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def write_tool(tool: Tool, strict_schema: Convert) -> dict[str, Any]:
    """A function offered to the model; `strict_schema` adapts the schema of a strict one."""
    parameters = strict_schema(tool.parameters) if tool.strict and tool.parameters else tool.parameters
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": parameters,
        "strict": tool.strict,
    }
    return {"type": "function", "function": _given(function)}


def write_tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    """Which functions may or must be called."""
    return {"type": "function", "function": {"name": choice.name}} if choice.mode == "tool" else choice.mode


def write_response_format(form: ResponseFormat, strict_schema: Convert) -> dict[str, Any]:
    """The form of the answer; `strict_schema` adapts a strict schema."""
    if form.kind != "json_schema":
        return {"type": form.kind}
    schema = strict_schema(form.schema) if form.strict else form.schema
    described = {"name": form.name, "schema": schema, "strict": form.strict, "description": form.description}
    return {"type": form.kind, form.kind: _given(described)}


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


# --- reading ---------------------------------------------------------------------------------------------------------

_FINISH: Mapping[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",  # Mistral: the context window is full
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",  # OpenAI's models before June 2023
    "content_filter": "content_filter",
    "safety": "content_filter",
    "refusal": "content_filter",
}


def read_choice(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The choice numbered 0; empty where an event has none, as the first of Azure's and the last with usage only.

    Ollama's `/api/chat` has no choices: its one message and the reason are in the document itself.
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
    "insufficient_system_resource": ErrorKind.OVERLOADED,  # DeepSeek's API documentation: interrupted for lack of it
}


def read_finish_reason(value: Any) -> FinishReason | None:
    """The finish reason in our words; None if the answer goes on.

    An unknown reason (`eos`, `end_turn`, …) counts as `stop`, because the answer did finish. Raises `ProviderError` for
    a reason that means it broke off.
    """
    if value is None:
        return None
    reason = string(value).lower()
    if reason in _BROKEN:
        raise ProviderError(_BROKEN[reason], f"the provider ended the answer with the finish reason {reason!r}")
    return _FINISH.get(reason, "stop") if reason else None


def read_content(value: Any) -> tuple[str, str]:
    """Text and reasoning in message content: a string, a list of parts, or the object of a JSON mode.

    Mistral's reasoning models send a list with `thinking` parts; Cloudflare's JSON mode sends the parsed object.
    """
    if isinstance(value, str):
        return value, ""
    if isinstance(value, list):
        pairs = [_read_part(part) for part in value]
        return "".join(text for text, _ in pairs), "".join(thought for _, thought in pairs)
    return ("", "") if value is None else (json_text(value), "")


def _read_part(part: Any) -> tuple[str, str]:
    if isinstance(part, str):
        return part, ""
    thinking = obj(part).get("thinking")
    inner = thinking if isinstance(thinking, list) else [thinking]
    thought = "".join(string(piece) or string(obj(piece).get("text")) for piece in inner)
    return string(obj(part).get("text")), thought


def read_tool_calls(message: Mapping[str, Any]) -> Sequence[Any]:
    """The tool calls in a message or delta, unread; the `function_call` of OpenAI's oldest models counts as one."""
    calls, single = message.get("tool_calls"), message.get("function_call")
    if calls is None and single is None:
        return ()
    return items(calls) or ([{"index": 0, "function": single}] if obj(single) else ())


def read_tool_call(call: Mapping[str, Any]) -> ToolCallDelta:
    """A whole tool call or a piece of one; arguments may be JSON text or the object itself.

    The signature is where Gemini's OpenAI-compatible endpoint puts it (`extra_content.google.thought_signature`).
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


def read_usage(document: Mapping[str, Any], choice: Mapping[str, Any], *, reasoning_in_output: bool) -> Usage | None:
    """The usage, wherever it stands; None where there is none, as in most events of a stream.

    Providers disagree on whether the output tokens include reasoning. The total settles it where it is given;
    elsewhere `reasoning_in_output` says what this provider does.
    """
    used = _find_usage(document, choice)
    if not used:
        return None
    details, prompt = obj(used.get("completion_tokens_details")), obj(used.get("prompt_tokens_details"))
    hidden = _first_count(("reasoning_tokens",), details, used)
    cached = _first_count(("cached_tokens", "prompt_cache_hit_tokens", "num_cached_tokens"), prompt, used)
    output = _first_count(("completion_tokens", "output_tokens", "eval_count"), used)
    sent = _first_count(("prompt_tokens", "input_tokens", "prompt_eval_count"), used)
    if hidden and output is not None and not _is_included(sent, output, hidden, used, reasoning_in_output):
        output = total(output, hidden)
    return usage(sent, cached, output, hidden)


def _find_usage(document: Mapping[str, Any], choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object with the token counts: `usage`, Groq's `x_groq.usage`, one inside the choice, or Ollama's document."""
    groqs = obj(document["x_groq"]) if "x_groq" in document else {}
    for place in (document, groqs, choice):
        if "usage" in place and (used := obj(place["usage"])):
            return used
    return document if "eval_count" in document else {}


def _is_included(sent: int | None, output: int, hidden: int, used: Mapping[str, Any], usually: bool) -> bool:
    """Whether `output` includes the `hidden` tokens, by the total if it fits either way, else as the provider does."""
    whole = count(used.get("total_tokens"))
    return {total(sent, output): True, total(sent, output, hidden): False}.get(whole, usually)


def _first_count(names: tuple[str, ...], *places: Mapping[str, Any]) -> int | None:
    """The first token count under one of the names in one of the places."""
    for place in places:
        for name in names:
            if name in place and (number := count(place[name])) is not None:
                return number
    return None
