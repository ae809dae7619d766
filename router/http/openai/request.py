"""Parses the body of a chat request into canonical values; the first mistake becomes a 400 with one clear sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from adapters.types import ChatRequest
from router.http.openai.messages import read_messages
from router.http.openai.params import PARAMS, read_params
from router.http.openai.tools import read_response_format, read_tool_choice, read_tools
from router.http.values import invalid, named, quoted, slip_of, typed

MAX_UNKNOWN_FIELDS = 32  # their names are returned in a header and in the answer

ROUTING_FIELDS = frozenset({"quorum", "strategy", "tier", "council_size"})
_OWN_FIELDS = frozenset(
    {"model", "messages", "stream", "stream_options", "tools", "tool_choice", "response_format", "n"}
)
KNOWN_FIELDS = ROUTING_FIELDS | _OWN_FIELDS | PARAMS


class ChatBody:
    """A parsed body: the canonical `request`, raw routing options, how to stream, and the names of unknown fields."""

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
            params=read_params(document),
        )


def parse_chat(body: bytes) -> ChatBody:
    """Parses a body; raises a 400 `invalid_body` that names the field, the allowed values and the nearest match."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise invalid(f"the body is not JSON: {error.msg} at {where}" if body else "the body is empty") from None
    if not isinstance(document, dict):
        raise invalid(f"the body must be a JSON object, not {named(document)}")
    return ChatBody(document)


def _unknown_fields(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of unknown fields, which are ignored and reported as dropped; a likely typo of a known one raises a 400."""
    unknown = document.keys() - KNOWN_FIELDS
    if not unknown:
        return ()
    if len(unknown) > MAX_UNKNOWN_FIELDS:
        most = f"at most {MAX_UNKNOWN_FIELDS} are ignored"
        raise invalid(f"the body has {len(unknown)} unknown fields, such as {quoted(min(unknown))}; {most}")
    for name in sorted(unknown):
        near = slip_of(name, KNOWN_FIELDS)
        if near:
            raise invalid(f"unknown field {quoted(name)}, did you mean '{near}'?", name)
    return tuple(name[:60] for name in sorted(unknown))
