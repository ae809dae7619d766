"""A tool loop with reasoning: it goes out sealed, comes back unread, and reaches only the provider it came from."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import openai
import orjson
import pytest

from adapters.types import ReasoningDetail
from router.http.errors import ApiError
from router.http.openai.reasoning_details import read_reasoning_details, sealed
from router.http.openai.request import parse_chat
from router.simulator import Simulator
from tests.support.daemon import Reply, Running, Start
from tests.support.twelve import base_path

THOUGHT = {"type": "thinking", "thinking": "The user wants the weather.", "signature": "sig=="}
OPENROUTER_S = {"type": "reasoning.text", "text": "hm", "signature": "s", "format": "anthropic-claude-v1", "index": 0}
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
QUESTION = {"role": "user", "content": "What is the weather in Paris? Use get_weather."}
THOUGHTS = "The user wrote"  # how every simulated thought begins
SIGNING = """version: 1
tiers: {cheap: {}}
providers:
  anthropic:
    adapter: anthropic
    base_url: %s
    api_key: ${KEY}
    quirks: {set: {thinking: {type: enabled, budget_tokens: 1024}}}
    models: {claude-haiku-4-5: {tier: cheap, supports: [tools]}}
  openrouter:
    adapter: openrouter
    base_url: %s
    api_key: ${KEY}
    models: {anthropic/claude-haiku-4.5: {tier: cheap, supports: [tools]}}
  mistral:
    adapter: mistral
    base_url: %s
    api_key: ${KEY}
    models: {mistral-small-latest: {tier: cheap, supports: [tools]}}
"""
SIGNERS = ("anthropic/claude-haiku-4-5", "openrouter/anthropic/claude-haiku-4.5")


# --- sealed and opened -----------------------------------------------------------------------------------------------


def test_what_goes_out_sealed_comes_back_as_it_was() -> None:
    details = (ReasoningDetail("anthropic", THOUGHT), ReasoningDetail("openrouter", OPENROUTER_S))
    wire = sealed(details)
    assert read_reasoning_details(json.loads(json.dumps(wire)), "x") == details
    assert [(one["type"], one["index"]) for one in wire] == [("reasoning.encrypted", 0), ("reasoning.encrypted", 1)]
    assert THOUGHT["thinking"] not in json.dumps(wire)


def test_details_of_a_conversation_with_openrouter_are_taken_as_they_are() -> None:
    assert read_reasoning_details([OPENROUTER_S], "x") == (ReasoningDetail("openrouter", OPENROUTER_S),)


def chat(details: Any, role: str = "assistant") -> bytes:
    return orjson.dumps({"messages": [{"role": role, "content": "x", "reasoning_details": details}]})


@pytest.mark.parametrize("details", [None, []])
def test_no_details_are_no_mistake(details: Any) -> None:
    assert parse_chat(chat(details)).request.messages[0].reasoning_details == ()


def test_only_an_assistant_has_thoughts() -> None:
    assert parse_chat(chat([OPENROUTER_S], "user")).request.messages[0].reasoning_details == ()


def damaged() -> Iterator[Any]:
    [good] = sealed([ReasoningDetail("anthropic", THOUGHT)])
    for data in (good["data"][:-3], good["data"] + "!", "quorum.anthropic.", "quorum.anthropic.W10=", "quorum."):
        yield [{**good, "data": data}]
    deep: Any = {}
    for _ in range(100):
        deep = {"deep": deep}
    yield [deep]
    yield [{**good, "data": f"quorum.anthropic.{base64.b64encode(orjson.dumps(deep)).decode()}"}]
    yield from ("text", [7], [None], [OPENROUTER_S] * 257)


@pytest.mark.parametrize("details", list(damaged()))
def test_what_was_changed_on_the_way_is_refused_by_name(details: Any) -> None:
    with pytest.raises(ApiError) as raised:
        parse_chat(chat(details))
    assert raised.value.status == 400
    assert (raised.value.param or "").startswith("messages[0].reasoning_details")


# --- the whole way ---------------------------------------------------------------------------------------------------


@pytest.fixture
async def signing(start_daemon: Start, sky: Simulator) -> Running:
    """A daemon before three providers, two of which refuse a tool loop that does not bring their thoughts back."""
    return await start_daemon(
        SIGNING % tuple(sky.url + base_path(name) for name in ("anthropic", "openrouter", "mistral"))
    )


async def ask(daemon: Running, model: str, *messages: Any, **more: Any) -> Reply:
    body = {"model": model, "messages": [QUESTION, *messages], "tools": [TOOL], "max_tokens": 2000, **more}
    if model.startswith("openrouter"):
        body["reasoning_effort"] = "high"
    return await daemon.post("/v1/chat/completions", body)


def message_of(reply: Reply, *, streamed: bool) -> dict[str, Any]:
    """The assistant's message, put together as a client does that knows nothing of the fields it keeps."""
    if not streamed:
        return dict(reply.json["choices"][0]["message"])
    assert reply.done
    message: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": []}
    for chunk in reply.chunks:
        for delta in (choice["delta"] for choice in chunk["choices"]):
            for call in delta.get("tool_calls", ()):
                if "id" in call:
                    message["tool_calls"].append({**call, "function": {**call["function"], "arguments": ""}})
                message["tool_calls"][call["index"]]["function"]["arguments"] += call["function"]["arguments"]
            message.setdefault("reasoning_details", []).extend(delta.get("reasoning_details", ()))
    return message


def result_of(message: dict[str, Any]) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "18 degrees"}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("model", SIGNERS)
async def test_a_tool_loop_with_thoughts_goes_on(signing: Running, model: str, streamed: bool) -> None:
    first = await ask(signing, model, stream=streamed)
    assert THOUGHTS not in first.body.decode()
    message = message_of(first, streamed=streamed)
    assert message["reasoning_details"]
    second = await ask(signing, model, message, result_of(message))
    assert second.json["choices"][0]["message"]["content"] == "According to the tool: 18 degrees"
    assert "reasoning_details" not in second.json["choices"][0]["message"], "nobody wants them back without a call"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("model", SIGNERS)
async def test_openai_s_sdk_carries_them_unasked(signing: Running, model: str, streamed: bool) -> None:
    messages: list[Any] = [QUESTION]
    asked: dict[str, Any] = {"model": model, "tools": [TOOL], "max_tokens": 2000}
    if model.startswith("openrouter"):
        asked["reasoning_effort"] = "high"
    async with openai.AsyncOpenAI(base_url=f"{signing.url}/v1", api_key="sk-test", max_retries=0) as client:
        chat = client.chat.completions
        if streamed:
            async with chat.stream(messages=messages, **asked) as stream:
                said = (await stream.get_final_completion()).choices[0].message
        else:
            said = (await chat.create(messages=messages, **asked)).choices[0].message
        message = said.model_dump(exclude_none=True)
        messages += [message, result_of(message)]
        second = await chat.create(messages=messages, **asked)
    assert second.choices[0].message.content == "According to the tool: 18 degrees"


@pytest.mark.parametrize("model", SIGNERS)
async def test_thoughts_are_shown_apart_when_asked_for(signing: Running, model: str) -> None:
    reply = await ask(signing, model, quorum={"include_reasoning": True})
    message = message_of(reply, streamed=False)
    assert message["reasoning_content"].startswith(THOUGHTS)
    assert message["reasoning_details"]


@pytest.mark.parametrize("model", SIGNERS)
async def test_without_them_the_provider_would_refuse(signing: Running, model: str) -> None:
    message = message_of(await ask(signing, model), streamed=False)
    del message["reasoning_details"]
    refused = await ask(signing, model, message, result_of(message))
    assert refused.status == 400
    assert "must start with a thinking block" in refused.error["message"]


@pytest.mark.parametrize("model", SIGNERS)
async def test_elsewhere_the_loop_goes_on_without_them(signing: Running, model: str) -> None:
    message = message_of(await ask(signing, model), streamed=False)
    reply = await ask(signing, "mistral/mistral-small-latest", message, result_of(message))
    assert reply.json["choices"][0]["message"]["content"] == "According to the tool: 18 degrees"
    assert "dropped" not in reply.json["quorum"]
