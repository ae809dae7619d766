"""Recorded requests of real clients: accepted by the daemon, sent by the adapters, accepted by the strict simulator."""

from __future__ import annotations

import json

import aiohttp
import pytest

from adapters import ADAPTERS
from adapters.types import Secret, Target
from router.http.errors import ApiError
from router.http.openai.request import parse_chat
from router.simulator import Simulator
from tests.support.paths import RECORDED
from tests.support.recorded import Recording, recordings
from tests.support.twelve import base_path

SPEAK_OPENAI = ("openai", "groq", "xai", "mistral", "cerebras", "openrouter", "huggingface", "cloudflare", "nvidia")


def accepted() -> list[Recording]:
    found = recordings(*SPEAK_OPENAI)
    return [chat for chat in found if chat.status == 200 and isinstance(chat.request.get("body"), dict)]


async def test_the_simulator_accepts_what_providers_accepted(sky: Simulator) -> None:
    chats = accepted()
    if not chats:
        pytest.skip(f"no recorded exchanges at {RECORDED} (set QUORUM_RECORDED)")
    not_ours, refused = {}, {}
    async with aiohttp.ClientSession() as session:
        for chat in chats:
            try:
                asked = parse_chat(json.dumps(chat.request["body"]).encode())
            except ApiError as error:
                not_ours[chat.name] = str(error.param)
                continue
            name = chat.provider
            target = Target(name, asked.model, name, sky.url + base_path(name), Secret("sk-good"))
            sent = ADAPTERS[name].build_request(target, asked.request, stream=asked.stream)
            async with session.post(sent.url, data=sent.body, headers=sent.headers) as answer:
                if answer.status != 200:
                    refused[chat.name] = (answer.status, (await answer.text())[:300])
    assert refused == {}
    # What only one provider's own wire has (its tools, its kinds of content) is no part of what we take.
    assert all(param.endswith((".type", "tool_choice")) for param in not_ours.values()), not_ours
    assert len(not_ours) < len(chats) / 10
