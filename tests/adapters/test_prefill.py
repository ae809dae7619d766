"""A conversation with tool calls, begun with any provider, goes on with any other: every wire's rules hold for it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise

import pytest

from adapters import ADAPTERS
from adapters.types import ChatRequest, Message, Text, Tool, ToolCall
from tests.adapters.asking import asked, said
from tests.adapters.oracle import Json

IDS: dict[str, tuple[str | None, str | None]] = {
    "cerebras": ("0f6a5c3b2", "1f6a5c3b2"),
    "cloudflare": (None, None),
    "compatible": ("functions.weather:0", "functions.weather:1"),
    "groq": ("9txq", "9txr"),
    "huggingface": ("", ""),
    "mistral": ("6IgxW8LfZ", "3EpsLcLQ3"),
    "nvidia": ("chatcmpl-tool-" + "a" * 32, "chatcmpl-tool-" + "b" * 32),
    "openrouter": ("toolu_bdrk_01L9pX1Wp4FAEq9TT2Z6UAe7", "tool_1_weather"),
    "xai": ("call_91559871", "call_91559872"),
}
PLAIN_IDS = ("call_62136354", "call_62136355")
NAMES = ("weather", "get-time")
ARGUMENTS = ({"city": "Oslo"}, {"at": [1, 2]})
SIGNATURE = "c2lnbmF0dXJl"


def openai_answer(maker: str) -> Json:
    calls = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for call_id, name, arguments in zip(IDS.get(maker, PLAIN_IDS), NAMES, ARGUMENTS, strict=True)
    ]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    return {"id": "r", "choices": [{"message": message, "finish_reason": "tool_calls"}]}


def anthropic_answer() -> Json:
    blocks = [
        {"type": "tool_use", "id": f"toolu_{name}", "name": name, "input": arguments}
        for name, arguments in zip(NAMES, ARGUMENTS, strict=True)
    ]
    return {"type": "message", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, *blocks]}


def gemini_answer() -> Json:
    first, second = ({"name": name, "args": args} for name, args in zip(NAMES, ARGUMENTS, strict=True))
    parts = [{"functionCall": first, "thoughtSignature": SIGNATURE}, {"functionCall": second}]
    return {"responseId": "r", "candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}


def cohere_answer() -> Json:
    calls = [
        {"id": f"{name}_x", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for name, arguments in zip(("weather", "get_x2d_time"), ARGUMENTS, strict=True)
    ]
    return {"id": "r", "message": {"tool_plan": "I will look.", "tool_calls": calls}, "finish_reason": "TOOL_CALL"}


NATIVE: dict[str, Callable[[], Json]] = {
    "anthropic": anthropic_answer,
    "cohere": cohere_answer,
    "gemini": gemini_answer,
}


def calls_made_by(maker: str) -> tuple[ToolCall, ...]:
    answer = NATIVE[maker]() if maker in NATIVE else openai_answer(maker)
    return ADAPTERS[maker].parse_response(200, {}, json.dumps(answer).encode()).tool_calls


def conversation(calls: tuple[ToolCall, ...]) -> ChatRequest:
    results = [said("tool", f"result {number}", tool_call_id=call.id) for number, call in enumerate(calls)]
    return ChatRequest(
        messages=(
            said("system", "Be brief."),
            said("user", "Where and when?", name="ann"),
            Message("assistant", (Text("I will look."),), tool_calls=calls),
            *results,
            said("user", "And now?"),
        ),
        tools=tuple(Tool(name, parameters={"type": "object", "properties": {}}) for name in NAMES),
    )


# --- what each wire demands ------------------------------------------------------------------------------------------


def openai_rules(body: Json, *, ids: str = r".{1,40}", names: str = r"[\w-]{1,64}") -> None:
    waiting: list[str] = []
    for message in body["messages"]:
        assert message.keys() <= {"role", "content", "tool_calls", "tool_call_id", "name", "tool_plan", "prefix"}
        if message["role"] == "tool":
            waiting.remove(message["tool_call_id"])
            continue
        assert not waiting, "every call is answered before anybody else speaks"
        for call in message.get("tool_calls", []):
            assert re.fullmatch(ids, call["id"])
            assert re.fullmatch(names, call["function"]["name"])
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
            waiting.append(call["id"])
    assert len(body["messages"][2]["tool_calls"]) == 2
    assert all(re.fullmatch(names, tool["function"]["name"]) for tool in body["tools"])


def mistral_rules(body: Json) -> None:
    openai_rules(body, ids=r"[A-Za-z0-9]{9}")
    roles = [message["role"] for message in body["messages"]]
    assert ("tool", "user") not in set(pairwise(roles))
    assert roles[-1] == "user"
    assert not any("name" in message for message in body["messages"])


def cohere_rules(body: Json) -> None:
    openai_rules(body, ids=r".+", names=r"[A-Za-z_][A-Za-z0-9_]*")
    assert body["messages"][2]["tool_plan"] == "I will look."


def cloudflare_rules(body: Json) -> None:
    openai_rules(body)
    assert all(isinstance(message["content"], str) for message in body["messages"])


def anthropic_rules(body: Json) -> None:
    user, assistant, results = body["messages"]
    assert [user["role"], assistant["role"], results["role"]] == ["user", "assistant", "user"]
    used = [block for block in assistant["content"] if block["type"] == "tool_use"]
    assert all(re.fullmatch(r"[\w-]+", block["id"]) and isinstance(block["input"], dict) for block in used)
    answered = [block["tool_use_id"] for block in results["content"] if block["type"] == "tool_result"]
    assert [block["id"] for block in used] == answered
    assert len(set(answered)) == 2


def gemini_rules(body: Json) -> None:
    user, model, results = body["contents"]
    assert [user["role"], model["role"], results["role"]] == ["user", "model", "user"]
    called = [part for part in model["parts"] if "functionCall" in part]
    assert called[0]["thoughtSignature"] in (SIGNATURE, "skip_thought_signature_validator")
    assert [part["functionCall"]["name"] for part in called] == list(NAMES)
    assert [part["functionCall"]["args"] for part in called] == list(ARGUMENTS)
    answered = [part["functionResponse"] for part in results["parts"] if "functionResponse" in part]
    assert [(answer["name"], answer["response"]) for answer in answered] == [
        (name, {"result": f"result {number}"}) for number, name in enumerate(NAMES)
    ]


RULES: dict[str, Callable[[Json], None]] = {
    **dict.fromkeys(ADAPTERS, openai_rules),
    "anthropic": anthropic_rules,
    "cloudflare": cloudflare_rules,
    "cohere": cohere_rules,
    "gemini": gemini_rules,
    "mistral": mistral_rules,
}


@pytest.mark.parametrize("maker", ADAPTERS)
def test_what_is_heard_of_the_calls_is_the_same_everywhere(maker: str) -> None:
    calls = calls_made_by(maker)
    assert [(call.name, json.loads(call.arguments)) for call in calls] == list(zip(NAMES, ARGUMENTS, strict=True))
    assert len({call.id for call in calls} - {""}) == 2


@pytest.mark.parametrize("maker", ADAPTERS)
@pytest.mark.parametrize("other", ADAPTERS)
def test_any_provider_continues_what_any_other_began(maker: str, other: str) -> None:
    request = conversation(calls_made_by(maker))
    body = asked(ADAPTERS[other], request)
    RULES[other](body)
    assert body == asked(ADAPTERS[other], request), "the same question is asked the same way twice"


@pytest.mark.parametrize("maker", sorted(set(ADAPTERS) - {"gemini"}))
def test_a_signature_goes_to_nobody_but_gemini(maker: str) -> None:
    body = asked(ADAPTERS[maker], conversation(calls_made_by("gemini")))
    assert SIGNATURE not in json.dumps(body)
