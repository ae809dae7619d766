"""One conversation that uses every feature, and helpers to build requests from it."""

from __future__ import annotations

import json
from typing import Any

from adapters import Adapter
from adapters.types import (
    ChatRequest,
    HttpRequest,
    Image,
    Message,
    Quirks,
    ResponseFormat,
    Secret,
    Target,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "at": {"type": "object", "properties": {}}}}
WEATHER = Tool("weather", "Tells the weather.", SCHEMA)
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def said(role: Any, *texts: str, **more: Any) -> Message:
    return Message(role, tuple(Text(text) for text in texts), **more)


CONVERSATION = ChatRequest(
    messages=(
        said("system", "Be brief."),
        said("developer", "Use tools."),
        Message("user", (Text("What is this?"), Image(PIXEL, "low"), Image("https://example.com/a.png"))),
        said(
            "assistant",
            "I will look.",
            tool_calls=(
                ToolCall("call:1", "weather", '{"city":"Oslo"}', signature="c2ln"),
                ToolCall("call:2", "weather", '{"city":"Rome"}'),
            ),
        ),
        said("tool", '{"degrees": 3}', tool_call_id="call:1"),
        said("tool", "sunny", tool_call_id="call:2"),
        said("user", "And now?"),
    ),
    tools=(WEATHER,),
    tool_choice=ToolChoice("tool", "weather"),
    params={
        "max_tokens": 900,
        "temperature": 1.7,
        "top_p": 0.5,
        "stop": ["a", "b", "c", "d", "e", "f"],
        "seed": 7,
        "presence_penalty": 0.5,
        "logit_bias": {"50256": -100},
        "user": "u-1",
        "reasoning_effort": "low",
        "parallel_tool_calls": False,
    },
)
HELLO = ChatRequest(messages=(said("user", "Hello"),))
AS_JSON = ChatRequest(
    messages=(said("user", "Where?"),), response_format=ResponseFormat("json_schema", "place", SCHEMA, strict=True)
)


def target(adapter: str, base_url: str, *, model: str = "some/model", **more: Any) -> Target:
    return Target("p", model, adapter, base_url, Secret("sk-secret"), **more)


def dropping(*names: str) -> Quirks:
    return Quirks(drop=frozenset(names))


def body_of(request: HttpRequest) -> Any:
    return json.loads(request.body)


def asked(adapter: Adapter, request: ChatRequest, *, stream: bool = False, **more: Any) -> Any:
    """The JSON body that `adapter` sends for `request`."""
    return body_of(adapter.build_request(target("x", adapter.BASE_URL, **more), request, stream=stream))
