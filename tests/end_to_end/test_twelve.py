"""One conversation over twelve wire formats, streamed and whole: the same question gets the same answer on each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.daemon import Reply, Running
from tests.support.twelve import TWELVE, model_of

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
OPENING: list[dict[str, Any]] = [
    {"role": "system", "content": "You are brief."},
    {"role": "user", "content": "What is 17+25?"},
    {"role": "assistant", "content": "42"},
]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius"]}},
    "required": ["city", "unit"],
    "additionalProperties": False,
}
SCENES: dict[str, dict[str, Any]] = {
    "second turn": {"messages": [*OPENING, {"role": "user", "content": "And what is 6*7?"}], "max_tokens": 400},
    "tool call": {
        "messages": [*OPENING, {"role": "user", "content": "What is the weather in Paris?"}],
        "tools": [TOOL],
        "tool_choice": "required",
    },
    "tool result": {
        "messages": [
            *OPENING,
            {"role": "user", "content": "What is the weather in Paris?"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "18 degrees and sunny"},
        ],
        "tools": [TOOL],
    },
    "image": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Reply with exactly: seen"},
                    {"type": "image_url", "image_url": {"url": PIXEL}},
                ],
            }
        ]
    },
    "json schema": {
        "messages": [{"role": "user", "content": "Describe the weather in Paris as JSON."}],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "weather", "strict": True, "schema": SCHEMA},
        },
    },
}


def canonical(reply: Reply, streamed: bool) -> Any:
    """What the caller was told, whatever form it came in."""
    if not streamed:
        choice = reply.json["choices"][0]
        calls = [call["function"] for call in choice["message"].get("tool_calls", [])]
        text, reason = choice["message"]["content"], choice["finish_reason"]
    else:
        assert reply.done
        calls, text = [], reply.text
        for chunk in reply.chunks:
            for choice in chunk["choices"]:
                reason = choice["finish_reason"]
                for piece in choice["delta"].get("tool_calls", []):
                    if "name" in piece["function"]:
                        calls.append({"name": piece["function"]["name"], "arguments": ""})
                    calls[piece["index"]]["arguments"] += piece["function"]["arguments"]
    told = [(call["name"], json.loads(call["arguments"])) for call in calls]
    return told or (json.loads(text) if text.startswith("{") else text), reason


@pytest.mark.parametrize("scene", SCENES)
async def test_the_same_conversation_has_the_same_answer_on_every_wire(twelve: Running, scene: str) -> None:
    answers = {}
    for name in TWELVE:
        model = model_of(name)
        for streamed in (False, True):
            reply = await twelve.post("/v1/chat/completions", {"model": model, "stream": streamed, **SCENES[scene]})
            assert reply.status == 200, (name, streamed, reply.body)
            answers[name, streamed] = canonical(reply, streamed)
    first = answers["openai", False]
    assert answers == dict.fromkeys(answers, first)
