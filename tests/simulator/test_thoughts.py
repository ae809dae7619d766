"""Where each of the seven dialects of OpenAI's format puts reasoning, and which provider demands it back."""

from __future__ import annotations

import pytest

from tests.simulator.conftest import Client
from tests.simulator.speakers import (
    ANTHROPIC,
    CEREBRAS,
    CLOUDFLARE,
    HUGGINGFACE,
    MISTRAL,
    NVIDIA,
    OPENROUTER,
    XAI,
    Body,
    Speaker,
    documents,
    events,
)

THINKERS = [
    (XAI, {"model": "grok-4.3"}),
    (MISTRAL, {"reasoning_effort": "high"}),
    (MISTRAL, {"model": "magistral-medium-latest"}),
    (CEREBRAS, {"model": "gpt-oss-120b"}),
    (OPENROUTER, {"reasoning": {"effort": "high"}}),
    (OPENROUTER, {"model": "openai/gpt-oss-20b:free"}),
    (CLOUDFLARE, {"model": "@cf/openai/gpt-oss-120b"}),
    (NVIDIA, {"model": "nvidia/nemotron-3-super-120b-a12b"}),
    (HUGGINGFACE, {"model": "openai/gpt-oss-120b:cerebras"}),
]
SILENT = [
    (XAI, {"model": "grok-4.3", "reasoning_effort": "none"}),
    (MISTRAL, {"model": "magistral-medium-latest", "reasoning_effort": "none"}),
    (CEREBRAS, {"model": "gpt-oss-120b", "disable_reasoning": True}),
    (CEREBRAS, {"model": "gpt-oss-120b", "reasoning_format": "hidden"}),
    (OPENROUTER, {"model": "openai/gpt-oss-20b:free", "reasoning": {"enabled": False}}),
    (OPENROUTER, {"model": "openai/gpt-oss-20b:free", "reasoning": {"exclude": True}}),
    (NVIDIA, {"model": "nvidia/nemotron-3-super-120b-a12b", "chat_template_kwargs": {"enable_thinking": False}}),
]
ALOUD = [
    (CEREBRAS, {"model": "gpt-oss-120b", "reasoning_format": "raw"}),
    (CLOUDFLARE, {"model": "@cf/qwen/qwen3-30b-a3b-fp8"}),
    (NVIDIA, {"model": "deepseek-ai/deepseek-r1"}),
]


@pytest.mark.parametrize(("asked", "more"), THINKERS)
async def test_thinks_in_its_own_field(client: Client, asked: Speaker, more: Body) -> None:
    body = asked.ask("What is 2+2?", model=asked.model) | more
    said = asked.read((await client.post(asked, body))[1])
    assert said.text == "4"
    assert said.reasoning.startswith("The user wrote")
    streamed = asked.ask("What is 2+2?", model=asked.model, stream=True) | more
    assert asked.read_stream(events((await client.raw(asked, streamed))[1])) == said


@pytest.mark.parametrize(("asked", "more"), SILENT)
async def test_keeps_its_thoughts_to_itself(client: Client, asked: Speaker, more: Body) -> None:
    said = asked.read((await client.post(asked, asked.ask("What is 2+2?", model=asked.model) | more))[1])
    assert (said.text, said.reasoning) == ("4", "")


@pytest.mark.parametrize(("asked", "more"), ALOUD)
async def test_thinks_aloud(client: Client, asked: Speaker, more: Body) -> None:
    said = asked.read((await client.post(asked, asked.ask("What is 2+2?", model=asked.model) | more))[1])
    assert said.text.startswith("<think>\n")
    assert said.text.endswith("</think>\n\n4")
    assert said.reasoning == ""


async def test_anthropic_wants_the_thoughts_of_its_last_call_back_as_they_were(client: Client) -> None:
    asked = ANTHROPIC.ask("What's the weather in Paris?", model="claude-haiku-4-5", max_tokens=2000, **ANTHROPIC.tool)
    asked["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    _, answer, _ = await client.post(ANTHROPIC, asked)
    back = ANTHROPIC.answer_tool(asked, answer, "sunny")
    assert (await client.post(ANTHROPIC, back))[0] == 200
    thought, call = back["messages"][1]["content"]
    for content, complaint in (
        ([call], "must start with a thinking block"),
        ([call, thought], "must start with a thinking block"),
        ([{**thought, "thinking": "Something else."}, call], "Invalid `signature` in `thinking` block"),
        ([{"type": "thinking", "thinking": thought["thinking"]}, call], "thinking.signature: Field required"),
    ):
        back["messages"][1]["content"] = content
        status, body, _ = await client.post(ANTHROPIC, back)
        assert status == 400
        assert complaint in body["error"]["message"]
    back["thinking"] = {"type": "adaptive"}
    back["messages"][1]["content"] = [call]
    assert (await client.post(ANTHROPIC, back))[0] == 200


async def test_openrouter_wants_signed_thoughts_back_as_they_were(client: Client) -> None:
    thinking = {"reasoning": {"effort": "high"}, "model": "anthropic/claude-haiku-4.5"}
    asked = OPENROUTER.ask("What's the weather in Paris?", model="", **OPENROUTER.tool) | thinking
    _, answer, _ = await client.post(OPENROUTER, asked)
    back = OPENROUTER.answer_tool(asked, answer, "sunny")
    [detail] = answer["choices"][0]["message"]["reasoning_details"]
    back["messages"][1]["reasoning_details"] = [detail]
    assert (await client.post(OPENROUTER, back))[0] == 200
    for details, complaint in (
        ([], "must start with a thinking block"),
        ([{**detail, "text": "Something else."}], "Invalid `signature` in `thinking` block"),
        ([{"text": "hm"}], "reasoning_details.0.type: Invalid input"),
    ):
        back["messages"][1]["reasoning_details"] = details
        status, body, _ = await client.post(OPENROUTER, back)
        assert status == 400
        assert complaint in body["error"]["message"]
    back["reasoning"] = {"effort": "none"}
    back["messages"][1]["reasoning_details"] = []
    assert (await client.post(OPENROUTER, back))[0] == 200


async def test_openrouter_signs_the_last_piece_of_a_stream(client: Client) -> None:
    asked = OPENROUTER.ask("What is 2+2?", model="anthropic/claude-haiku-4.5", stream=True)
    _, raw = await client.raw(OPENROUTER, asked | {"reasoning": {"effort": "high"}})
    deltas = [chunk["choices"][0]["delta"] for chunk in documents(events(raw))]
    details = [detail for delta in deltas for detail in delta.get("reasoning_details", ())]
    assert [sorted(detail) for detail in details[-2:]] == [
        ["format", "index", "text", "type"],
        ["format", "index", "signature", "type"],
    ]
