"""Every provider answers, streams, calls tools, fills schemas and counts tokens, each in its own format."""

from __future__ import annotations

import json

import pytest

from router.simulator import PROVIDERS
from tests.simulator.conftest import Client
from tests.simulator.speakers import ANTHROPIC, COHERE, GEMINI, GROQ, OPENAI, PERSON, Speaker, documents, events


async def test_says_exactly_what_it_is_told(client: Client, speaker: Speaker) -> None:
    status, body, _ = await client.post(speaker, speaker.ask("Reply with exactly: OK", model=speaker.model))
    assert status == 200
    said = speaker.read(body)
    assert (said.text, said.finish) == ("OK", speaker.finishes["stop"])
    assert said.input_tokens > 0
    assert said.output_tokens == 1


async def test_streams_the_same_answer(client: Client, speaker: Speaker) -> None:
    prompt = "Tell me something about the sea, and about the ships that sail on it."
    _, body, _ = await client.post(speaker, speaker.ask(prompt, model=speaker.model))
    response, raw = await client.raw(speaker, speaker.ask(prompt, model=speaker.model, stream=True))
    assert response.headers["Content-Type"].startswith("text/event-stream")
    streamed = speaker.read_stream(events(raw))
    assert streamed == speaker.read(body)
    assert len(events(raw)) > 5


@pytest.mark.parametrize("stream", [False, True])
async def test_calls_a_tool_and_quotes_its_result(client: Client, speaker: Speaker, stream: bool) -> None:
    asked = speaker.ask("What's the weather in Paris?", model=speaker.model, **speaker.tool)
    _, body, _ = await client.post(speaker, asked)
    said = speaker.read(body)
    if stream:
        _, raw = await client.raw(
            speaker, speaker.ask("What's the weather in Paris?", model=speaker.model, stream=True, **speaker.tool)
        )
        said = speaker.read_stream(events(raw))
    assert [call[1:] for call in said.calls] == [("get_weather", {"city": "Paris"})]
    assert said.finish == speaker.finishes["calls"]
    status, after, _ = await client.post(speaker, speaker.answer_tool(asked, body, "18 degrees and sunny"))
    assert status == 200
    assert "18 degrees and sunny" in speaker.read(after).text


async def test_fills_a_schema(client: Client, speaker: Speaker) -> None:
    _, body, _ = await client.post(
        speaker, speaker.ask("Invent Erick, 27 years old.", model=speaker.model, schema=PERSON)
    )
    person = json.loads(speaker.read(body).text)
    assert set(person) == {"name", "age"}
    assert isinstance(person["name"], str)
    assert person["age"] == 27


async def test_sees_an_image(client: Client, speaker: Speaker) -> None:
    _, body, _ = await client.post(speaker, speaker.ask("What is this?", model=speaker.model, image=True))
    assert "image/png of 100 bytes" in speaker.read(body).text


@pytest.mark.parametrize("stream", [False, True])
async def test_respects_max_tokens_and_stop(client: Client, speaker: Speaker, stream: bool) -> None:
    async def ask(**more: object) -> object:
        body = speaker.ask("Tell me a story.", model=speaker.model, stream=stream, **more)
        if stream:
            return speaker.read_stream(events((await client.raw(speaker, body))[1]))
        return speaker.read((await client.post(speaker, body))[1])

    short = await ask(max_tokens=3)
    assert short.finish == speaker.finishes["length"]  # type: ignore[attr-defined]
    assert short.output_tokens == 3  # type: ignore[attr-defined]
    stopped = await ask(stop=["this"])
    assert stopped.text == "Hello, "  # type: ignore[attr-defined]
    assert stopped.finish == speaker.finishes["stopped"]  # type: ignore[attr-defined]


async def test_is_the_same_each_time_under_one_seed(client: Client, speaker: Speaker) -> None:
    asked = speaker.ask("Answer with one of: red, green, blue", model=speaker.model)
    first, second = [speaker.read((await client.post(speaker, asked))[1]) for _ in range(2)]
    assert first == second
    assert first.text in ("red", "green", "blue")


async def test_tells_ids_apart(client: Client, speaker: Speaker) -> None:
    asked = speaker.ask("Hello", model=speaker.model)
    bodies = [(await client.post(speaker, asked))[1] for _ in range(3)]
    assert len({body.get("id") or body.get("responseId") for body in bodies}) == 3


async def test_anthropic_thinks_when_asked(client: Client) -> None:
    asked = ANTHROPIC.ask("What is 2+2?", model="claude-haiku-4-5", max_tokens=2000)
    asked["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    _, body, _ = await client.post(ANTHROPIC, asked)
    said = ANTHROPIC.read(body)
    assert said.reasoning
    assert body["content"][0]["signature"]
    assert said.text == "4"
    _, raw = await client.raw(ANTHROPIC, asked | {"stream": True})
    assert ANTHROPIC.read_stream(events(raw)) == said


async def test_anthropic_pads_its_lines(client: Client) -> None:
    _, raw = await client.raw(ANTHROPIC, ANTHROPIC.ask("Hello", model="claude-haiku-4-5", stream=True))
    assert any(line.endswith(b"  }") for line in raw.splitlines())


async def test_openai_hides_its_thoughts_but_counts_them(client: Client) -> None:
    _, body, _ = await client.post(OPENAI, OPENAI.ask("Hello", model="gpt-6-luna"))
    assert body["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0
    assert "reasoning" not in body["choices"][0]["message"]


async def test_openai_gives_usage_only_when_asked(client: Client) -> None:
    asked = OPENAI.ask("Hello", model="gpt-4.1-mini") | {"stream": True}
    _, raw = await client.raw(OPENAI, asked)
    chunks = documents(events(raw))
    assert all(chunk["choices"] and "usage" not in chunk for chunk in chunks)
    assert all(chunk["obfuscation"] for chunk in chunks)


@pytest.mark.parametrize(
    ("model", "more", "where"),
    [
        ("openai/gpt-oss-20b", {}, "reasoning"),
        ("qwen/qwen3-32b", {}, "text"),
        ("qwen/qwen3-32b", {"reasoning_format": "parsed"}, "reasoning"),
        ("qwen/qwen3-32b", {"reasoning_format": "hidden"}, None),
    ],
)
async def test_groq_shows_thoughts_where_asked(
    client: Client, model: str, more: dict[str, str], where: str | None
) -> None:
    _, body, _ = await client.post(GROQ, GROQ.ask("Reply with exactly: OK", model=model, **more))
    said = GROQ.read(body)
    assert bool(said.reasoning) == (where == "reasoning")
    assert said.text.startswith("<think>") == (where == "text")
    assert said.text.endswith("OK")


async def test_groq_tells_usage_twice_in_the_last_chunk(client: Client) -> None:
    _, raw = await client.raw(GROQ, GROQ.ask("Hello", model="openai/gpt-oss-20b", stream=True))
    last = documents(events(raw))[-1]
    assert last["usage"] == last["x_groq"]["usage"]
    assert last["choices"][0]["finish_reason"] == "stop"


async def test_gemini_streams_with_crlf_or_as_an_array(client: Client) -> None:
    asked = GEMINI.ask("Tell me a story", model=GEMINI.model)
    _, raw = await client.raw(GEMINI, asked)
    assert raw.count(b"\r\n\r\n") == len(events(raw))
    url = client.simulator.url + GEMINI.stream_path.removesuffix("?alt=sse")
    async with client.session.post(url, json=asked, headers=GEMINI.headers) as response:
        assert await response.json() == [
            {**chunk, "responseId": other["responseId"]}
            for chunk, other in zip(documents(events(raw)), json.loads(await response.read()), strict=True)
        ]


async def test_gemini_signs_its_calls_and_wants_the_signature_back(client: Client) -> None:
    url = client.simulator.url + "/gemini/v1beta/models/gemini-3.8-flash:generateContent"
    asked = GEMINI.ask("What's the weather in Paris?", **GEMINI.tool)
    async with client.session.post(url, json=asked, headers=GEMINI.headers) as response:
        answer = await response.json()
    back = GEMINI.answer_tool(asked, answer, "sunny")
    async with client.session.post(url, json=back, headers=GEMINI.headers) as response:
        assert response.status == 200
    del back["contents"][1]["parts"][0]["thoughtSignature"]
    async with client.session.post(url, json=back, headers=GEMINI.headers) as response:
        assert response.status == 400
        assert "thought_signature" in (await response.json())["error"]["message"]


async def test_cohere_plans_before_it_calls(client: Client) -> None:
    asked = COHERE.ask("What's the weather in Paris?", model=COHERE.model, stream=True, **COHERE.tool)
    _, raw = await client.raw(COHERE, asked)
    names = [name for name, _ in events(raw)]
    assert names.index("tool-plan-delta") < names.index("tool-call-start") < names.index("tool-call-end")
    assert "content-start" not in names


async def test_cohere_counts_more_than_it_bills(client: Client) -> None:
    _, body, _ = await client.post(COHERE, COHERE.ask("Hello", model="command-a-reasoning-08-2025"))
    usage = body["usage"]
    assert usage["tokens"]["input_tokens"] > usage["billed_units"]["input_tokens"]
    assert body["message"]["content"][0]["type"] == "thinking"


LIKE_OPENAI = [
    provider.models
    for name, provider in PROVIDERS.items()
    if name not in ("anthropic", "gemini", "cohere", "cloudflare")
]


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/anthropic/v1/models", lambda body: [one["id"] for one in body["data"]]),
        ("/gemini/v1beta/models", lambda body: [one["name"].removeprefix("models/") for one in body["models"]]),
        ("/cohere/v1/models", lambda body: [one["name"] for one in body["models"]]),
        ("/cloudflare/client/v4/accounts/a/ai/models/search", lambda body: [one["name"] for one in body["result"]]),
        *((path, lambda body: [one["id"] for one in body["data"]]) for path in LIKE_OPENAI),
    ],
)
async def test_lists_its_models(client: Client, path: str, names: object) -> None:
    headers = {key: value for one in (OPENAI, ANTHROPIC, GEMINI) for key, value in one.headers.items()}
    async with client.session.get(client.simulator.url + path, headers=headers) as response:
        assert len(names(await response.json())) >= 2  # type: ignore[operator]


async def test_some_list_their_models_to_anybody_but_not_what_a_key_is_worth(client: Client) -> None:
    answers = {}
    for path in ("/openrouter/api/v1/models", "/openrouter/api/v1/key", "/nvidia/v1/models", "/groq/openai/v1/models"):
        async with client.session.get(client.simulator.url + path) as response:
            answers[path] = response.status
    assert list(answers.values()) == [200, 401, 200, 401]
