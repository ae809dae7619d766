"""Every kind of weather at every provider, as a caller sees it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from router.simulator import Simulator, parse_script
from router.simulator.providers import PROVIDERS
from tests.simulator.conftest import Client, ManualTime
from tests.simulator.scenes import RETRY_HEADERS, STATUSES, STREAM_ERRORS, message
from tests.simulator.speakers import ANTHROPIC, COHERE, GEMINI, GROQ, OPENAI, Body, Speaker, events

STORY = "Tell me something about the sea, and about the ships that sail on it."
LIMIT_S = 30.0


def sky(text: str) -> dict[str, str]:
    return {"X_Sky_Weather": text}


@pytest.mark.parametrize("weather", STATUSES)
async def test_refusals(client: Client, speaker: Speaker, weather: str) -> None:
    first, second = (STATUSES[weather][speaker.provider] * 2)[:2]
    status, body, _ = await client.post(speaker, speaker.ask(STORY, model=speaker.model), **sky(weather))
    assert status == first[0]
    assert first[1] in message(body)
    response, raw = await client.raw(speaker, speaker.ask(STORY, model=speaker.model, stream=True), **sky(weather))
    assert response.status == second[0]
    assert second[1] in message(json.loads(raw or b"null"))


async def test_retry_after_as_each_provider_tells_it(client: Client, speaker: Speaker) -> None:
    asked = speaker.ask(STORY, model=speaker.model)
    _, body, told = await client.post(speaker, asked, **sky("rate-limited; retry_after_s=7"))
    _, silent_body, silent = await client.post(speaker, asked, **sky("rate-limited; retry_after_s=none"))
    found = {key.lower(): told.headers[key] for key in told.headers if "retry-after" in key.lower()}
    assert found == RETRY_HEADERS[speaker.provider]
    assert "retry-after" not in silent.headers
    if speaker is GEMINI:
        assert body["error"]["details"][-1]["retryDelay"] == "7.0s"
        assert "PerMinute" in body["error"]["details"][0]["violations"][0]["quotaId"]
        assert len(silent_body["error"]["details"]) == 1


async def test_codes_that_tell_a_stop_from_a_wait(client: Client) -> None:
    _, body, _ = await client.post(OPENAI, OPENAI.ask(STORY, model=OPENAI.model), **sky("billing"))
    assert body["error"]["code"] == "insufficient_quota"
    _, body, response = await client.post(ANTHROPIC, ANTHROPIC.ask(STORY, model=ANTHROPIC.model), **sky("quota-day"))
    assert body["error"]["details"]["error_code"] == "enforced_spend_limit_reached"
    assert "retry-after" not in response.headers
    _, body, _ = await client.post(GEMINI, GEMINI.ask(STORY), **sky("quota-day"))
    assert "PerDay" in body["error"]["details"][0]["violations"][0]["quotaId"]
    _, body, _ = await client.post(COHERE, COHERE.ask(STORY, model=COHERE.model), **sky("context-length"))
    assert body["error_type"] == "TOO_MANY_TOKENS"


@pytest.mark.parametrize("stream", [False, True])
async def test_reset(client: Client, speaker: Speaker, stream: bool) -> None:
    with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
        await client.raw(speaker, speaker.ask(STORY, model=speaker.model, stream=stream), **sky("reset"))
    assert client.simulator.seen.requests[-1].status is None


async def test_reset_is_a_real_reset(simulator: Simulator) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
    writer.write(
        b"POST /openai/v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Sky-Weather: reset\r\nContent-Length: 2\r\n\r\n{}"
    )
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), LIMIT_S)
    writer.close()


async def until_seen(simulator: Simulator, count: int) -> None:
    async with asyncio.timeout(LIMIT_S):
        while len(simulator.seen.requests) < count:
            await asyncio.sleep(0)


async def test_hang_ends_when_the_caller_leaves(client: Client, speaker: Speaker) -> None:
    asked = client.raw(speaker, speaker.ask(STORY, model=speaker.model), **sky("hang"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asked, 0.1)
    await until_seen(client.simulator, 1)
    visit = client.simulator.seen.requests[0]
    assert (visit.weather, visit.status) == ("hang", None)


async def test_slow_waits_before_it_answers(client: Client, speaker: Speaker, time: ManualTime) -> None:
    asked = client.post(speaker, speaker.ask("Reply with exactly: OK", model=speaker.model), **sky("slow; delay_s=9"))
    async with asyncio.TaskGroup() as tasks:
        answer = tasks.create_task(asked)
        assert await asyncio.wait_for(time.slept.get(), LIMIT_S) == 9
        assert not answer.done()
        await time.pass_s(9)
    assert speaker.read(answer.result()[1]).text == "OK"


async def test_slow_first_token_sends_its_headers_at_once(client: Client, speaker: Speaker, time: ManualTime) -> None:
    headers = {**speaker.headers, "X-Sky-Weather": "slow-first-token; delay_s=9"}
    body = speaker.ask("Reply with exactly: OK", model=speaker.model, stream=True)
    async with client.session.post(client.simulator.url + speaker.stream_path, json=body, headers=headers) as response:
        assert response.status == 200
        assert await asyncio.wait_for(time.slept.get(), LIMIT_S) == 9
        await time.pass_s(9)
        assert speaker.read_stream(events(await response.read())).text == "OK"


async def test_stall_keeps_half_of_a_stream_open(client: Client, speaker: Speaker) -> None:
    headers = {**speaker.headers, "X-Sky-Weather": "stall"}
    body = speaker.ask(STORY, model=speaker.model, stream=True)
    url = client.simulator.url + speaker.stream_path
    whole = events((await client.raw(speaker, body))[1])
    async with client.session.post(url, json=body, headers=headers) as response:
        got = b""
        async with asyncio.timeout(LIMIT_S):
            while len(events(got)) < len(whole) // 2:
                got += await response.content.readany()
        assert not response.content.at_eof()
    await until_seen(client.simulator, 2)
    assert client.simulator.seen.requests[-1].status is None


async def test_cut_ends_a_stream_without_a_finish(client: Client, speaker: Speaker) -> None:
    response, raw = await client.raw(speaker, speaker.ask(STORY, model=speaker.model, stream=True), **sky("cut"))
    assert response.status == 200
    ends = ("[DONE]", "message_stop", "message-end", '"finishReason"', '"finish_reason":"stop"')
    assert len(events(raw)) >= 2
    assert not any(end in raw.decode() for end in ends)


async def test_cut_leaves_a_whole_answer_short_of_its_length(client: Client, speaker: Speaker) -> None:
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.post(speaker, speaker.ask(STORY, model=speaker.model), **sky("cut"))


async def test_garbage_is_a_page(client: Client, speaker: Speaker) -> None:
    for stream in (False, True):
        response, raw = await client.raw(
            speaker, speaker.ask(STORY, model=speaker.model, stream=stream), **sky("garbage")
        )
        assert (response.status, response.content_type) == (200, "text/html")
        assert raw.startswith(b"<!DOCTYPE html>")


async def test_half_json(client: Client, speaker: Speaker) -> None:
    url = client.simulator.url + speaker.path
    headers = {**speaker.headers, "X-Sky-Weather": "half-json"}
    async with client.session.post(url, json=speaker.ask(STORY, model=speaker.model), headers=headers) as response:
        raw = await response.read()
    assert raw.lstrip().startswith(b"{")
    with pytest.raises(json.JSONDecodeError):
        json.loads(raw)
    response, raw = await client.raw(speaker, speaker.ask(STORY, model=speaker.model, stream=True), **sky("half-json"))
    assert response.status == 200
    last = raw.decode().splitlines()[-1]
    assert last.startswith("data: {")
    with pytest.raises(json.JSONDecodeError):
        json.loads(last.removeprefix("data: "))


EMPTY: dict[str, Callable[[Body], bool]] = {
    "anthropic": lambda body: body["content"] == [],
    "gemini": lambda body: "candidates" not in body,
    "cohere": lambda body: body["message"]["content"] == [],
}


def no_choices(body: Body) -> bool:
    return bool(body["choices"] == [])


async def test_empty(client: Client, speaker: Speaker) -> None:
    status, body, _ = await client.post(speaker, speaker.ask(STORY, model=speaker.model), **sky("empty"))
    assert status == 200
    assert EMPTY.get(speaker.provider, no_choices)(body)
    response, raw = await client.raw(speaker, speaker.ask(STORY, model=speaker.model, stream=True), **sky("empty"))
    assert response.status == 200
    assert b"sea" not in raw


async def test_error_in_stream(client: Client, speaker: Speaker) -> None:
    response, raw = await client.raw(
        speaker, speaker.ask(STORY, model=speaker.model, stream=True), **sky("error-in-stream")
    )
    assert response.status == 200
    name, words = STREAM_ERRORS[speaker.provider]
    told = [event for event in events(raw) if event[1] != "[DONE]"]
    assert len(told) >= 3
    assert told[-1][0] == name
    assert words in told[-1][1]


async def test_an_error_inside_a_whole_success(client: Client, speaker: Speaker) -> None:
    status, body, _ = await client.post(speaker, speaker.ask(STORY, model=speaker.model), **sky("error-in-stream"))
    assert status == 200
    assert message(body)


@pytest.mark.parametrize("stream", [False, True])
async def test_leaked_thoughts(client: Client, speaker: Speaker, stream: bool) -> None:
    said = await _said(client, speaker, "leaked-thoughts", stream)
    assert said.text.startswith("<think>\n")
    assert said.text.endswith("</think>\n\nOK")


async def _said(client: Client, speaker: Speaker, weather: str, stream: bool) -> Any:
    body: Body = speaker.ask("Reply with exactly: OK", model=speaker.model, stream=stream)
    if stream:
        return speaker.read_stream(events((await client.raw(speaker, body, **sky(weather)))[1]))
    return speaker.read((await client.post(speaker, body, **sky(weather)))[1])


async def test_rerouted_names_another_model(client: Client, speaker: Speaker) -> None:
    if speaker is COHERE:
        pytest.skip("Cohere's answers name no model")
    asked = speaker.ask(STORY, model=speaker.model)
    name = speaker.model.partition(":cerebras")[0]
    for weather, model in (("rerouted", f"{name}-successor"), ("rerouted; to=other", "other")):
        _, body, _ = await client.post(speaker, asked, **sky(weather))
        assert (body.get("model") or body.get("modelVersion")) == model


FILTERED: dict[str, Callable[[Body], bool]] = {
    "anthropic": lambda body: body["stop_reason"] == "refusal",
    "gemini": lambda body: body["promptFeedback"]["blockReason"] == "PROHIBITED_CONTENT",
    "cohere": lambda body: body["message"] == "the request was blocked",
    "xai": lambda body: body["error"].startswith("Content violates usage guidelines"),
    "openrouter": lambda body: body["error"]["metadata"]["reasons"] == ["violence"],
}
FILTERED_STATUS = {"cohere": 498, "xai": 403, "openrouter": 403}


def filtered(body: Body) -> bool:
    return bool(body["choices"][0]["finish_reason"] == "content_filter")


async def test_content_filter(client: Client, speaker: Speaker) -> None:
    status, body, _ = await client.post(speaker, speaker.ask(STORY, model=speaker.model), **sky("content-filter"))
    assert status == FILTERED_STATUS.get(speaker.provider, 200)
    assert FILTERED.get(speaker.provider, filtered)(body)


async def test_script_hangs_over_a_model_for_a_time(client: Client, time: ManualTime) -> None:
    entry = {"weather": "outage", "model": "gone", "after_s": 10, "for_s": 30}
    client.simulator.state.set_weather(
        parse_script({"groq": [entry, {"weather": "billing", "after_s": 60}]}, PROVIDERS)
    )

    async def statuses() -> list[int]:
        bodies = [GROQ.ask("Hello", model=model) for model in ("gone", "other")]
        return [(await client.post(GROQ, body))[0] for body in bodies]

    found = [await statuses()]
    for seconds in (10, 30, 20):
        await time.pass_s(seconds)
        found.append(await statuses())
    assert found == [[200, 200], [503, 200], [200, 200], [402, 402]]


async def test_shared_weather_hits_its_share_repeatably(client: Client) -> None:
    async def hits() -> list[bool]:
        state = client.simulator.state
        state.set_weather(parse_script({"*": {"weather": "outage", "share": 0.5}}, PROVIDERS))
        state.ordinals.clear()
        return [(await client.post(GROQ, GROQ.ask("Hello", model="m")))[0] == 503 for _ in range(60)]

    first = await hits()
    assert 15 < sum(first) < 45
    assert await hits() == first
