"""Anthropic's Messages API: instructions apart from the turns, content in blocks, and a required length of the answer.

Source of the rules: Anthropic's API reference and the types of its Python SDK, unless a rule names another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from adapters.codec.collect import collect
from adapters.codec.dropped_params import OPENAI_FEATURES, dropped
from adapters.codec.error_bodies import answer_document, event_document, read_error
from adapters.codec.error_rules import MODEL_FORBIDDEN, ErrorRule, codes, pattern
from adapters.codec.headers import PER_MINUTE, limits_seen
from adapters.codec.json_values import count, items, json_text, obj, string, total, usage
from adapters.codec.reasoning_details import ReasoningDetails, details_for, read_detail
from adapters.codec.request_body import (
    Convert,
    alternating_turns,
    arguments_object,
    clamped,
    closed_schema,
    convert_params,
    inline_image,
    instructions,
    post,
    unchanged,
    unsupported_part,
)
from adapters.codec.sse import SseEvent
from adapters.errors import ErrorKind, ProviderError
from adapters.types import (
    DONE,
    Answer,
    ChatRequest,
    ContentPart,
    Delta,
    FinishReason,
    HttpRequest,
    Image,
    LimitsSeen,
    Message,
    Target,
    Text,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    Usage,
)

BASE_URL = "https://api.anthropic.com/v1"
_MAKER = "anthropic"
_HEADERS = {"anthropic-version": "2023-06-01"}  # required on every request
DEFAULT_MAX_TOKENS = 4096  # the API demands a number, and every model takes this one

_CHOICES = {"auto": "auto", "none": "none", "required": "any", "tool": "tool"}
_EFFORTS = {"none": "low", "minimal": "low"}  # `low` is the least this API knows
PARAMS: Mapping[str, tuple[str, Convert]] = {
    "max_tokens": ("max_tokens", unchanged),
    "temperature": ("temperature", clamped(0, 1)),  # OpenAI's range ends at 2
    "top_p": ("top_p", unchanged),
    "top_k": ("top_k", unchanged),
    "stop": ("stop_sequences", list),
    "user": ("metadata", lambda user: {"user_id": user}),
    "reasoning_effort": ("output_config", lambda effort: {"effort": _EFFORTS.get(effort, effort)}),
}
RULES = (
    # A 429 without retry-after, its code in `error.details`: the month's spend limit, back on the 1st at 00:00 UTC.
    ErrorRule(ErrorKind.QUOTA_EXHAUSTED, "month", text=pattern(r"spend_limit_reached")),
    # A limit that the account's owner has set: a 400, although nothing is wrong with the request.
    ErrorRule(ErrorKind.BILLING, text=pattern(r"specified API usage limits")),
    MODEL_FORBIDDEN,
    ErrorRule(ErrorKind.AUTH, codes=codes("permission_error")),
    ErrorRule(ErrorKind.MODEL_GONE, codes=codes("not_found_error")),
    ErrorRule(ErrorKind.CONTEXT_LENGTH, codes=codes("request_too_large")),  # above 32 MB, from the proxy before the API
    ErrorRule(ErrorKind.RATE_LIMITED, codes=codes("rate_limit_error")),
    ErrorRule(ErrorKind.SERVER_ERROR, codes=codes("api_error", "timeout_error")),
)
_IN_WORDS = {"json_object": "Answer with nothing but one JSON object."}  # there is no JSON mode without a schema
_BAD_ID = re.compile(r"[^a-zA-Z0-9_-]")
_THOUGHTS = frozenset({"thinking", "redacted_thinking"})


# --- building requests -----------------------------------------------------------------------------------------------


def build_request(target: Target, request: ChatRequest, *, stream: bool) -> HttpRequest:
    """The HTTP request that asks `target`."""
    body: dict[str, Any] = {
        "model": target.model,
        "max_tokens": target.max_output_tokens or DEFAULT_MAX_TOKENS,
        **convert_params(request.params, PARAMS, target),
        "messages": alternating_turns(request.messages, "assistant", "content", _blocks),
        "stream": stream,
    }
    kind = request.response_format.kind if request.response_format else "text"
    if system := "\n\n".join(filter(None, (instructions(request.messages), _IN_WORDS.get(kind)))):
        body["system"] = system
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body |= _tool_choice(request)
    if request.response_format and kind == "json_schema":
        form = {"type": "json_schema", "schema": closed_schema(request.response_format.schema)}
        body["output_config"] = {**body.get("output_config", {}), "format": form}
    return post(target, "/messages", body, stream=stream, key_header="x-api-key", headers=_HEADERS)


def dropped_params(target: Target, request: ChatRequest) -> frozenset[str]:
    """What of the request `target` is not sent, by OpenAI's names."""
    return dropped(request, target, {*PARAMS, "parallel_tool_calls"}, OPENAI_FEATURES)


def _blocks(message: Message) -> Iterator[Mapping[str, Any]]:
    parts = [block for part in message.content if (block := _block(part)) is not None]
    if message.role == "tool":
        yield {"type": "tool_result", "tool_use_id": _call_id(message.tool_call_id or ""), "content": parts or ""}
        return
    calls = [_tool_use(call) for call in message.tool_calls]
    if parts or calls:  # a turn may begin with thinking blocks, but not consist of them
        yield from _thinking_blocks(message.reasoning_details)
    yield from (*parts, *calls)


def _block(part: ContentPart) -> dict[str, Any] | None:
    match part:
        case Text():
            return {"type": "text", "text": part.text} if part.text else None  # empty text blocks are refused
        case Image():
            inline = inline_image(part)
            if inline is None:
                return {"type": "image", "source": {"type": "url", "url": part.url}}
            return {"type": "image", "source": {"type": "base64", "media_type": inline[0], "data": inline[1]}}
        case _:
            raise unsupported_part("Anthropic", part.raw)


def _thinking_blocks(held: ReasoningDetails) -> list[Mapping[str, Any]]:
    """The thinking blocks that go back as they came: without them it refuses a tool loop in which it thinks."""
    return [block for block in details_for(_MAKER, held) if block.get("type") in _THOUGHTS]


def _call_id(call_id: str) -> str:
    """A tool call's id, in the letters that Anthropic allows: other providers use more (`call:1`)."""
    return _BAD_ID.sub("_", call_id)


def _tool_use(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": _call_id(call.id), "name": call.name, "input": arguments_object(call.arguments)}


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"name": tool.name, "input_schema": tool.parameters or {"type": "object", "properties": {}}}
    return described if tool.description is None else {**described, "description": tool.description}


def _tool_choice(request: ChatRequest) -> dict[str, Any]:
    """The field `tool_choice`, which also carries `parallel_tool_calls`; empty where neither is asked for."""
    one_at_a_time = request.params.get("parallel_tool_calls") is False
    if request.tool_choice is None and not one_at_a_time:
        return {}
    asked = request.tool_choice or ToolChoice("auto")
    choice: dict[str, Any] = {"type": _CHOICES[asked.mode]}
    if asked.mode == "tool":
        choice["name"] = asked.name
    if one_at_a_time and asked.mode != "none":
        choice["disable_parallel_tool_use"] = True
    return {"tool_choice": choice}


# --- reading answers -------------------------------------------------------------------------------------------------


def parse_response(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """The answer in a whole response."""
    return collect([*_message_deltas(answer_document(status, headers, body, RULES)), DONE])


def parse_event(event: SseEvent) -> Iterable[Delta]:
    """What one stream event adds to the answer; events it does not know, such as `ping`, add nothing."""
    document = event_document(event, RULES)
    if document is None:
        return ()
    read = _EVENTS.get(string(document.get("type")))
    return () if read is None else read(document)


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """The error in a failed response."""
    return read_error(status, headers, body, RULES)


def parse_limits(headers: Mapping[str, str]) -> LimitsSeen:
    """The rate limits that the headers report.

    They are token buckets: the reset is when the bucket is full again, not when the next request is allowed.
    """
    return limits_seen(headers, PER_MINUTE)


def _message_deltas(message: Mapping[str, Any]) -> Iterator[Delta]:
    yield _head(message)
    for block in items(message.get("content")):
        yield from _block_deltas(block, None)


def _head(message: Mapping[str, Any]) -> Delta:
    return Delta(
        finish_reason=_finish(message.get("stop_reason")),
        usage=_usage(obj(message.get("usage"))),
        response_model=string(message.get("model")),
        response_id=string(message.get("id")),
    )


def _call_delta(block: Mapping[str, Any], index: int | None) -> Delta:
    arguments = json_text(block.get("input") or None)  # in streams `input` begins as {} and comes as JSON text later
    return Delta(tool_call=ToolCallDelta(index, string(block.get("id")), string(block.get("name")), arguments))


def _thought_delta(block: Mapping[str, Any], index: int | None) -> Delta:
    return Delta(reasoning=string(block.get("thinking")), reasoning_details=read_detail(_MAKER, block, index))


_BLOCKS: Mapping[str, Callable[[Mapping[str, Any], int | None], Delta]] = {
    "text": lambda block, _: Delta(text=string(block.get("text"))),
    "thinking": _thought_delta,
    "redacted_thinking": _thought_delta,
    "tool_use": _call_delta,
}


def _block_deltas(value: Any, index: int | None) -> Iterable[Delta]:
    """A whole block, or the beginning of one; blocks of tools that Anthropic runs itself are left out."""
    block = obj(value)
    read = _BLOCKS.get(string(block.get("type")))
    return () if read is None else (read(block, index),)


def _block_start(event: Mapping[str, Any]) -> Iterable[Delta]:
    return _block_deltas(event.get("content_block"), count(event.get("index")))


def _block_delta(event: Mapping[str, Any]) -> Iterable[Delta]:
    delta, index = obj(event.get("delta")), count(event.get("index"))
    if partial := string(delta.get("partial_json")):
        return (Delta(tool_call=ToolCallDelta(index, arguments=partial)),)
    if piece := {name: delta[name] for name in ("thinking", "signature") if string(delta.get(name))}:
        return (_thought_delta({"type": "thinking", **piece}, index),)
    return (Delta(text=string(delta.get("text"))),)


def _message_delta(event: Mapping[str, Any]) -> Iterable[Delta]:
    reason = obj(event.get("delta")).get("stop_reason")
    return (Delta(finish_reason=_finish(reason), usage=_usage(obj(event.get("usage")))),)


_EVENTS: Mapping[str, Callable[[Mapping[str, Any]], Iterable[Delta]]] = {
    "message_start": lambda event: (_head(obj(event.get("message"))),),
    "content_block_start": _block_start,
    "content_block_delta": _block_delta,
    "message_delta": _message_delta,
    "message_stop": lambda event: (DONE,),
}
_FINISH: Mapping[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",  # with status 200: a policy classifier stopped the answer
}


def _finish(reason: Any) -> FinishReason | None:
    return _FINISH.get(reason, "stop") if string(reason) else None


def _usage(used: Mapping[str, Any]) -> Usage | None:
    """Usage whose input includes the cache: `input_tokens` here leaves out what was read from it or written to it."""
    fresh = count(used.get("input_tokens"))
    cached = count(used.get("cache_read_input_tokens"))
    sent = None if fresh is None else total(fresh, cached, count(used.get("cache_creation_input_tokens")))
    thought = count(obj(used.get("output_tokens_details")).get("thinking_tokens"))
    return usage(sent, cached, count(used.get("output_tokens")), thought) if used else None
