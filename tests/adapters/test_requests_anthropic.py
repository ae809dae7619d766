"""Requests as they are sent to Anthropic."""

from __future__ import annotations

from typing import Any

import pytest

from adapters import ADAPTERS, ErrorKind, ProviderError, anthropic
from adapters.codec.request_body import closed_schema
from adapters.types import ChatRequest, Image, Message, Opaque, ResponseFormat, Text, Tool, ToolChoice
from tests.adapters.asking import AS_JSON, CONVERSATION, HELLO, SCHEMA, WEATHER, asked, dropping, said, target

ANTHROPIC = ADAPTERS["anthropic"]
NO_OTHERS = {"type": "object", "additionalProperties": False}
CLOSED = {**NO_OTHERS, "properties": {"city": {"type": "string"}, "at": {**NO_OTHERS, "properties": {}}}}


def test_a_whole_conversation() -> None:
    assert asked(ANTHROPIC, CONVERSATION, stream=True) == {
        "model": "some/model",
        "max_tokens": 900,
        "system": "Be brief.\n\nUse tools.",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
                    },
                    {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "I will look."},
                    {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Oslo"}},
                    {"type": "tool_use", "id": "call_2", "name": "weather", "input": {"city": "Rome"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "call_1",
                        "content": [{"type": "text", "text": '{"degrees": 3}'}],
                    },
                    {
                        "type": "tool_result",
                        "tool_use_id": "call_2",
                        "content": [{"type": "text", "text": "sunny"}],
                    },
                    {"type": "text", "text": "And now?"},
                ],
            },
        ],
        "tools": [{"name": "weather", "description": "Tells the weather.", "input_schema": SCHEMA}],
        "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
        "temperature": 1,
        "top_p": 0.5,
        "stop_sequences": ["a", "b", "c", "d", "e", "f"],
        "metadata": {"user_id": "u-1"},
        "output_config": {"effort": "low"},
        "stream": True,
    }
    assert anthropic.dropped_params(target("anthropic", ""), CONVERSATION) == {
        "seed",
        "presence_penalty",
        "logit_bias",
        "image_url.detail",
    }


def test_where_it_goes_and_with_which_key() -> None:
    request = ANTHROPIC.build_request(target("anthropic", ANTHROPIC.BASE_URL), HELLO, stream=False)
    assert request.url == "https://api.anthropic.com/v1/messages"
    assert request.headers["x-api-key"] == "sk-secret"
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in request.headers


def test_max_tokens_is_always_given() -> None:
    assert asked(ANTHROPIC, HELLO)["max_tokens"] == anthropic.DEFAULT_MAX_TOKENS
    assert asked(ANTHROPIC, HELLO, max_output_tokens=64000)["max_tokens"] == 64000
    assert asked(ANTHROPIC, CONVERSATION, max_output_tokens=100)["max_tokens"] == 100


def test_a_model_that_refuses_sampling_is_spared_it() -> None:
    body = asked(ANTHROPIC, CONVERSATION, quirks=dropping("temperature", "top_p"))
    assert not {"temperature", "top_p"} & set(body)


def test_a_schema_is_closed_at_every_object() -> None:
    body = asked(ANTHROPIC, AS_JSON)
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": CLOSED}}


def test_a_schema_and_an_effort_share_their_place() -> None:
    request = ChatRequest(HELLO.messages, response_format=AS_JSON.response_format, params={"reasoning_effort": "high"})
    assert set(asked(ANTHROPIC, request)["output_config"]) == {"effort", "format"}


def test_data_in_a_schema_is_left_alone() -> None:
    schema = {"type": "object", "default": {"type": "object"}, "enum": [{"type": "object"}]}
    assert closed_schema(schema) == {**schema, "additionalProperties": False}


@pytest.mark.parametrize(
    ("choice", "params", "wire"),
    [
        (None, {}, None),
        (None, {"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("auto"), {}, {"type": "auto"}),
        (ToolChoice("required"), {"parallel_tool_calls": True}, {"type": "any"}),
        (ToolChoice("none"), {"parallel_tool_calls": False}, {"type": "none"}),
        (ToolChoice("tool", "weather"), {}, {"type": "tool", "name": "weather"}),
    ],
)
def test_tool_choices(choice: ToolChoice | None, params: dict[str, Any], wire: Any) -> None:
    request = ChatRequest(HELLO.messages, tools=(WEATHER,), tool_choice=choice, params=params)
    assert asked(ANTHROPIC, request).get("tool_choice") == wire


def test_a_tool_without_parameters_takes_an_empty_object() -> None:
    tools = asked(ANTHROPIC, ChatRequest(HELLO.messages, tools=(Tool("now"),)))["tools"]
    assert tools == [{"name": "now", "input_schema": {"type": "object", "properties": {}}}]


def test_neighbours_of_one_role_become_one_turn_and_empty_text_is_left_out() -> None:
    request = ChatRequest((said("user", "a"), said("user", "", "b"), said("assistant", ""), said("user", "c")))
    turns = asked(ANTHROPIC, request)["messages"]
    assert [(turn["role"], [block["text"] for block in turn["content"]]) for turn in turns] == [
        ("user", ["a", "b"]),
        ("user", ["c"]),
    ]


@pytest.mark.parametrize(
    "part", [Opaque({"type": "file", "file": {}}), Opaque({}), Image("data:image/png,raw"), Image("data:;base64,AA==")]
)
def test_parts_it_cannot_carry_are_refused_in_words(part: Any) -> None:
    for name in ("anthropic", "gemini"):
        with pytest.raises(ProviderError) as raised:
            asked(ADAPTERS[name], ChatRequest((Message("user", (part,)),)))
        assert raised.value.kind is ErrorKind.INVALID_REQUEST
        assert "must be" in raised.value.message or "takes" in raised.value.message


def test_json_without_a_schema_is_asked_for_in_words() -> None:
    messages = (Message("system", (Text("Be brief."),)), Message("user", (Text("Ada?"),)))
    body = asked(ANTHROPIC, ChatRequest(messages, response_format=ResponseFormat("json_object")))
    assert body["system"] == "Be brief.\n\nAnswer with nothing but one JSON object."
    assert "output_config" not in body
