"""The wire in: a chat request's body as canonical values, checked so that every mistake gets one clear sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import orjson

from adapters.types import ChatRequest
from router.api.errors import ApiError
from router.api.messages import read_messages
from router.api.tools import read_response_format, read_tool_choice, read_tools
from router.api.values import bounded, invalid, named, near_miss, quoted, typed

MAX_UNKNOWN_FIELDS = 32

ROUTING_FIELDS = frozenset({"quorum", "strategy", "tier", "council_size"})
_OWN_FIELDS = frozenset(
    {"model", "messages", "stream", "stream_options", "tools", "tool_choice", "response_format", "n"}
    | {"max_tokens", "max_completion_tokens"}
)


class ChatBody:
    """A parsed body: the canonical `request`, and beside it what to route by, how to stream, what was ignored."""

    __slots__ = ("dropped", "include_usage", "model", "request", "routing", "stream")

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.dropped = _unknown_fields(document)
        self.model = typed(document, "model", str, "a string") or "auto"
        self.stream = bool(typed(document, "stream", bool, "true or false"))
        stream_options = typed(document, "stream_options", dict, "an object") or {}
        self.include_usage = stream_options.get("include_usage") is True
        self.routing = {name: document[name] for name in ROUTING_FIELDS if document.get(name) is not None}
        if document.get("n") not in (None, 1):
            raise invalid("n must be 1: one request gets one answer", "n")
        tools = read_tools(document.get("tools"))
        self.request = ChatRequest(
            messages=read_messages(document.get("messages")),
            tools=tools,
            tool_choice=read_tool_choice(document.get("tool_choice"), tools),
            response_format=read_response_format(document.get("response_format")),
            params=_params(document),
        )


def parse_chat(body: bytes) -> ChatBody:
    """Reads a request body; raises `ApiError` 400 `invalid_body` naming the field, what is allowed, and a near miss."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise invalid(f"the body is not JSON: {error.msg} at {where}" if body else "the body is empty") from None
    if not isinstance(document, dict):
        raise invalid(f"the body must be a JSON object, not {named(document)}")
    return ChatBody(document)


def _unknown_fields(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Fields we do not know are ignored and reported, unless they look like a slip of the pen: then better say so."""
    unknown = sorted(document.keys() - KNOWN_FIELDS)
    if len(unknown) > MAX_UNKNOWN_FIELDS:
        raise invalid(f"the body has {len(unknown)} unknown fields, such as {quoted(unknown[0])}")
    for name in unknown:
        near = near_miss(name, KNOWN_FIELDS, cutoff=0.85)
        if near:
            raise invalid(f"unknown field {quoted(name)}, did you mean '{near}'?", name)
    return tuple(name[:60] for name in unknown)


# --- the parameters that pass through, and what each may be ---------------------------------------------------------


def _number(low: float, high: float) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        good = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        return None if good else f"a number from {low:g} to {high:g}"

    return check


def _integer(low: int, high: int) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        good = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return None if good else f"a whole number from {low} to {high}"

    return check


def _a(kind: type, word: str) -> Callable[[Any], str | None]:
    return lambda value: None if isinstance(value, kind) else word


def _stop(value: Any) -> str | None:
    texts = [value] if isinstance(value, str) else value
    good = isinstance(texts, list) and 0 < len(texts) <= 16 and all(isinstance(text, str) for text in texts)
    return None if good else "a string or a list of 1 to 16 strings"


_PARAMS: Mapping[str, Callable[[Any], str | None]] = {
    "temperature": _number(0, 2),
    "top_p": _number(0, 1),
    "presence_penalty": _number(-2, 2),
    "frequency_penalty": _number(-2, 2),
    "seed": _integer(-(2**63), 2**63 - 1),
    "stop": _stop,
    "logit_bias": _a(dict, "an object"),
    "logprobs": _a(bool, "true or false"),
    "top_logprobs": _integer(0, 20),
    "parallel_tool_calls": _a(bool, "true or false"),
    "reasoning_effort": _a(str, "a string"),
    "verbosity": _a(str, "a string"),
    "service_tier": _a(str, "a string"),
    "user": _a(str, "a string"),
    "safety_identifier": _a(str, "a string"),
    "prompt_cache_key": _a(str, "a string"),
    "metadata": _a(dict, "an object"),
    "store": _a(bool, "true or false"),
    "modalities": _a(list, "a list"),
    "prediction": _a(dict, "an object"),
}
KNOWN_FIELDS = ROUTING_FIELDS | _OWN_FIELDS | _PARAMS.keys()


def _params(document: Mapping[str, Any]) -> Mapping[str, Any]:
    params: dict[str, Any] = {}
    for name, check in _PARAMS.items():
        value = document.get(name)
        if value is None:
            continue
        wanted = check(value)
        if wanted:
            raise invalid(f"{name} must be {wanted}, not {named(value)}", name)
        bounded(value, name)
        params[name] = [value] if name == "stop" and isinstance(value, str) else value
    for name in ("max_tokens", "max_completion_tokens"):
        value = document.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise invalid(f"{name} must be a whole number of at least 1, not {named(value)}", name)
        if params.setdefault("max_tokens", value) != value:
            message = "max_tokens and max_completion_tokens differ, send one of them"
            raise ApiError(400, "conflicting_options", message, param=name)
    return MappingProxyType(params)
