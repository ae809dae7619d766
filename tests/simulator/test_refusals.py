"""Every simulated provider refuses what the real one refuses, with its status and wording."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import aiohttp
import pytest

from router.simulator import start_simulator
from tests.simulator.conftest import Client
from tests.simulator.refused import REFUSED, TAKEN
from tests.simulator.scenes import AUTH, hello, message
from tests.simulator.speakers import ANTHROPIC, COHERE, GEMINI, MISTRAL, OPENAI, Body, Speaker


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
        body = await response.json(content_type=None)
    assert words in message(body)
    assert "bad-" not in str(body)


async def test_looks_for_the_key_in_its_own_place_only(client: Client, speaker: Speaker) -> None:
    elsewhere = {"authorization": "Basic dTpw", "api-key": "k"}
    url = client.simulator.url + speaker.path
    async with client.session.post(url, json=hello(speaker), headers=elsewhere) as response:
        assert response.status == AUTH[speaker.provider][0]


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
        assert response.status == (422 if speaker is MISTRAL else 400)
        assert message(await response.json(content_type=None))


async def test_too_large_a_body(client: Client, speaker: Speaker) -> None:
    url = client.simulator.url + speaker.path
    async with client.session.post(
        url, data=BytesIO(b" " * (8 * 1024 * 1024 + 1)), headers=speaker.headers
    ) as response:
        assert response.status == 413
        assert message(await response.json(content_type=None))


@pytest.mark.parametrize(("asked", "change", "status", "words"), REFUSED, ids=lambda value: str(value)[:40])
async def test_refuses(client: Client, asked: Speaker, change: Body, status: int, words: str) -> None:
    body = {key: value for key, value in hello(asked, **change).items() if value is not None}
    found, answer, _ = await client.post(asked, body)
    assert found == status
    assert words in message(answer)


@pytest.mark.parametrize(("asked", "change"), TAKEN, ids=lambda value: str(value)[:40])
async def test_takes_what_the_provider_takes(client: Client, asked: Speaker, change: Body) -> None:
    status, answer, _ = await client.post(asked, hello(asked, **change))
    assert status == 200
    assert asked.read(answer).finish == "stop"


async def test_mistral_wraps_the_same_complaint_in_two_ways(client: Client) -> None:
    bodies = [(await client.post(MISTRAL, hello(MISTRAL, seed=1)))[1] for _ in range(2)]
    detail = {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted", "input": 1}
    wrapped, bare = bodies
    assert wrapped["message"] == {"detail": [detail]}
    assert (wrapped["object"], wrapped["type"], wrapped["raw_status_code"]) == ("error", "invalid_request_error", 422)
    assert bare == {"detail": [detail]}


async def test_mistral_has_a_code_for_foreign_tool_ids(client: Client) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = {"role": "assistant", "content": "", "tool_calls": [call]}
    turns = [{"role": "user", "content": "x"}, said, {"role": "tool", "tool_call_id": "call_1", "content": "y"}]
    _, answer, _ = await client.post(MISTRAL, hello(MISTRAL, messages=turns))
    assert (answer["type"], answer["code"], answer["raw_status_code"]) == ("invalid_function_call", "3280", 400)


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
