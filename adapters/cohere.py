"""Cohere's v2 chat format: its own words for parameters, a plan beside tool calls, and named stream events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from adapters.codec.collect import collect
from adapters.codec.dropped import Wishes, form_described, form_wanted, more_stops_than, speakers_named, unsent
from adapters.codec.error_bodies import answer_document, error_of, event_document
from adapters.codec.error_rules import Rule, words
from adapters.codec.headers import Per, limits_of
from adapters.codec.json_values import count, items, obj, string, usage
from adapters.codec.openai_parts import call_form, content, piece
from adapters.codec.request_parts import SYSTEM, Convert, at_most, clamped, converted, post, same, unknown_part
from adapters.codec.tool_names import as_named, spelled
from adapters.errors import ErrorKind, ProviderError
from adapters.types import (
    DONE,
    Answer,
    ChatRequest,
    Delta,
    Event,
    FinishReason,
    HttpRequest,
    LimitsSeen,
    Message,
    Opaque,
    Target,
    Tool,
    ToolCall,
    ToolCallDelta,
    Usage,
)

BASE_URL = "https://api.cohere.com/v2"
MAX_STOPS = 5

PARAMS: Mapping[str, tuple[str, Convert]] = {
    "max_tokens": ("max_tokens", same),
    "temperature": ("temperature", clamped(0, 1)),
    "top_p": ("p", clamped(0.01, 0.99)),
    "top_k": ("k", same),
    "stop": ("stop_sequences", at_most(MAX_STOPS)),
    "seed": ("seed", same),
    "presence_penalty": ("presence_penalty", clamped(0, 1)),
    "frequency_penalty": ("frequency_penalty", clamped(0, 1)),
    "reasoning_effort": ("thinking", lambda effort: {"type": "disabled" if effort == "none" else "enabled"}),
}
UNSAID: Wishes = {
    "messages.name": speakers_named,
    "response_format": lambda request: bool(request.tools) and form_wanted(request),  # it refuses both together
    "response_format.description": form_described,
    "stop": more_stops_than(MAX_STOPS),
}
_FINISH: Mapping[str, FinishReason] = {"MAX_TOKENS": "length", "TOOL_CALL": "tool_calls"}
_BROKEN: Mapping[str, ErrorKind] = {"ERROR": ErrorKind.SERVER_ERROR, "TIMEOUT": ErrorKind.SERVER_ERROR}
RULES = (
    Rule(ErrorKind.CONTEXT_LENGTH, text=words(r"too many tokens: size limit|too_many_tokens")),
    Rule(ErrorKind.QUOTA_EXHAUSTED, "month", text=words(r"(?:/|per) ?month"), status=frozenset({429})),
    Rule(ErrorKind.CONTENT_FILTER, status=frozenset({498})),
)
_LIMITS: Mapping[str, tuple[Per, str]] = {
    "x-trial-endpoint-call-limit": ("minute", "limit"),
    "x-trial-endpoint-call-remaining": ("minute", "remaining"),
    "x-endpoint-monthly-call-limit": ("month", "limit"),
}


# --- asking ----------------------------------------------------------------------------------------------------------


def build_request(target: Target, request: ChatRequest, *, stream: bool) -> HttpRequest:
    """The HTTP request that asks `target`."""
    body = {
        "model": target.model,
        "messages": [_message(message) for message in request.messages],
        **converted(request.params, PARAMS, target),
        **(_tools(request) if request.tools else _response_format(request)),
        "stream": stream,
    }
    return post(target, "/chat", body, stream=stream, key_header="authorization", headers={})


def dropped_params(target: Target, request: ChatRequest) -> frozenset[str]:
    """The names of what the request asks for and `target` is not sent."""
    return unsent(request, target, PARAMS, UNSAID)


def _message(message: Message) -> dict[str, Any]:
    for part in message.content:
        if isinstance(part, Opaque):
            raise unknown_part("Cohere", part.raw)
    role = "system" if message.role in SYSTEM else message.role
    if message.tool_calls:  # what is said beside calls is their plan here
        said = {"tool_plan": message.text} if message.text else {}
        return {"role": role, **said, "tool_calls": [_past_call(call) for call in message.tool_calls]}
    wire = {"role": role, "content": content(message.content)}
    return wire if message.tool_call_id is None else {**wire, "tool_call_id": message.tool_call_id}


def _past_call(call: ToolCall) -> dict[str, Any]:
    return call_form(replace(call, name=spelled(call.name)), call.id)


def _tools(request: ChatRequest) -> dict[str, Any]:
    """The tools offered. No single one can be named here: to demand it, it alone is offered."""
    choice = request.tool_choice
    named = choice.name if choice and choice.mode == "tool" else None
    offered = [tool for tool in request.tools if named in (None, tool.name)]
    wire: dict[str, Any] = {"tools": [_tool(tool) for tool in offered]}
    if choice and choice.mode != "auto":
        wire["tool_choice"] = "NONE" if choice.mode == "none" else "REQUIRED"
    if any(tool.strict for tool in offered):
        wire["strict_tools"] = True
    return wire


def _tool(tool: Tool) -> dict[str, Any]:
    described = {} if tool.description is None else {"description": tool.description}
    parameters = tool.parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": {"name": spelled(tool.name), **described, "parameters": parameters}}


def _response_format(request: ChatRequest) -> dict[str, Any]:
    form = request.response_format
    if form is None or form.kind == "text":
        return {}
    schema = {"json_schema": form.schema} if form.kind == "json_schema" else {}
    return {"response_format": {"type": "json_object", **schema}}


# --- hearing ---------------------------------------------------------------------------------------------------------


def parse_response(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """The answer in a whole response."""
    document = answer_document(status, headers, body, RULES)
    deltas = [
        Delta(response_id=string(document.get("id"))),
        *_message_deltas(obj(document.get("message"))),
        _end(document),
        DONE,
    ]
    return collect(deltas)


def parse_event(event: Event) -> Iterable[Delta]:
    """What one stream event adds to the answer."""
    if event.data.strip() == "[DONE]":
        return (DONE,)
    document = event_document(event, RULES)
    if document is None:
        return ()
    read = _EVENTS.get(string(document.get("type")))
    return () if read is None else read(document)


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """The error in a failed response."""
    return error_of(status, headers, body, RULES)


def parse_limits(headers: Mapping[str, str]) -> LimitsSeen:
    """What the headers of trial keys say is left."""
    known = ((_LIMITS[name], value) for name, value in headers.items() if name in _LIMITS)
    return limits_of(("requests", per, what, value) for (per, what), value in known)


def _message_deltas(message: Mapping[str, Any]) -> Iterator[Delta]:
    yield Delta(reasoning=string(message.get("tool_plan")))
    for block in items(message.get("content")):
        yield _said(obj(block))
    for call in items(message.get("tool_calls")):
        yield Delta(tool_call=_piece(call))


def _said(block: Mapping[str, Any]) -> Delta:
    return Delta(text=string(block.get("text")), reasoning=string(block.get("thinking")))


def _piece(call: Any) -> ToolCallDelta:
    part = piece(obj(call))
    return replace(part, name=as_named(part.name))


def _message_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    return obj(obj(event.get("delta")).get("message"))


def _content(event: Mapping[str, Any]) -> Iterable[Delta]:
    return (_said(obj(_message_of(event).get("content"))),)


def _call(event: Mapping[str, Any]) -> Iterable[Delta]:
    part = _piece(_message_of(event).get("tool_calls"))  # an object here, and its index stands on the event
    return (Delta(tool_call=replace(part, index=count(event.get("index")))),)


_EVENTS: Mapping[str, Callable[[Mapping[str, Any]], Iterable[Delta]]] = {
    "message-start": lambda event: (Delta(response_id=string(event.get("id"))),),
    "content-start": _content,
    "content-delta": _content,
    "tool-plan-delta": lambda event: (Delta(reasoning=string(_message_of(event).get("tool_plan"))),),
    "tool-call-start": _call,
    "tool-call-delta": _call,
    "message-end": lambda event: (_end(obj(event.get("delta"))),),
}


def _end(ended: Mapping[str, Any]) -> Delta:
    reason = string(ended.get("finish_reason"))
    if reason in _BROKEN:
        raise ProviderError(_BROKEN[reason], f"the provider ended the answer with the finish reason {reason!r}")
    finish = _FINISH.get(reason, "stop") if reason else None
    return Delta(finish_reason=finish, usage=_usage(obj(ended.get("usage"))))


def _usage(used: Mapping[str, Any]) -> Usage | None:
    """What is billed; the raw tokens count a hidden preamble too, and so do the cached ones, which are left out."""
    raw, billed = obj(used.get("tokens")), obj(used.get("billed_units"))
    sent, output = (count((billed or raw).get(name)) for name in ("input_tokens", "output_tokens"))
    return usage(sent, None, output, count(raw.get("reasoning_tokens"))) if raw or billed else None
