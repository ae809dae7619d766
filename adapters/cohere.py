"""Cohere's v2 chat API: its own names for parameters, a plan beside tool calls, and named stream events.

Source of the rules: Cohere's OpenAPI document and its documentation (docs.cohere.com), unless a rule names another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from adapters.codec.collect import collect
from adapters.codec.dropped_params import (
    FeatureChecks,
    describes_format,
    dropped,
    more_stops_than,
    names_speakers,
    wants_json,
)
from adapters.codec.error_bodies import answer_document, event_document, read_error
from adapters.codec.error_rules import ErrorRule, pattern
from adapters.codec.headers import limits_from
from adapters.codec.json_values import count, items, obj, string, usage
from adapters.codec.openai_chat import read_tool_call, write_content, write_tool_call
from adapters.codec.request_body import (
    INSTRUCTION_ROLES,
    Convert,
    clamped,
    convert_params,
    first,
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
    Delta,
    FinishReason,
    HttpRequest,
    LimitPer,
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

# Values outside its ranges are refused with a 400, where OpenAI's are wider.
PARAMS: Mapping[str, tuple[str, Convert]] = {
    "max_tokens": ("max_tokens", unchanged),
    "temperature": ("temperature", clamped(0, 1)),
    "top_p": ("p", clamped(0.01, 0.99)),
    "top_k": ("k", unchanged),
    "stop": ("stop_sequences", first(MAX_STOPS)),
    "seed": ("seed", unchanged),
    "presence_penalty": ("presence_penalty", clamped(0, 1)),
    "frequency_penalty": ("frequency_penalty", clamped(0, 1)),
    "reasoning_effort": ("thinking", lambda effort: {"type": "disabled" if effort == "none" else "enabled"}),
}
UNSUPPORTED: FeatureChecks = {
    "messages.name": names_speakers,
    "response_format": lambda request: bool(request.tools) and wants_json(request),  # both together are refused
    "response_format.description": describes_format,
    "stop": more_stops_than(MAX_STOPS),
}
RULES = (
    # Not every "too many tokens" is about the window: above a model's max_tokens the sentence goes on otherwise.
    ErrorRule(ErrorKind.CONTEXT_LENGTH, text=pattern(r"too many tokens: size limit|too_many_tokens")),
    # Trial keys: "limited to 1000 API calls / month" stops until the reset, "/ minute" passes.
    ErrorRule(ErrorKind.QUOTA_EXHAUSTED, "month", text=pattern(r"(?:/|per) ?month"), status=frozenset({429})),
    ErrorRule(ErrorKind.CONTENT_FILTER, status=frozenset({498})),
)
_LIMITS: Mapping[str, tuple[LimitPer, str]] = {
    "x-trial-endpoint-call-limit": ("minute", "limit"),
    "x-trial-endpoint-call-remaining": ("minute", "remaining"),
    "x-endpoint-monthly-call-limit": ("month", "limit"),
}


# --- building requests -----------------------------------------------------------------------------------------------


def build_request(target: Target, request: ChatRequest, *, stream: bool) -> HttpRequest:
    """The HTTP request that asks `target`."""
    body = {
        "model": target.model,
        "messages": [_message(message) for message in request.messages],
        **convert_params(request.params, PARAMS, target),
        **(_tools(request) if request.tools else _response_format(request)),
        "stream": stream,
    }
    return post(target, "/chat", body, stream=stream, key_header="authorization", headers={})


def dropped_params(target: Target, request: ChatRequest) -> frozenset[str]:
    """What of the request `target` is not sent, by OpenAI's names."""
    return dropped(request, target, PARAMS, UNSUPPORTED)


def _message(message: Message) -> dict[str, Any]:
    for part in message.content:
        if isinstance(part, Opaque):
            raise unsupported_part("Cohere", part.raw)
    role = "system" if message.role in INSTRUCTION_ROLES else message.role
    if message.tool_calls:  # text beside calls is the plan that led to them, in a field of its own
        plan = {"tool_plan": message.text} if message.text else {}
        return {"role": role, **plan, "tool_calls": [_write_call(call) for call in message.tool_calls]}
    wire = {"role": role, "content": write_content(message.content)}
    return wire if message.tool_call_id is None else {**wire, "tool_call_id": message.tool_call_id}


def _write_call(call: ToolCall) -> dict[str, Any]:
    return write_tool_call(replace(call, name=encode_name(call.name)), call.id)


def _tools(request: ChatRequest) -> dict[str, Any]:
    """The tools offered. `tool_choice` cannot name a function here: to demand one, it alone is offered."""
    choice = request.tool_choice
    named = choice.name if choice and choice.mode == "tool" else None
    offered = [tool for tool in request.tools if named in (None, tool.name)]
    wire: dict[str, Any] = {"tools": [_tool(tool) for tool in offered]}
    if choice and choice.mode != "auto":
        wire["tool_choice"] = "NONE" if choice.mode == "none" else "REQUIRED"
    if any(tool.strict for tool in offered):
        wire["strict_tools"] = True  # for all tools or none
    return wire


def _tool(tool: Tool) -> dict[str, Any]:
    described = {} if tool.description is None else {"description": tool.description}
    parameters = tool.parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": {"name": encode_name(tool.name), **described, "parameters": parameters}}


def _response_format(request: ChatRequest) -> dict[str, Any]:
    """The form of the answer; with a schema too its type is `json_object`, and the schema stands bare beside it."""
    form = request.response_format
    if form is None or form.kind == "text":
        return {}
    schema = {"json_schema": form.schema} if form.kind == "json_schema" else {}
    return {"response_format": {"type": "json_object", **schema}}


# --- tool names ------------------------------------------------------------------------------------------------------

# Cohere takes letters, digits and underscores, and no digit first (docs.cohere.com/reference/errors); OpenAI takes
# hyphens too, and some callers send dots or colons. A foreign character becomes `_x<its number in hexadecimal>_`, so
# that the name in a call can be read back: `get-time` is `get_x2d_time`.
_ENCODED = re.compile(r"_x((?!d[89a-f][0-9a-f]{2}_)[0-9a-f]{2,5})_")  # no halves of surrogate pairs: not characters
# An underscore is encoded too where it would otherwise, with what follows, look like an encoded character.
_FOREIGN = re.compile(r"[^A-Za-z0-9_]|^[0-9]|_(?=x[0-9a-f]{2,5}[^A-Za-z0-9])")


def encode_name(name: str) -> str:
    """A tool's name in letters, digits and underscores that begins with no digit; unchanged if it is so already."""
    return _FOREIGN.sub(lambda found: f"_x{ord(found[0]):02x}_", name)


def decode_name(encoded: str) -> str:
    """The name that `encode_name` was given; a name that it did not encode stays as it is."""
    return _ENCODED.sub(lambda found: chr(int(found[1], 16)), encoded)


# --- reading answers -------------------------------------------------------------------------------------------------


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


def parse_event(event: SseEvent) -> Iterable[Delta]:
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
    return read_error(status, headers, body, RULES)


def parse_limits(headers: Mapping[str, str]) -> LimitsSeen:
    """The limits that the headers of trial keys report; other keys get none."""
    known = ((_LIMITS[name], value) for name, value in headers.items() if name in _LIMITS)
    return limits_from(("requests", per, what, value) for (per, what), value in known)


def _message_deltas(message: Mapping[str, Any]) -> Iterator[Delta]:
    yield Delta(reasoning=string(message.get("tool_plan")))
    for block in items(message.get("content")):
        yield _content_delta(obj(block))
    for call in items(message.get("tool_calls")):
        yield Delta(tool_call=_read_call(call))


def _content_delta(block: Mapping[str, Any]) -> Delta:
    return Delta(text=string(block.get("text")), reasoning=string(block.get("thinking")))


def _read_call(call: Any) -> ToolCallDelta:
    delta = read_tool_call(obj(call))
    return replace(delta, name=decode_name(delta.name))


def _message_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    return obj(obj(event.get("delta")).get("message"))


def _content(event: Mapping[str, Any]) -> Iterable[Delta]:
    return (_content_delta(obj(_message_of(event).get("content"))),)


def _call(event: Mapping[str, Any]) -> Iterable[Delta]:
    delta = _read_call(_message_of(event).get("tool_calls"))  # one object, not a list; its index is on the event
    return (Delta(tool_call=replace(delta, index=count(event.get("index")))),)


_EVENTS: Mapping[str, Callable[[Mapping[str, Any]], Iterable[Delta]]] = {
    "message-start": lambda event: (Delta(response_id=string(event.get("id"))),),
    "content-start": _content,
    "content-delta": _content,
    "tool-plan-delta": lambda event: (Delta(reasoning=string(_message_of(event).get("tool_plan"))),),
    "tool-call-start": _call,
    "tool-call-delta": _call,
    "message-end": lambda event: (_end(obj(event.get("delta"))),),
}


_FINISH: Mapping[str, FinishReason] = {"MAX_TOKENS": "length", "TOOL_CALL": "tool_calls"}
_BROKEN: Mapping[str, ErrorKind] = {"ERROR": ErrorKind.SERVER_ERROR, "TIMEOUT": ErrorKind.SERVER_ERROR}


def _end(ended: Mapping[str, Any]) -> Delta:
    """The finish reason and the usage; `ERROR` and `TIMEOUT` come with status 200 and perhaps half an answer."""
    reason = string(ended.get("finish_reason"))
    if reason in _BROKEN:
        raise ProviderError(_BROKEN[reason], f"the provider ended the answer with the finish reason {reason!r}")
    finish = _FINISH.get(reason, "stop") if reason else None
    return Delta(finish_reason=finish, usage=_usage(obj(ended.get("usage"))))


def _usage(used: Mapping[str, Any]) -> Usage | None:
    """Usage as billed: `tokens` also counts a hidden preamble, and so do the cached tokens, which are left out."""
    raw, billed = obj(used.get("tokens")), obj(used.get("billed_units"))
    sent, output = (count((billed or raw).get(name)) for name in ("input_tokens", "output_tokens"))
    return usage(sent, None, output, count(raw.get("reasoning_tokens"))) if raw or billed else None
