"""Where each of the seven accents of OpenAI's format leaves its thoughts."""

from __future__ import annotations

import pytest

from tests.simulator.conftest import Client
from tests.simulator.speakers import (
    CEREBRAS,
    CLOUDFLARE,
    HUGGINGFACE,
    MISTRAL,
    NVIDIA,
    OPENROUTER,
    XAI,
    Body,
    Speaker,
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
