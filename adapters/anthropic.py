"""Anthropic's Messages format: instructions stand apart, content is blocks, and the answer's length must be given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from adapters.codec.anthropic_answer import event_deltas, message_deltas, thoughts
from adapters.codec.collect import collect
from adapters.codec.dropped import OPENAI_ONLY, unsent
from adapters.codec.error_bodies import answer_document, error_of, event_document
from adapters.codec.error_rules import MODEL_CLOSED, Rule, codes, words
from adapters.codec.headers import PER_MINUTE, limits_seen
from adapters.codec.request_parts import (
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
)
from adapters.codec.schemas import closed
from adapters.errors import ErrorKind, ProviderError
from adapters.types import (
    DONE,
    Answer,
    ChatRequest,
    Delta,
    Event,
    HttpRequest,
    Image,
    LimitsSeen,
    Message,
    Part,
    Target,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
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
    """The names of what the request asks for and `target` is not sent."""
    return unsent(request, target, {*PARAMS, "parallel_tool_calls"}, OPENAI_ONLY)


def _blocks(message: Message) -> Iterator[Mapping[str, Any]]:
    parts = [block for part in message.content if (block := _block(part)) is not None]
    if message.role == "tool":
        yield {"type": "tool_result", "tool_use_id": _id(message.tool_call_id or ""), "content": parts or ""}
        return
    calls = [_past_call(call) for call in message.tool_calls]
    if parts or calls:  # a turn may begin with thoughts, but not consist of them
        yield from thoughts(message.reasoning_details)
    yield from (*parts, *calls)


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


def _past_call(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": _id(call.id), "name": call.name, "input": arguments_object(call.arguments)}


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
    return collect([*message_deltas(answer_document(status, headers, body, RULES)), DONE])


def parse_event(event: Event) -> Iterable[Delta]:
    """What one stream event adds to the answer."""
    document = event_document(event, RULES)
    return () if document is None else event_deltas(document)


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """The error in a failed response."""
    return error_of(status, headers, body, RULES)


def parse_limits(headers: Mapping[str, str]) -> LimitsSeen:
    """What the rate limit headers say is left."""
    return limits_seen(headers, PER_MINUTE)
