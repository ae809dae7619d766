"""Requests as they are sent to Gemini."""

from __future__ import annotations

from typing import Any

import pytest

from adapters import ADAPTERS, gemini
from adapters.types import ChatRequest, Quirks, ResponseFormat, ToolChoice
from tests.adapters.asking import AS_JSON, CONVERSATION, HELLO, SCHEMA, WEATHER, asked, dropping, said, target

GEMINI = ADAPTERS["gemini"]


def test_a_whole_conversation() -> None:
    assert asked(GEMINI, CONVERSATION) == {
        "systemInstruction": {"parts": [{"text": "Be brief.\n\nUse tools."}]},
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "What is this?"},
                    {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
                    {"fileData": {"fileUri": "https://example.com/a.png"}},
                ],
            },
            {
                "role": "model",
                "parts": [
                    {"text": "I will look."},
                    {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}, "thoughtSignature": "c2ln"},
                    {"functionCall": {"name": "weather", "args": {"city": "Rome"}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "weather", "response": {"degrees": 3}}},
                    {"functionResponse": {"name": "weather", "response": {"result": "sunny"}}},
                    {"text": "And now?"},
                ],
            },
        ],
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "weather", "description": "Tells the weather.", "parametersJsonSchema": SCHEMA}
                ]
            }
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}},
        "generationConfig": {
            "maxOutputTokens": 900,
            "temperature": 1.7,
            "topP": 0.5,
            "stopSequences": ["a", "b", "c", "d", "e"],
            "seed": 7,
            "presencePenalty": 0.5,
            "thinkingConfig": {"thinkingLevel": "LOW"},
        },
    }
    assert gemini.dropped_params(target("gemini", ""), CONVERSATION) == {
        "logit_bias",
        "user",
        "parallel_tool_calls",
        "stop",
        "image_url.detail",
    }


@pytest.mark.parametrize(("stream", "end"), [(False, ":generateContent"), (True, ":streamGenerateContent?alt=sse")])
def test_where_it_goes_and_with_which_key(stream: bool, end: str) -> None:
    request = GEMINI.build_request(target("gemini", GEMINI.BASE_URL), HELLO, stream=stream)
    assert request.url == "https://generativelanguage.googleapis.com/v1beta/models/some%2Fmodel" + end
    assert request.headers["x-goog-api-key"] == "sk-secret"
    assert "sk-secret" not in request.url


def test_a_plain_question_is_a_plain_body() -> None:
    assert asked(GEMINI, HELLO) == {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}


def test_calls_of_another_model_carry_the_signature_that_stands_for_none() -> None:
    calls = tuple(type(call)(call.id, call.name, call.arguments) for call in CONVERSATION.messages[3].tool_calls)
    parts = asked(GEMINI, ChatRequest((said("assistant", tool_calls=calls),)))["contents"][0]["parts"]
    assert parts[0]["thoughtSignature"] == gemini.FOREIGN_SIGNATURE
    assert "thoughtSignature" not in parts[1]


@pytest.mark.parametrize("arguments", ["", "[1]", "not json"])
def test_arguments_are_always_an_object(arguments: str) -> None:
    call = type(CONVERSATION.messages[3].tool_calls[0])("1", "f", arguments)
    part = asked(GEMINI, ChatRequest((said("assistant", tool_calls=(call,)),)))["contents"][0]["parts"][0]
    wanted = {"": {}, "[1]": {"input": [1]}, "not json": {"input": "not json"}}
    assert part["functionCall"]["args"] == wanted[arguments]


@pytest.mark.parametrize(
    ("form", "config"),
    [
        (ResponseFormat("json_object"), {"responseMimeType": "application/json"}),
        (AS_JSON.response_format, {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}),
        (ResponseFormat("text"), None),
    ],
)
def test_response_formats(form: ResponseFormat, config: Any) -> None:
    assert asked(GEMINI, ChatRequest(HELLO.messages, response_format=form)).get("generationConfig") == config


@pytest.mark.parametrize(("mode", "wire"), [("auto", "AUTO"), ("none", "NONE"), ("required", "ANY")])
def test_tool_choices(mode: Any, wire: str) -> None:
    request = ChatRequest(HELLO.messages, tools=(WEATHER,), tool_choice=ToolChoice(mode))
    assert asked(GEMINI, request)["toolConfig"] == {"functionCallingConfig": {"mode": wire}}


@pytest.mark.parametrize(
    ("effort", "config"),
    [
        ("none", {"thinkingBudget": 0}),
        ("minimal", {"thinkingLevel": "MINIMAL"}),
        ("medium", {"thinkingLevel": "MEDIUM"}),
        ("xhigh", {"thinkingLevel": "HIGH"}),
    ],
)
def test_efforts(effort: str, config: Any) -> None:
    body = asked(GEMINI, ChatRequest(HELLO.messages, params={"reasoning_effort": effort}))
    assert body["generationConfig"]["thinkingConfig"] == config


def test_quirks_reach_inside() -> None:
    quirks = Quirks(drop=frozenset({"seed"}), set={"generationConfig": {"thinkingConfig": {"includeThoughts": True}}})
    config = asked(GEMINI, CONVERSATION, quirks=quirks)["generationConfig"]
    assert config["thinkingConfig"] == {"thinkingLevel": "LOW", "includeThoughts": True}
    assert "seed" not in config
    assert asked(GEMINI, CONVERSATION, quirks=dropping("temperature"))["generationConfig"]["seed"] == 7
