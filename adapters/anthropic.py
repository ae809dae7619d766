"""Anthropic's Messages format: instructions stand apart, content is blocks, and the answer's length must be given."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from adapters.collect import collect
from adapters.error_bodies import answer_document, error_of, event_document
from adapters.error_rules import MODEL_CLOSED, Rule, codes, words
from adapters.errors import ErrorKind, ProviderError
from adapters.headers import PER_MINUTE, limits_seen
from adapters.reading import count, items, json_text, obj, string, total, usage
from adapters.schemas import closed
from adapters.types import (
    Answer,
    ChatRequest,
    Delta,
    Event,
    FinishReason,
    HttpRequest,
    Image,
    LimitsSeen,
    Message,
    Part,
    Target,
    Text,
    Tool,
    ToolCallDelta,
    ToolChoice,
    Usage,
)
from adapters.writing import (
    Convert,
    arguments_object,
    clamped,
    converted,
    inline_image,
    post,
    same,
    system_text,
    turns,
    unknown_part,
    unsent,
)

BASE_URL = "https://api.anthropic.com/v1"
_HEADERS = {"anthropic-version": "2023-06-01"}
DEFAULT_MAX_TOKENS = 4096  # the format demands a number; this one every model takes

_CHOICES = {"auto": "auto", "none": "none", "required": "any", "tool": "tool"}
_EFFORTS = {"none": "low", "minimal": "low"}
PARAMS: Mapping[str, tuple[str, Convert]] = {
    "max_tokens": ("max_tokens", same),
    "temperature": ("temperature", clamped(0, 1)),
    "top_p": ("top_p", same),
    "top_k": ("top_k", same),
    "stop": ("stop_sequences", list),
    "user": ("metadata", lambda user: {"user_id": user}),
    "reasoning_effort": ("output_config", lambda effort: {"effort": _EFFORTS.get(effort, effort)}),
}
_FINISH: Mapping[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
RULES = (
    Rule(ErrorKind.QUOTA_EXHAUSTED, "month", text=words(r"spend_limit_reached")),
    Rule(ErrorKind.BILLING, text=words(r"specified API usage limits")),
    MODEL_CLOSED,
    Rule(ErrorKind.AUTH, codes=codes("permission_error")),
    Rule(ErrorKind.MODEL_GONE, codes=codes("not_found_error")),
    Rule(ErrorKind.CONTEXT_LENGTH, codes=codes("request_too_large")),
    Rule(ErrorKind.RATE_LIMITED, codes=codes("rate_limit_error")),
    Rule(ErrorKind.SERVER_ERROR, codes=codes("api_error", "timeout_error")),
)
_IN_WORDS = {"json_object": "Answer with nothing but one JSON object."}  # there is no JSON mode without a schema
_BAD_ID = re.compile(r"[^a-zA-Z0-9_-]")


# --- asking ----------------------------------------------------------------------------------------------------------


def build_request(target: Target, request: ChatRequest, *, stream: bool) -> HttpRequest:
    """The HTTP request that asks `target`."""
    body: dict[str, Any] = {
        "model": target.model,
        "max_tokens": target.max_output_tokens or DEFAULT_MAX_TOKENS,
        **converted(request.params, PARAMS, target),
        "messages": turns(request.messages, "assistant", "content", _blocks),
        "stream": stream,
    }
    kind = request.response_format.kind if request.response_format else "text"
    if instructions := "\n\n".join(filter(None, (system_text(request.messages), _IN_WORDS.get(kind)))):
        body["system"] = instructions
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body |= _tool_choice(request)
    if request.response_format and kind == "json_schema":
        form = {"type": "json_schema", "schema": closed(request.response_format.schema)}
        body["output_config"] = {**body.get("output_config", {}), "format": form}
    return post(target, "/messages", body, stream=stream, key_header="x-api-key", headers=_HEADERS)


def dropped_params(target: Target, request: ChatRequest) -> frozenset[str]:
    """The names of the request's parameters that are not sent to `target`."""
    return unsent(request, target, {*PARAMS, "parallel_tool_calls"})


def _blocks(message: Message) -> Iterator[dict[str, Any]]:
    parts = [block for part in message.content if (block := _block(part)) is not None]
    if message.role == "tool":
        yield {"type": "tool_result", "tool_use_id": _id(message.tool_call_id or ""), "content": parts or ""}
        return
    yield from parts
    for call in message.tool_calls:
        yield {"type": "tool_use", "id": _id(call.id), "name": call.name, "input": arguments_object(call.arguments)}


def _block(part: Part) -> dict[str, Any] | None:
    match part:
        case Text():
            return {"type": "text", "text": part.text} if part.text else None  # empty text blocks are refused
        case Image():
            inline = inline_image(part)
            if inline is None:
                return {"type": "image", "source": {"type": "url", "url": part.url}}
            return {"type": "image", "source": {"type": "base64", "media_type": inline[0], "data": inline[1]}}
        case _:
            raise unknown_part("Anthropic", part.raw)


def _id(call_id: str) -> str:  # another provider's, in the letters allowed here
    return _BAD_ID.sub("_", call_id)


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"name": tool.name, "input_schema": tool.parameters or {"type": "object", "properties": {}}}
    return described if tool.description is None else {**described, "description": tool.description}


def _tool_choice(request: ChatRequest) -> dict[str, Any]:
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


# --- hearing ---------------------------------------------------------------------------------------------------------


def parse_response(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """The answer in a whole response."""
    document = answer_document(status, headers, body, RULES)
    blocks = (delta for block in items(document.get("content")) for delta in _block_deltas(block, None))
    return collect([_about(document), *blocks, Delta(done=True)])


def parse_event(event: Event) -> Iterable[Delta]:
    """What one stream event adds to the answer."""
    document = event_document(event, RULES)
    if document is None:
        return ()
    read = _EVENTS.get(string(document.get("type")))
    return () if read is None else read(document)


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """The error in a failed response."""
    return error_of(status, headers, body, RULES)


def parse_limits(headers: Mapping[str, str]) -> LimitsSeen:
    """What the rate limit headers say is left."""
    return limits_seen(headers, PER_MINUTE)


def _about(message: Mapping[str, Any]) -> Delta:
    return Delta(
        finish_reason=_finish(message.get("stop_reason")),
        usage=_usage(obj(message.get("usage"))),
        response_model=string(message.get("model")),
        response_id=string(message.get("id")),
    )


def _tool_use(block: Mapping[str, Any], index: int | None) -> Delta:
    arguments = json_text(block.get("input") or None)
    return Delta(tool_call=ToolCallDelta(index, string(block.get("id")), string(block.get("name")), arguments))


_BLOCKS: Mapping[str, Callable[[Mapping[str, Any], int | None], Delta]] = {
    "text": lambda block, _: Delta(text=string(block.get("text"))),
    "thinking": lambda block, _: Delta(reasoning=string(block.get("thinking"))),
    "tool_use": _tool_use,
}


def _block_deltas(value: Any, index: int | None) -> Iterable[Delta]:
    """A whole block, or the beginning of one; of the tools that Anthropic runs itself nothing is told."""
    block = obj(value)
    read = _BLOCKS.get(string(block.get("type")))
    return () if read is None else (read(block, index),)


def _started(event: Mapping[str, Any]) -> Iterable[Delta]:
    return _block_deltas(event.get("content_block"), count(event.get("index")))


def _continued(event: Mapping[str, Any]) -> Iterable[Delta]:
    delta = obj(event.get("delta"))
    if partial := string(delta.get("partial_json")):
        return (Delta(tool_call=ToolCallDelta(count(event.get("index")), arguments=partial)),)
    return (Delta(text=string(delta.get("text")), reasoning=string(delta.get("thinking"))),)


def _ended(event: Mapping[str, Any]) -> Iterable[Delta]:
    reason = obj(event.get("delta")).get("stop_reason")
    return (Delta(finish_reason=_finish(reason), usage=_usage(obj(event.get("usage")))),)


_EVENTS: Mapping[str, Callable[[Mapping[str, Any]], Iterable[Delta]]] = {
    "message_start": lambda event: (_about(obj(event.get("message"))),),
    "content_block_start": _started,
    "content_block_delta": _continued,
    "message_delta": _ended,
    "message_stop": lambda event: (Delta(done=True),),
}


def _finish(reason: Any) -> FinishReason | None:
    return _FINISH.get(reason, "stop") if string(reason) else None


def _usage(used: Mapping[str, Any]) -> Usage | None:
    """What is read from the cache or written to it is no part of `input_tokens` here, but was sent and is billed."""
    fresh = count(used.get("input_tokens"))
    cached = count(used.get("cache_read_input_tokens"))
    sent = None if fresh is None else total(fresh, cached, count(used.get("cache_creation_input_tokens")))
    thought = count(obj(used.get("output_tokens_details")).get("thinking_tokens"))
    return usage(sent, cached, count(used.get("output_tokens")), thought) if used else None
