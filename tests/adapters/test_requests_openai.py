"""Requests in OpenAI's format: to OpenAI itself, in a dialect, and with quirks from the registry."""

from __future__ import annotations

from typing import Any

import pytest

from adapters import ADAPTERS, ErrorKind, ProviderError, groq
from adapters.types import ChatRequest, Message, Opaque, Quirks, ResponseFormat, Text, Tool, ToolChoice
from tests.adapters.asking import AS_JSON, CONVERSATION, HELLO, PIXEL, SCHEMA, asked, dropping, said, target

OPENAI, GROQ_MODULE, COMPATIBLE = ADAPTERS["openai"], ADAPTERS["groq"], ADAPTERS["compatible"]
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "developer", "content": "Use tools."},
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
        "content": "I will look.",
        "tool_calls": [
            {"id": "call:1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}},
            {"id": "call:2", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}},
        ],
    },
    {"role": "tool", "content": '{"degrees": 3}', "tool_call_id": "call:1"},
    {"role": "tool", "content": "sunny", "tool_call_id": "call:2"},
    {"role": "user", "content": "And now?"},
]


def test_openai_gets_everything_under_its_own_names() -> None:
    assert asked(OPENAI, CONVERSATION, stream=True) == {
        "model": "some/model",
        "messages": MESSAGES,
        "tools": [
            {
                "type": "function",
                "function": {"name": "weather", "description": "Tells the weather.", "parameters": SCHEMA},
            }
        ],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "max_completion_tokens": 900,
        "temperature": 1.7,
        "top_p": 0.5,
        "stop": ["a", "b", "c", "d", "e", "f"],
        "seed": 7,
        "presence_penalty": 0.5,
        "logit_bias": {"50256": -100},
        "user": "u-1",
        "reasoning_effort": "low",
        "parallel_tool_calls": False,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_a_plain_question_is_a_plain_body() -> None:
    body = {"model": "some/model", "messages": [{"role": "user", "content": "Hello"}], "stream": False}
    assert asked(OPENAI, HELLO) == asked(GROQ_MODULE, HELLO) == asked(COMPATIBLE, HELLO) == body


@pytest.mark.parametrize(
    ("form", "wire"),
    [
        (ResponseFormat("text"), None),
        (ResponseFormat("json_object"), {"type": "json_object"}),
        (
            ResponseFormat("json_schema", "place", SCHEMA, strict=True, description="A place."),
            {
                "type": "json_schema",
                "json_schema": {"name": "place", "schema": SCHEMA, "strict": True, "description": "A place."},
            },
        ),
    ],
)
def test_response_formats(form: ResponseFormat, wire: Any) -> None:
    assert asked(OPENAI, ChatRequest(HELLO.messages, response_format=form)).get("response_format") == wire


def test_where_it_goes_and_with_which_key() -> None:
    request = OPENAI.build_request(target("openai", "https://api.openai.com/v1"), HELLO, stream=True)
    assert (request.method, request.url) == ("POST", "https://api.openai.com/v1/chat/completions")
    assert request.headers["authorization"] == "Bearer sk-secret"
    assert request.headers["accept"] == "text/event-stream"
    assert "sk-secret" not in repr(request)


def test_a_model_s_own_cap_bounds_what_is_asked() -> None:
    assert asked(OPENAI, CONVERSATION, max_output_tokens=500)["max_completion_tokens"] == 500


def test_how_many_choices_and_streaming_are_not_the_caller_s_to_say() -> None:
    request = ChatRequest(HELLO.messages, params={"n": 4, "stream": True, "stream_options": {}, "top_logprobs": None})
    assert set(asked(OPENAI, request)) == {"model", "messages", "stream"}
    assert asked(OPENAI, request)["stream"] is False


def test_groq_refuses_some_parameters_and_knows_no_developer() -> None:
    body = asked(GROQ_MODULE, CONVERSATION)
    assert "logit_bias" not in body
    assert [message["role"] for message in body["messages"][:2]] == ["system", "system"]
    assert groq.dropped_params(target("groq", ""), CONVERSATION) == {"logit_bias"}


def test_quirks_rename_drop_set_and_move() -> None:
    quirks = Quirks(
        rename={"max_tokens": "num_predict"},
        drop=frozenset({"stream_options", "seed", "tool_choice"}),
        set={"temperature": 1, "extra": {"deep": True}},
        path="/v2/talk",
        auth_header="Api-Key",
    )
    asking = target("compatible", "http://localhost:11434", quirks=quirks)
    request = COMPATIBLE.build_request(asking, CONVERSATION, stream=True)
    body = asked(COMPATIBLE, CONVERSATION, stream=True, quirks=quirks)
    assert request.url == "http://localhost:11434/v2/talk"
    assert request.headers["api-key"] == "sk-secret"
    assert "authorization" not in request.headers
    assert (body["num_predict"], body["temperature"], body["extra"]) == (900, 1, {"deep": True})
    assert not {"stream_options", "seed", "tool_choice", "max_tokens"} & set(body)


def test_no_key_no_header() -> None:
    keyless = target("compatible", "http://localhost:1")
    request = COMPATIBLE.build_request(type(keyless)("p", "m", "compatible", "http://h"), HELLO, stream=False)
    assert set(request.headers) == {"content-type", "accept"}


def test_parts_that_only_this_format_knows_are_passed_on() -> None:
    audio = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
    request = ChatRequest((Message("user", (Text("Listen."), Opaque(audio))),))
    assert asked(OPENAI, request)["messages"][0]["content"][1] == audio


def test_a_turn_of_calls_alone_has_no_content() -> None:
    request = ChatRequest((said("assistant", tool_calls=CONVERSATION.messages[3].tool_calls),))
    assert asked(OPENAI, request)["messages"][0]["content"] is None


def test_a_tool_choice_without_tools_is_not_sent() -> None:
    assert "tool_choice" not in asked(OPENAI, ChatRequest(HELLO.messages, tool_choice=ToolChoice("auto")))


def test_the_request_is_not_changed_by_being_asked() -> None:
    before = repr(CONVERSATION)
    for name, adapter in ADAPTERS.items():
        asked(adapter, CONVERSATION, stream=True, quirks=dropping("seed"), max_output_tokens=5)
        assert repr(CONVERSATION) == before, name


@pytest.mark.parametrize("name", ADAPTERS)
def test_what_json_cannot_hold_is_the_caller_s_mistake(name: str) -> None:
    deep: dict[str, Any] = {}
    for _ in range(400):
        deep = {"type": "object", "properties": {"a": deep}}
    request = ChatRequest(HELLO.messages, tools=(Tool("t", parameters=deep),), response_format=AS_JSON.response_format)
    with pytest.raises(ProviderError) as raised:
        asked(ADAPTERS[name], request)
    assert raised.value.kind is ErrorKind.INVALID_REQUEST
