"""Requests as they are sent to Cohere."""

from __future__ import annotations

from typing import Any

import pytest

from adapters import ADAPTERS, ErrorKind, ProviderError, cohere
from adapters.types import ChatRequest, Message, Opaque, ResponseFormat, Tool, ToolChoice
from tests.adapters.asking import AS_JSON, CONVERSATION, HELLO, PIXEL, SCHEMA, WEATHER, asked, target

COHERE = ADAPTERS["cohere"]


def calling(city: str) -> dict[str, str]:
    return {"name": "weather", "arguments": f'{{"city":"{city}"}}'}


def test_a_whole_conversation() -> None:
    function = {"name": "weather", "description": "Tells the weather.", "parameters": SCHEMA}
    assert asked(COHERE, CONVERSATION, stream=True) == {
        "model": "some/model",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "system", "content": "Use tools."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                ],
            },
            {
                "role": "assistant",
                "tool_plan": "I will look.",
                "tool_calls": [
                    {"id": "call:1", "type": "function", "function": calling("Oslo")},
                    {"id": "call:2", "type": "function", "function": calling("Rome")},
                ],
            },
            {"role": "tool", "tool_call_id": "call:1", "content": '{"degrees": 3}'},
            {"role": "tool", "tool_call_id": "call:2", "content": "sunny"},
            {"role": "user", "content": "And now?"},
        ],
        "tools": [{"type": "function", "function": function}],
        "tool_choice": "REQUIRED",
        "max_tokens": 900,
        "temperature": 1,
        "p": 0.5,
        "stop_sequences": ["a", "b", "c", "d", "e"],
        "seed": 7,
        "presence_penalty": 0.5,
        "thinking": {"type": "enabled"},
        "stream": True,
    }
    assert cohere.dropped_params(target("cohere", ""), CONVERSATION) == {
        "logit_bias",
        "user",
        "parallel_tool_calls",
        "stop",
    }


def test_where_it_goes_and_with_which_key() -> None:
    request = COHERE.build_request(target("cohere", COHERE.BASE_URL), HELLO, stream=False)
    assert request.url == "https://api.cohere.com/v2/chat"
    assert request.headers["authorization"] == "Bearer sk-secret"


@pytest.mark.parametrize(
    ("choice", "wire", "offered"),
    [
        (None, None, ["weather", "now"]),
        (ToolChoice("auto"), None, ["weather", "now"]),
        (ToolChoice("none"), "NONE", ["weather", "now"]),
        (ToolChoice("required"), "REQUIRED", ["weather", "now"]),
        (ToolChoice("tool", "now"), "REQUIRED", ["now"]),
    ],
)
def test_tool_choices(choice: ToolChoice | None, wire: str | None, offered: list[str]) -> None:
    body = asked(COHERE, ChatRequest(HELLO.messages, tools=(WEATHER, Tool("now", strict=True)), tool_choice=choice))
    assert body.get("tool_choice") == wire
    assert [tool["function"]["name"] for tool in body["tools"]] == offered
    assert body["strict_tools"] is True


@pytest.mark.parametrize(
    ("form", "wire"),
    [
        (ResponseFormat("text"), None),
        (ResponseFormat("json_object"), {"type": "json_object"}),
        (AS_JSON.response_format, {"type": "json_object", "json_schema": SCHEMA}),
    ],
)
def test_response_formats(form: ResponseFormat, wire: Any) -> None:
    assert asked(COHERE, ChatRequest(HELLO.messages, response_format=form)).get("response_format") == wire
    assert "response_format" not in asked(COHERE, ChatRequest(HELLO.messages, tools=(WEATHER,), response_format=form))


def test_parts_it_cannot_carry_are_refused_in_words() -> None:
    with pytest.raises(ProviderError, match="not 'file'") as raised:
        asked(COHERE, ChatRequest((Message("user", (Opaque({"type": "file"}),)),)))
    assert raised.value.kind is ErrorKind.INVALID_REQUEST
