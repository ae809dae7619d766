"""What is special about each of the seven dialects of OpenAI's format."""

from __future__ import annotations

from typing import Any

import pytest

from router.simulator import parse_script
from router.simulator.providers import PROVIDERS
from tests.simulator.conftest import Client, ManualTime
from tests.simulator.scenes import hello, message
from tests.simulator.speakers import (
    CEREBRAS,
    CLOUDFLARE,
    HUGGINGFACE,
    MISTRAL,
    NVIDIA,
    OPENROUTER,
    PERSON,
    SPEAKERS,
    XAI,
    Body,
    Speaker,
    documents,
    events,
)


async def chunks(client: Client, speaker: Speaker, **more: Any) -> list[Any]:
    body = speaker.ask("What is 2+2?", model=speaker.model, stream=True) | more
    return documents(events((await client.raw(speaker, body))[1]))


async def test_xai_counts_thoughts_outside_the_completion(client: Client) -> None:
    _, body, _ = await client.post(XAI, hello(XAI, model="grok-4.3"))
    usage = body["usage"]
    thought = usage["completion_tokens_details"]["reasoning_tokens"]
    assert thought > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] + thought
    assert usage["cost_in_usd_ticks"] > 0


async def test_xai_ends_with_a_chunk_of_usage_and_calls_tools_whole(client: Client) -> None:
    asked = {"model": XAI.model, "stream": True, **XAI.tool}
    _, raw = await client.raw(XAI, XAI.ask("What's the weather in Paris?", **asked) | {"stream_options": None})
    *_, call, finish, last = documents(events(raw))
    assert call["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"] == '{"city":"Paris"}'
    assert "finish_reason" not in call["choices"][0]
    assert finish["choices"] == [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] > 0


async def test_mistral_pads_its_chunks_and_ends_with_the_usage(client: Client) -> None:
    first, *rest = await chunks(client, MISTRAL, reasoning_effort="high")
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert all(chunk["p"] for chunk in rest)
    thoughts = [chunk["choices"][0]["delta"]["content"][0] for chunk in rest[:-1]]
    assert [thought.get("closed", False) for thought in thoughts] == [False] * (len(thoughts) - 1) + [True]
    assert rest[-1]["choices"][0] == {"index": 0, "delta": {"content": "4"}, "finish_reason": "stop"}
    assert rest[-1]["usage"]["total_tokens"] > 0


async def test_mistral_makes_tool_ids_it_would_take(client: Client) -> None:
    _, body, _ = await client.post(MISTRAL, MISTRAL.ask("Weather in Paris?", model=MISTRAL.model, **MISTRAL.tool))
    call = body["choices"][0]["message"]["tool_calls"][0]
    assert len(call["id"]) == 9
    assert call["id"].isalnum()


@pytest.mark.parametrize(
    ("weather", "header"),
    [
        ("rate-limited", "x-ratelimit-remaining-req-minute"),
        ("quota-day", "x-ratelimit-remaining-tokens-month"),
        ("no-access", "x-ratelimit-limit-req-minute"),
    ],
)
async def test_mistral_tells_three_kinds_of_429_apart_by_headers_only(
    client: Client, weather: str, header: str
) -> None:
    status, body, response = await client.post(MISTRAL, hello(MISTRAL), X_Sky_Weather=weather)
    assert (status, body["code"]) == (429, "1300")
    assert response.headers[header] == "0"


async def test_cerebras_tells_its_timings_and_has_no_end_mark(client: Client) -> None:
    first, *middle, last = await chunks(client, CEREBRAS)
    assert first["choices"] == [{"index": 0, "delta": {"role": "assistant"}}]
    assert not any("finish_reason" in chunk["choices"][0] for chunk in middle)
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["usage"]["total_tokens"] > 0
    assert last["time_info"]["total_time"] > 0


async def test_cerebras_tells_its_own_fault_from_ours(client: Client) -> None:
    _, ours, told = await client.post(CEREBRAS, hello(CEREBRAS), X_Sky_Weather="rate-limited")
    _, theirs, busy = await client.post(CEREBRAS, hello(CEREBRAS), X_Sky_Weather="overloaded")
    assert (ours["code"], ours["param"]) == ("request_quota_exceeded", "quota")
    assert (theirs["code"], theirs["param"]) == ("queue_exceeded", "queue")
    assert busy.headers["x-should-retry"] == "false"
    assert "x-should-retry" not in told.headers


async def test_openrouter_shows_signs_of_life(client: Client) -> None:
    url = client.simulator.url + OPENROUTER.path
    async with client.session.post(url, json=hello(OPENROUTER), headers=OPENROUTER.headers) as response:
        raw = await response.read()
    assert raw.startswith(b"\n         \n{")
    _, raw = await client.raw(OPENROUTER, OPENROUTER.ask("Hello", model=OPENROUTER.model, stream=True))
    assert raw.startswith(b": OPENROUTER PROCESSING\n\n")


async def test_openrouter_says_a_finish_in_two_languages_and_what_it_cost(client: Client) -> None:
    _, body, _ = await client.post(OPENROUTER, hello(OPENROUTER, model="anthropic/claude-haiku-4.5"))
    choice, usage = body["choices"][0], body["usage"]
    assert (choice["finish_reason"], choice["native_finish_reason"]) == ("stop", "end_turn")
    assert usage["cost"] == usage["cost_details"]["upstream_inference_cost"] > 0
    _, free, _ = await client.post(OPENROUTER, hello(OPENROUTER))
    assert (free["usage"]["cost"], free["choices"][0]["native_finish_reason"]) == (0, "STOP")


async def test_openrouter_tells_thoughts_twice(client: Client) -> None:
    _, body, _ = await client.post(OPENROUTER, hello(OPENROUTER, reasoning={"effort": "low"}))
    said = body["choices"][0]["message"]
    assert said["reasoning"] == said["reasoning_details"][0]["text"]


@pytest.mark.parametrize(
    ("weather", "metadata", "resets_s"),
    [
        ("rate-limited; retry_after_s=7", {"provider_name": None}, 7),
        ("quota-day", {"provider_name": None, "limit_source": "openrouter_free_tier_daily"}, None),
    ],
)
async def test_openrouter_tells_its_limits_in_headers_and_metadata(
    client: Client, time: ManualTime, weather: str, metadata: Body, resets_s: float | None
) -> None:
    _, body, response = await client.post(OPENROUTER, hello(OPENROUTER), X_Sky_Weather=weather)
    told = body["error"]["metadata"].pop("headers")
    assert body["error"]["metadata"] == metadata
    assert {key: response.headers[key] for key in told} == told
    now_s = time.clock().wall()
    midnight_s = 86_400 - now_s % 86_400
    assert int(told["X-RateLimit-Reset"]) == round((now_s + (resets_s or midnight_s)) * 1_000)


async def test_openrouter_blames_the_provider_behind_it(client: Client) -> None:
    _, body, response = await client.post(OPENROUTER, hello(OPENROUTER), X_Sky_Weather="overloaded")
    assert f"{OPENROUTER.model} is temporarily rate-limited upstream" in body["error"]["metadata"]["raw"]
    assert response.headers["retry-after"] == "5"


async def test_cloudflare_gives_json_as_an_object_and_counts_nothing(client: Client) -> None:
    _, body, _ = await client.post(
        CLOUDFLARE, CLOUDFLARE.ask("Invent Erick, 27 years old.", model=CLOUDFLARE.model, schema=PERSON)
    )
    assert body["choices"][0]["message"]["content"]["age"] == 27
    assert "usage" not in body


@pytest.mark.parametrize(("more", "tokens", "finish"), [({}, 256, "length"), ({"max_tokens": 400}, 300, "stop")])
async def test_cloudflare_stops_at_256_unless_told(client: Client, more: Body, tokens: int, finish: str) -> None:
    long = "Reply with exactly: " + " ".join(["word"] * 300)
    _, body, _ = await client.post(CLOUDFLARE, CLOUDFLARE.ask(long, model=CLOUDFLARE.model, **more))
    said = CLOUDFLARE.read(body)
    assert (said.output_tokens, said.finish) == (tokens, finish)


async def test_nvidia_is_still_at_it_where_the_others_answer(client: Client) -> None:
    for speaker in SPEAKERS:
        status, body, response = await client.post(speaker, hello(speaker), X_Sky_Weather="pending")
        assert status == (202 if speaker is NVIDIA else 200)
        if speaker is NVIDIA:
            assert body is None
            assert response.headers["nvcf-status"] == "pending-evaluation"
            assert response.headers["location"].endswith(response.headers["nvcf-reqid"])


async def test_nvidia_gives_usage_only_when_asked(client: Client) -> None:
    *_, last = await chunks(client, NVIDIA)
    assert (last["choices"], last["usage"]["prompt_tokens"] > 0) == ([], True)
    assert not any("usage" in chunk for chunk in await chunks(client, NVIDIA, stream_options=None))


async def test_nvidia_lets_the_model_speak_of_its_window(client: Client) -> None:
    _, gateway, first = await client.post(NVIDIA, hello(NVIDIA), X_Sky_Weather="model-gone")
    _, model, second = await client.post(NVIDIA, hello(NVIDIA), X_Sky_Weather="context-length")
    assert (first.content_type, gateway["title"], gateway["status"]) == ("application/problem+json", "Gone", 410)
    assert (second.content_type, model["error"]["code"]) == ("application/json", 400)


BACKENDS = [
    ("meta-llama/Llama-3.1-8B-Instruct:cerebras", "cerebras", "x-ratelimit-remaining-requests-minute", False),
    ("Qwen/Qwen2.5-VL-72B-Instruct", "ovhcloud", "ratelimit-reset", True),
    ("Qwen/Qwen2.5-VL-72B-Instruct:cheapest", "ovhcloud", "x-ratelimit-remaining-minute", True),
    ("moonshotai/Kimi-K3:novita", "novita", "ratelimit-remaining", True),
]


@pytest.mark.parametrize(("model", "backend", "header", "marked"), BACKENDS)
async def test_huggingface_speaks_as_the_backend_does(
    client: Client, model: str, backend: str, header: str, marked: bool
) -> None:
    _, body, response = await client.post(HUGGINGFACE, hello(HUGGINGFACE, model=model))
    assert body["model"] == model.partition(":")[0]
    assert response.headers["x-inference-provider"] == backend
    assert header in response.headers
    assert ("time_info" in body) == (backend == "cerebras")
    _, raw = await client.raw(HUGGINGFACE, HUGGINGFACE.ask("Hello", model=model, stream=True))
    assert raw.endswith(b"data: [DONE]\n\n") == marked


async def test_huggingface_leaves_thoughts_where_the_backend_put_them(client: Client) -> None:
    texts = {}
    for backend in ("together", "cerebras", "novita"):
        _, body, _ = await client.post(HUGGINGFACE, hello(HUGGINGFACE, model=f"deepseek-ai/DeepSeek-R1:{backend}"))
        texts[backend] = body["choices"][0]["message"]
    assert texts["together"]["content"].startswith("<think>")
    assert texts["cerebras"]["reasoning"]
    assert texts["novita"]["reasoning_content"]


async def test_huggingface_refuses_at_the_door_with_a_text(client: Client) -> None:
    _, door, _ = await client.post(HUGGINGFACE, hello(HUGGINGFACE), X_Sky_Weather="bad-key")
    _, behind, _ = await client.post(HUGGINGFACE, hello(HUGGINGFACE), X_Sky_Weather="rate-limited")
    _, other, _ = await client.post(
        HUGGINGFACE, hello(HUGGINGFACE, model="Qwen/Qwen3-32B"), X_Sky_Weather="rate-limited"
    )
    assert isinstance(door["error"], str)
    assert behind["code"] == "request_quota_exceeded"
    assert (other["object"], message(other)) == ("error", "API rate limit exceeded")


LIMITS: list[tuple[Speaker, dict[str, str]]] = [
    (XAI, {"x-ratelimit-limit-requests": "10", "x-ratelimit-remaining-requests": "8"}),
    (MISTRAL, {"x-ratelimit-limit-req-minute": "10", "x-ratelimit-remaining-req-minute": "8"}),
    (
        CEREBRAS,
        {"x-ratelimit-remaining-requests-minute": "8", "x-ratelimit-reset-requests-minute": "40.000000"},
    ),
    (OPENROUTER, {}),
    (CLOUDFLARE, {}),
    (NVIDIA, {}),
    (HUGGINGFACE, {"x-ratelimit-remaining-requests-minute": "8"}),
]


@pytest.mark.parametrize(("asked", "expected"), LIMITS)
async def test_tells_its_limits_in_its_own_format(
    client: Client, time: ManualTime, asked: Speaker, expected: dict[str, str]
) -> None:
    script = {"limits": {asked.provider: {"per_minute": 10}}}
    client.simulator.state.set_weather(parse_script(script, PROVIDERS))
    await client.post(asked, hello(asked))
    await time.pass_s(20)
    _, _, response = await client.post(asked, hello(asked))
    told = {key.lower(): value for key, value in response.headers.items() if "ratelimit" in key.lower()}
    assert expected.items() <= told.items()
    assert bool(told) == bool(expected)
    assert any("reset" in key for key in told) == (asked is CEREBRAS)
    assert "retry-after" not in response.headers
