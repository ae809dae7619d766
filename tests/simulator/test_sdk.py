"""OpenAI's own SDK works against the simulator."""

from __future__ import annotations

import openai
import pytest

from router.simulator import Simulator
from tests.simulator.speakers import WEATHER_TOOL


def sdk(simulator: Simulator, base: str = "/openai/v1") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=simulator.url + base, api_key="sk-test", max_retries=0)


@pytest.mark.parametrize("base", ["/openai/v1", "/groq/openai/v1", "/mistral/v1", "/openrouter/api/v1"])
async def test_answers_streams_and_lists(simulator: Simulator, base: str) -> None:
    async with sdk(simulator, base) as client:
        question: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "What is 17+25?"}]
        whole = await client.chat.completions.create(model="gpt-4.1-mini", messages=question)
        assert whole.choices[0].message.content == "42"
        pieces = await client.chat.completions.create(model="gpt-4.1-mini", messages=question, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in pieces]) == "42"
        assert (await client.models.list()).data


async def test_calls_tools(simulator: Simulator) -> None:
    async with sdk(simulator) as client:
        answer = await client.chat.completions.create(
            model="gpt-4.1-mini",
            messages=[{"role": "user", "content": "What's the weather in Paris?"}],
            tools=[{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER_TOOL}}],
        )
    call = (answer.choices[0].message.tool_calls or [])[0]
    assert isinstance(call, openai.types.chat.ChatCompletionMessageFunctionToolCall)
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"Paris"}')


async def test_raises_the_errors_of_the_sdk(simulator: Simulator) -> None:
    async with sdk(simulator) as client:
        for weather, kind in (
            ("rate-limited", openai.RateLimitError),
            ("bad-key", openai.AuthenticationError),
            ("outage", openai.InternalServerError),
            ("reset", openai.APIConnectionError),
        ):
            with pytest.raises(kind):
                await client.chat.completions.create(
                    model="gpt-4.1-mini",
                    messages=[{"role": "user", "content": "Hello"}],
                    extra_headers={"X-Sky-Weather": weather},
                )
