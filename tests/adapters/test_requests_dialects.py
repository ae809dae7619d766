"""Requests in the dialects of OpenAI's format, each with its own names and inside its own ranges."""

from __future__ import annotations

from typing import Any

import pytest

from adapters import ADAPTERS, cerebras, cloudflare
from adapters.types import ChatRequest, Message, Quirks, Text, Tool, ToolCall
from tests.adapters.asking import AS_JSON, CONVERSATION, HELLO, SCHEMA, asked, said, target

EVERYTHING = {
    "max_tokens": 900,
    "temperature": 1.9,
    "top_p": 0.5,
    "stop": ["a"],
    "seed": 7,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.25,
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "user": "u-1",
    "store": False,
    "metadata": {"a": "b"},
    "service_tier": "auto",
    "parallel_tool_calls": False,
    "reasoning_effort": "minimal",
}
SAME = {name: EVERYTHING[name] for name in ("temperature", "top_p", "seed", "parallel_tool_calls", "user")}
PENALTIES = {name: EVERYTHING[name] for name in ("presence_penalty", "frequency_penalty")}
CHOSEN = {name: EVERYTHING[name] for name in ("logit_bias", "logprobs")}
STOP = {"stop": ["a"]}
THINKING = {"enable_thinking": True, "thinking": True}

SENT: list[tuple[str, str, dict[str, Any]]] = [
    ("xai", "grok-4.3", {**SAME, **CHOSEN, "max_tokens": 900, "reasoning_effort": "low"}),
    ("xai", "grok-4.20-non-reasoning", {**SAME, **CHOSEN, **PENALTIES, **STOP, "max_tokens": 900}),
    ("xai", "grok-4-0709", {**SAME, **CHOSEN, "max_tokens": 900}),
    (
        "mistral",
        "mistral-small-latest",
        {
            **PENALTIES,
            **STOP,
            "max_tokens": 900,
            "temperature": 1.5,
            "top_p": 0.5,
            "random_seed": 7,
            "parallel_tool_calls": False,
            "reasoning_effort": "none",
        },
    ),
    (
        "cerebras",
        "gpt-oss-120b",
        {**SAME, **CHOSEN, **STOP, "temperature": 1.5, "max_completion_tokens": 900, "reasoning_effort": "low"},
    ),
    (
        "cloudflare",
        "@cf/openai/gpt-oss-120b",
        {**SAME, **CHOSEN, **PENALTIES, **STOP, "max_tokens": 900, "reasoning_effort": "minimal"},
    ),
    (
        "huggingface",
        "openai/gpt-oss-20b:cheapest",
        {**SAME, **CHOSEN, **PENALTIES, **STOP, "max_tokens": 900, "reasoning_effort": "minimal"},
    ),
    (
        "huggingface",
        "openai/gpt-oss-20b:cerebras",
        {**SAME, **CHOSEN, **STOP, "temperature": 1.5, "max_tokens": 900, "reasoning_effort": "low"},
    ),
    (
        "huggingface",
        "openai/gpt-oss-20b:groq",
        {**SAME, **PENALTIES, **STOP, "max_tokens": 900, "reasoning_effort": "minimal"},
    ),
    (
        "nvidia",
        "nvidia/nemotron-3-super-120b-a12b",
        {
            **{name: value for name, value in SAME.items() if name != "parallel_tool_calls"},
            **CHOSEN,
            **PENALTIES,
            **STOP,
            "max_tokens": 900,
            "chat_template_kwargs": THINKING,
        },
    ),
    (
        "groq",
        "openai/gpt-oss-20b",
        {**SAME, **PENALTIES, **STOP, "max_completion_tokens": 900, "reasoning_effort": "minimal"},
    ),
    (
        "openrouter",
        "tencent/hy3:free",
        {
            **{name: value for name, value in EVERYTHING.items() if name != "reasoning_effort"},
            "reasoning": {"effort": "minimal"},
        },
    ),
]


@pytest.mark.parametrize(("adapter", "model", "wire"), SENT, ids=[f"{name} {model}" for name, model, _ in SENT])
def test_parameters(adapter: str, model: str, wire: dict[str, Any]) -> None:
    request = ChatRequest(HELLO.messages, params=EVERYTHING)
    body = asked(ADAPTERS[adapter], request, model=model)
    assert {name: body[name] for name in body if name not in ("model", "messages", "stream")} == wire


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_what_is_dropped_is_what_is_not_sent(adapter: str) -> None:
    """A parameter is named as dropped exactly if the body is the same without it."""
    for name, value in EVERYTHING.items():
        request = ChatRequest(CONVERSATION.messages, tools=CONVERSATION.tools, params={name: value})
        without = ChatRequest(CONVERSATION.messages, tools=CONVERSATION.tools)
        dropped = ADAPTERS[adapter].dropped_params(target(adapter, ""), request) & EVERYTHING.keys()
        assert dropped == ({name} if asked(ADAPTERS[adapter], request) == asked(ADAPTERS[adapter], without) else set())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_what_the_registry_drops_is_dropped_and_nothing_is_lost_with_a_null(adapter: str) -> None:
    request = ChatRequest(HELLO.messages, params={"temperature": 1, "seed": None})
    asking = target(adapter, "", quirks=Quirks(drop=frozenset({"temperature"})))
    assert ADAPTERS[adapter].dropped_params(asking, request) == {"temperature"}
    assert "temperature" not in asked(ADAPTERS[adapter], request, quirks=asking.quirks)


@pytest.mark.parametrize(
    ("model", "effort", "wire"),
    [
        ("grok-4.3", "none", "none"),
        ("grok-4.7", "none", "low"),
        ("grok-4.7", "xhigh", "high"),
        ("grok-3-mini", "medium", "high"),
        ("grok-3-mini-latest", "minimal", "low"),
        ("grok-3", "high", None),
        ("grok-code-fast-1", "high", None),
    ],
)
def test_efforts_of_grok(model: str, effort: str, wire: str | None) -> None:
    request = ChatRequest(HELLO.messages, params={"reasoning_effort": effort})
    assert asked(ADAPTERS["xai"], request, model=model).get("reasoning_effort") == wire


@pytest.mark.parametrize(("effort", "on"), [("none", False), ("minimal", True), ("high", True)])
def test_nvidia_s_models_are_told_whether_to_think(effort: str, on: bool) -> None:
    request = ChatRequest(HELLO.messages, params={"reasoning_effort": effort})
    body = asked(ADAPTERS["nvidia"], request, model="qwen/qwen3-next")
    assert body["chat_template_kwargs"] == {"enable_thinking": on, "thinking": on}
    assert "chat_template_kwargs" not in asked(ADAPTERS["nvidia"], request, model="mistralai/mistral-large-4")


@pytest.mark.parametrize(
    ("adapter", "name", "default"),
    [
        ("cloudflare", "max_tokens", cloudflare.DEFAULT_MAX_TOKENS),
        ("cerebras", "max_completion_tokens", cerebras.DEFAULT_MAX_TOKENS),
    ],
)
def test_a_length_is_always_sent_where_it_must_be(adapter: str, name: str, default: int) -> None:
    assert asked(ADAPTERS[adapter], HELLO)[name] == default
    assert asked(ADAPTERS[adapter], HELLO, max_output_tokens=100)[name] == 100
    for value, wire in ((5, 5), (None, default)):
        assert asked(ADAPTERS[adapter], ChatRequest(HELLO.messages, params={"max_tokens": value}))[name] == wire


def test_cloudflare_is_not_asked_to_stream_json() -> None:
    plain = asked(ADAPTERS["cloudflare"], HELLO, stream=True)
    assert (plain["stream"], plain["stream_options"]) == (True, {"include_usage": True})
    body = asked(ADAPTERS["cloudflare"], AS_JSON, stream=True)
    assert body["stream"] is False
    assert "stream_options" not in body


def test_mistral_is_told_nothing_it_would_refuse() -> None:
    body = asked(ADAPTERS["mistral"], CONVERSATION, stream=True)
    assert body.keys() <= {
        "model", "messages", "tools", "tool_choice", "max_tokens", "temperature", "top_p", "stop", "random_seed",
        "presence_penalty", "frequency_penalty", "parallel_tool_calls", "reasoning_effort", "stream",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("messages", "roles", "last"),
    [
        ((said("user", "Hi", name="ann"),), ["user"], {"role": "user", "content": "Hi"}),
        (
            (said("user", "Hi"), said("assistant", "Hel")),
            ["user", "assistant"],
            {"role": "assistant", "content": "Hel", "prefix": True},
        ),
        ((said("system", "Greet."),), ["user"], {"role": "user", "content": "Greet."}),
        (
            (said("tool", "3", tool_call_id="a"), said("tool", "4", tool_call_id="b"), said("user", "So?")),
            ["tool", "tool", "assistant", "user"],
            {"role": "user", "content": "So?"},
        ),
        ((), [], None),
    ],
)
def test_mistral_s_order_of_messages(messages: tuple[Message, ...], roles: list[str], last: Any) -> None:
    wire = asked(ADAPTERS["mistral"], ChatRequest(messages))["messages"]
    assert [message["role"] for message in wire] == roles
    assert (wire[-1] if wire else None) == last


@pytest.mark.parametrize(
    ("adapter", "foreign", "kept"),
    [
        ("mistral", "6IgxW8LfZ", True),
        ("mistral", "call_1", False),
        ("mistral", "", False),
        ("openai", "x" * 40, True),
        ("openai", "x" * 41, False),
        ("compatible", "call:1", True),
    ],
)
def test_ids_of_calls_are_the_same_in_the_call_and_its_result(adapter: str, foreign: str, kept: bool) -> None:
    calling = Message("assistant", (Text("hm"),), (ToolCall(foreign, "f", "{}"),))
    request = ChatRequest((said("user", "Hi"), calling, said("tool", "3", tool_call_id=foreign)))
    _, call, result = asked(ADAPTERS[adapter], request)["messages"][:3]
    assert call["tool_calls"][0]["id"] == result["tool_call_id"]
    assert (result["tool_call_id"] == foreign) is kept
    assert len(result["tool_call_id"]) <= 40


def test_openrouter_s_reasoning_is_merged_with_what_the_registry_sets() -> None:
    request = ChatRequest(HELLO.messages, params={"reasoning_effort": "high"})
    quirks = Quirks(set={"reasoning": {"exclude": True}, "provider": {"data_collection": "deny"}})
    body = asked(ADAPTERS["openrouter"], request, quirks=quirks)
    assert body["reasoning"] == {"effort": "high", "exclude": True}
    assert body["provider"] == {"data_collection": "deny"}


@pytest.mark.parametrize(("adapter", "model"), [("cerebras", "gpt-oss-120b"), ("huggingface", "gpt-oss:cerebras")])
def test_cerebras_gets_strict_schemas_closed_and_others_as_they_are(adapter: str, model: str) -> None:
    form = asked(ADAPTERS[adapter], AS_JSON, model=model)["response_format"]["json_schema"]
    assert form["schema"]["additionalProperties"] is False
    tools = (Tool("f", parameters=SCHEMA, strict=True), Tool("g", parameters=SCHEMA))
    strict, loose = asked(ADAPTERS[adapter], ChatRequest(HELLO.messages, tools=tools), model=model)["tools"]
    assert strict["function"]["parameters"] == form["schema"]
    assert loose["function"]["parameters"] == SCHEMA
    for other in ("groq", "huggingface"):
        assert asked(ADAPTERS[other], AS_JSON)["response_format"]["json_schema"]["schema"] == SCHEMA
