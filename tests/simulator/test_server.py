"""The simulator's server: rate limits, requests seen, changes of weather, stopping, and bad requests to itself."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from router.simulator import Simulator, WeatherError, parse_script, run, start_simulator
from router.simulator.providers import PROVIDERS
from router.simulator.seen import LAST
from tests.simulator.conftest import Client, ManualTime
from tests.simulator.scenes import message
from tests.simulator.speakers import ANTHROPIC, GEMINI, GROQ, OPENAI, Speaker
from tests.simulator.test_weathers import until_seen


async def test_refuses_the_request_beyond_the_minute(client: Client, speaker: Speaker, time: ManualTime) -> None:
    limits = {"limits": {speaker.provider: {"per_minute": 2}}}
    client.simulator.state.set_weather(parse_script(limits, PROVIDERS))
    asked = speaker.ask("Hello", model=speaker.model)

    async def status() -> int:
        return (await client.post(speaker, asked))[0]

    found = [await status()]
    await time.pass_s(30)
    found += [await status(), await status()]
    await time.pass_s(29.9)
    found.append(await status())
    await time.pass_s(0.1)
    found += [await status(), await status()]
    assert found == [200, 200, 429, 429, 200, 429]


async def test_refuses_the_request_beyond_the_day(client: Client, time: ManualTime) -> None:
    client.simulator.state.set_weather(parse_script({"limits": {"groq": {"per_day": 1}}}, PROVIDERS))
    asked = GROQ.ask("Hello", model="m")
    assert (await client.post(GROQ, asked))[0] == 200
    status, body, response = await client.post(GROQ, asked)
    assert (status, response.headers["x-ratelimit-remaining-requests"]) == (429, "0")
    assert "requests per day (RPD): Limit 1, Used 1" in message(body)
    await time.pass_s(86_400)
    assert (await client.post(GROQ, asked))[0] == 200


async def test_limit_headers_count_down_in_each_format(client: Client, time: ManualTime) -> None:
    quota = {"per_minute": 10}
    client.simulator.state.set_weather(
        parse_script({"limits": dict.fromkeys(("openai", "anthropic"), quota)}, PROVIDERS)
    )
    for speaker in (OPENAI, ANTHROPIC):
        await client.post(speaker, speaker.ask("Hello", model=speaker.model))
    await time.pass_s(20)
    _, _, response = await client.post(OPENAI, OPENAI.ask("Hello", model=OPENAI.model))
    assert response.headers["x-ratelimit-limit-requests"] == "10"
    assert response.headers["x-ratelimit-remaining-requests"] == "8"
    assert response.headers["x-ratelimit-reset-requests"] == "40s"
    _, _, response = await client.post(ANTHROPIC, ANTHROPIC.ask("Hello", model=ANTHROPIC.model))
    assert response.headers["anthropic-ratelimit-requests-remaining"] == "8"
    assert response.headers["anthropic-ratelimit-requests-reset"].endswith("Z")


async def test_gemini_counts_each_model_apart(client: Client) -> None:
    client.simulator.state.set_weather(parse_script({"limits": {"gemini": {"per_minute": 1}}}, PROVIDERS))
    statuses = []
    for model in ("gemini-a", "gemini-b", "gemini-a"):
        url = f"{client.simulator.url}/gemini/v1beta/models/{model}:generateContent"
        async with client.session.post(url, json=GEMINI.ask("Hello"), headers=GEMINI.headers) as response:
            statuses.append(response.status)
    assert statuses == [200, 200, 429]


async def test_tells_what_it_has_seen_without_secrets(client: Client, speaker: Speaker) -> None:
    await client.post(speaker, speaker.ask("Hello", model=speaker.model))
    async with client.session.get(client.simulator.url + "/-/seen") as response:
        text = await response.text()
    seen = json.loads(text)
    assert seen["providers"] == {speaker.provider: 1}
    assert seen["models"] == {f"{speaker.provider}/{speaker.model}": 1}
    assert seen["statuses"] == {f"{speaker.provider} 200": 1}
    visit = seen["requests"][0]
    assert (visit["path"], visit["status"], visit["weather"]) == (speaker.path, 200, "clear")
    assert "Hello" in visit["body"]
    assert "-test" not in text
    assert "_test" not in text


async def test_remembers_a_bounded_number_of_requests(client: Client) -> None:
    for _ in range(LAST + 5):
        await client.post(GROQ, GROQ.ask("x" * 20_000, model="m"))
    assert len(client.simulator.seen.requests) == LAST
    assert client.simulator.seen.providers["groq"] == LAST + 5
    assert len(client.simulator.seen.requests[-1].body) == 16_384


async def test_weather_changes_while_it_runs(client: Client) -> None:
    url = client.simulator.url + "/-/weather"
    script = {
        "groq": [{"weather": "rate-limited", "share": 0.9, "retry_after_s": None}],
        "limits": {"groq": {"per_minute": 5}},
    }
    async with client.session.put(url, json=script) as response:
        assert response.status == 200
    async with client.session.get(url) as response:
        assert await response.json() == script
    async with client.session.put(url, json={"groq": "outage"}) as response:
        assert await response.json() == {"groq": [{"weather": "outage"}], "limits": script["limits"]}
    assert (await client.post(GROQ, GROQ.ask("Hello", model="m")))[0] == 503


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"grok": "outage"}'])
async def test_refuses_bad_weather_and_keeps_the_old(client: Client, body: bytes) -> None:
    async with client.session.put(client.simulator.url + "/-/weather", data=body) as response:
        assert response.status == 400
        assert (await response.json())["error"]
    assert client.simulator.state.weather.document() == {}


async def test_refuses_a_bad_weather_header(client: Client) -> None:
    status, body, _ = await client.post(GROQ, GROQ.ask("Hello", model="m"), X_Sky_Weather="outtage")
    assert status == 400
    assert body["error"] == "X-Sky-Weather: there is no weather 'outtage'; did you mean 'outage'?"


async def test_index_names_providers_and_weathers(client: Client) -> None:
    async with client.session.get(client.simulator.url + "/") as response:
        index = await response.json()
    assert len(index["providers"]) == 12
    assert index["weathers"]["hang"] == "accepts the request and never answers"


async def test_models_that_are_gone_are_not_listed_and_outages_reach_the_listing(client: Client) -> None:
    url = client.simulator.url + "/groq/openai/v1/models"
    state = client.simulator.state
    state.set_weather(parse_script({"groq": {"weather": "model-gone", "model": "openai/gpt-oss-20b"}}, PROVIDERS))
    async with client.session.get(url, headers=GROQ.headers) as response:
        names = [one["id"] for one in (await response.json())["data"]]
    assert "openai/gpt-oss-20b" not in names
    assert "openai/gpt-oss-120b" in names
    state.set_weather(parse_script({"groq": "outage"}, PROVIDERS))
    async with client.session.get(url, headers=GROQ.headers) as response:
        assert response.status == 503


async def test_stops_within_a_second_with_open_streams(time: ManualTime) -> None:
    simulator = await start_simulator(clock=time.clock())
    async with aiohttp.ClientSession() as session:
        waiting = []
        for weather in ("hang", "stall", "slow", "slow-first-token"):
            headers = {**GROQ.headers, "X-Sky-Weather": weather}
            body = GROQ.ask("Tell me a story", model="m", stream=True)
            waiting.append(asyncio.create_task(_drained(session, simulator, body, headers)))
        await asyncio.wait_for(time.slept.get(), 30)
        await asyncio.wait_for(time.slept.get(), 30)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await simulator.stop()
        assert loop.time() - began < 1
        await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30)
    assert len(simulator.seen.requests) == 4


async def _drained(session: aiohttp.ClientSession, simulator: Simulator, body: object, headers: dict[str, str]) -> None:
    async with session.post(simulator.url + GROQ.path, json=body, headers=headers) as response:
        await response.read()


async def test_a_caller_that_leaves_mid_stream_leaves_no_trace_but_its_line(caplog: pytest.LogCaptureFixture) -> None:
    simulator = await start_simulator(pace_s=0.001)
    body = json.dumps(GROQ.ask("Reply with exactly: " + "word " * 2000, model="m", stream=True)).encode()
    head = f"POST {GROQ.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Length: {len(body)}\r\n\r\n"
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
        writer.write(head.encode() + body)
        await asyncio.wait_for(reader.readuntil(b"word"), 30)
        writer.transport.abort()
        await until_seen(simulator, 1)
    finally:
        await simulator.stop()
    assert simulator.seen.requests[0].status is None
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


async def test_run_serves_until_cancelled(tmp_path: Path) -> None:
    file = tmp_path / "weather.json"
    file.write_text('{"groq": "outage"}')
    announced: asyncio.Queue[Simulator] = asyncio.Queue()
    task = asyncio.create_task(run(0, file, 3, announce=announced.put_nowait))
    simulator = await asyncio.wait_for(announced.get(), 30)
    assert simulator.state.seed == 3
    async with (
        aiohttp.ClientSession() as session,
        session.post(simulator.url + GROQ.path, json={}, headers=GROQ.headers) as response,
    ):
        assert response.status == 503
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(OSError, match=r"refused|Connect"):
        await asyncio.open_connection("127.0.0.1", simulator.port)


async def test_run_refuses_a_bad_file_in_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "weather.json"
    file.write_text('{"grok": "outage"}')
    with pytest.raises(WeatherError, match=r"weather\.json: there is no provider 'grok'; did you mean 'groq'\?"):
        await run(0, file, announce=lambda simulator: None)
    with pytest.raises(WeatherError, match="cannot read the weather file: No such file"):
        await run(0, tmp_path / "nothing.json", announce=lambda simulator: None)


async def test_a_taken_port_is_an_os_error(simulator: Simulator) -> None:
    with pytest.raises(OSError, match="address already in use"):
        await start_simulator(port=simulator.port)
