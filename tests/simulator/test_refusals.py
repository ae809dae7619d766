"""Every wire refuses in its own words what its provider refuses."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import aiohttp
import pytest

from router.simulator import start_simulator
from tests.simulator.conftest import Client
from tests.simulator.speakers import ANTHROPIC, COHERE, GEMINI, GROQ, OPENAI, Body, Speaker

TALK = "Hello"


def message(body: Any) -> str:
    """The provider's sentence, wherever its wire puts it."""
    error = body.get("error", body) if isinstance(body, dict) else body
    return str(error if isinstance(error, str) else error["message"])


def hello(speaker: Speaker, **more: Any) -> Body:
    return speaker.ask(TALK, model=speaker.model) | more


AUTH = {
    "openai": (401, 401, "Incorrect API key provided"),
    "anthropic": (401, 401, "invalid x-api-key"),
    "gemini": (403, 400, "API key not valid"),
    "cohere": (401, 401, "Incorrect API key provided"),
    "groq": (401, 401, "Invalid API Key"),
}


async def test_wants_a_key_and_knows_a_bad_one(client: Client, speaker: Speaker) -> None:
    missing, bad, words = AUTH[speaker.provider]
    url = client.simulator.url + speaker.path
    async with client.session.post(url, json=hello(speaker), headers={"anthropic-version": "2023-06-01"}) as response:
        assert response.status == missing
    headers = {
        key: value.replace("sk-", "bad-").replace("Bearer ", "Bearer bad-") for key, value in speaker.headers.items()
    }
    headers |= {"x-goog-api-key": "bad-key"} if speaker is GEMINI else {}
    async with client.session.post(url, json=hello(speaker), headers=headers) as response:
        assert response.status == bad
        body = await response.json()
    assert words in message(body)
    assert "bad-" not in str(body)


async def test_only_the_named_key_will_do_where_one_is_named() -> None:
    simulator = await start_simulator(keys={"openai": "sk-right"})
    try:
        async with aiohttp.ClientSession() as session:
            statuses = []
            for key in ("sk-right", "sk-other"):
                headers = {"Authorization": f"Bearer {key}"}
                url = simulator.url + OPENAI.path
                async with session.post(url, json=hello(OPENAI), headers=headers) as response:
                    statuses.append(response.status)
        assert statuses == [200, 401]
    finally:
        await simulator.stop()


async def test_gemini_says_why_a_key_is_bad_in_the_details(client: Client) -> None:
    _, body, _ = await client.post(GEMINI, hello(GEMINI), x_goog_api_key="bad")
    assert body["error"]["details"][0]["reason"] == "API_KEY_INVALID"


async def test_malformed_json(client: Client, speaker: Speaker) -> None:
    url = client.simulator.url + speaker.path
    async with client.session.post(url, data=b'{"model": ', headers=speaker.headers) as response:
        assert response.status == 400
        assert message(await response.json())


async def test_too_large_a_body(client: Client, speaker: Speaker) -> None:
    url = client.simulator.url + speaker.path
    async with client.session.post(
        url, data=BytesIO(b" " * (8 * 1024 * 1024 + 1)), headers=speaker.headers
    ) as response:
        assert response.status == 413
        assert message(await response.json())


CALLED = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
USER = {"role": "user", "content": "Hello"}
REFUSED: list[tuple[Speaker, Body, str]] = [
    (OPENAI, {"model": None}, "you must provide a model parameter"),
    (OPENAI, {"messages": None}, "Missing required parameter: 'messages'."),
    (OPENAI, {"messages": []}, "empty array"),
    (
        OPENAI,
        {"messages": [{"role": "robot", "content": "x"}]},
        "Invalid value: 'robot'. Supported values are: 'system'",
    ),
    (OPENAI, {"temperature": 3}, "Expected a value <= 2, but got 3"),
    (OPENAI, {"temperature": -1}, "Expected a value >= 0, but got -1"),
    (OPENAI, {"temperature": "hot"}, "Invalid type for 'temperature'"),
    (OPENAI, {"strategy": "council"}, "Unrecognized request argument supplied: strategy"),
    (OPENAI, {"stream_options": {"include_usage": True}}, "only allowed when 'stream' is enabled"),
    (OPENAI, {"model": "gpt-6-luna", "max_tokens": 9}, "Use 'max_completion_tokens' instead"),
    (OPENAI, {"model": "gpt-6-luna", "temperature": 0.2}, "does not support 0.2 with this model"),
    (
        OPENAI,
        {"messages": [USER, {"role": "tool", "tool_call_id": "x", "content": "y"}]},
        "messages with role 'tool' must",
    ),
    (
        OPENAI,
        {"messages": [{"role": "assistant", "tool_calls": [CALLED]}, USER]},
        "did not have response messages: call_1",
    ),
    (OPENAI, {"response_format": {"type": "json_object"}}, "must contain the word 'json'"),
    (OPENAI, {"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    (OPENAI, {"tools": [{"type": "function", "function": {"name": "a b"}}]}, "does not match pattern"),
    (GROQ, {"model": None}, "property 'model' is missing"),
    (GROQ, {"temperature": 3}, "number must be at most 2"),
    (GROQ, {"quorum": {}}, "property 'quorum' is unsupported"),
    (GROQ, {"reasoning_format": "raw", **GROQ.tool}, "not supported with tools"),
    (ANTHROPIC, {"model": None}, "model"),
    (ANTHROPIC, {"max_tokens": None}, "max_tokens"),
    (ANTHROPIC, {"messages": []}, "at least one message is required"),
    (ANTHROPIC, {"messages": [{"role": "system", "content": "x"}]}, "top-level `system` parameter"),
    (ANTHROPIC, {"messages": [{"role": "robot", "content": "x"}]}, "Input should be 'user' or 'assistant'"),
    (ANTHROPIC, {"temperature": 1.5}, "less than or equal to 1"),
    (ANTHROPIC, {"model": "claude-opus-5-5", "temperature": 0.5}, "temperature: not supported with this model."),
    (ANTHROPIC, {"seed": 1}, "seed: Extra inputs are not permitted"),
    (ANTHROPIC, {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, "must be non-empty"),
    (ANTHROPIC, {"messages": [USER, {"role": "assistant", "content": [USE]}, USER]}, "without `tool_result` blocks"),
    (
        ANTHROPIC,
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t9", "content": "x"}]}]},
        "unexpected `tool_use_id`",
    ),
    (ANTHROPIC, {"thinking": {"type": "enabled", "budget_tokens": 2000}}, "greater than `thinking.budget_tokens`"),
    (ANTHROPIC, {"tool_choice": {"type": "auto"}}, "only be specified while providing tools"),
    (GEMINI, {"contents": []}, "contents is not specified"),
    (GEMINI, {"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, "Please use a valid role: user, model."),
    (GEMINI, {"generationConfig": {"temperature": 3}}, "must be in the range [0.0, 2.0]"),
    (GEMINI, {"generationConfig": {"max_tokens": 3}}, 'Unknown name "max_tokens"'),
    (GEMINI, {"model_name": "x"}, 'Unknown name "model_name"'),
    (
        GEMINI,
        {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"additionalProperties": False}}]}]},
        'Unknown name "additionalProperties"',
    ),
    (
        GEMINI,
        {"contents": [{"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}]},
        "equal to the number of function call parts",
    ),
    (COHERE, {"model": None}, "model is required"),
    (COHERE, {"messages": []}, "at least one message"),
    (COHERE, {"messages": [{"role": "robot", "content": "x"}]}, "role must be one of"),
    (COHERE, {"temperature": 1.5}, "temperature must be between 0 and 1.0"),
    (COHERE, {"tool_choice": "auto"}, "tool_choice must be one of: REQUIRED, NONE"),
    (COHERE, {"tools": [{"type": "function", "function": {"name": "1st"}}]}, "not begin with a digit"),
    (COHERE, {"messages": [{"role": "tool", "tool_call_id": "x", "content": "y"}]}, "not found in previous tool calls"),
]


@pytest.mark.parametrize(("speaker", "change", "words"), REFUSED, ids=lambda value: str(value)[:40])
async def test_refuses(client: Client, speaker: Speaker, change: Body, words: str) -> None:
    body = {key: value for key, value in hello(speaker, **change).items() if value is not None}
    status, answer, _ = await client.post(speaker, body)
    assert status == 400
    assert words in message(answer)


async def test_cohere_has_a_status_of_its_own_for_what_it_does_not_know(client: Client) -> None:
    status, answer, _ = await client.post(COHERE, hello(COHERE, max_completion_tokens=5))
    assert status == 422
    assert "'max_completion_tokens' is not a valid field" in message(answer)


async def test_anthropic_wants_its_version(client: Client) -> None:
    url = client.simulator.url + ANTHROPIC.path
    async with client.session.post(url, json=hello(ANTHROPIC), headers={"x-api-key": "k"}) as response:
        assert response.status == 400
        body = await response.json()
    assert body["type"] == "error"
    assert body["error"] == {"type": "invalid_request_error", "message": "anthropic-version: header is required"}


BAD_IMAGES: dict[str, Body] = {
    "openai": {
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}]}
        ]
    },
    "anthropic": {
        "messages": [
            {
                "role": "user",
                "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "eA=="}}],
            }
        ]
    },
    "gemini": {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "eA=="}}]}]},
}


@pytest.mark.parametrize("speaker", [OPENAI, ANTHROPIC, GEMINI], ids=lambda speaker: speaker.provider)
async def test_refuses_what_is_no_image(client: Client, speaker: Speaker) -> None:
    status, answer, _ = await client.post(speaker, hello(speaker, **BAD_IMAGES[speaker.provider]))
    assert status == 400
    assert "image" in message(answer)


WRONG_TYPES: list[Any] = [None, 1, "x", [], [1], {}, {"a": 1}, [None], [[]], True]


async def test_never_breaks_on_wrong_types(client: Client, speaker: Speaker) -> None:
    fields = hello(speaker, **speaker.tool)
    more = (
        "generationConfig",
        "toolConfig",
        "response_format",
        "tool_choice",
        "thinking",
        "stop",
        "system",
        "stream_options",
    )
    for name in {*fields, *more} - {"stream"}:
        for value in WRONG_TYPES:
            status, answer, _ = await client.post(speaker, fields | {name: value})
            assert status in (200, 400, 422), (name, value)
            assert status == 200 or message(answer)
