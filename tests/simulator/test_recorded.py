"""The simulator speaks only words the real providers speak: every key it sends has been seen in recorded traffic."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.conftest import Client
from tests.simulator.speakers import ANTHROPIC, COHERE, GEMINI, GROQ, OPENAI, PERSON, Body, Speaker, documents, events

RECORDED = Path(os.environ.get("QUORUM_RECORDED", Path(__file__).parents[2].parent / "shared" / "recorded"))
# Below these stand a caller's own words: arguments of its tools.
FAILED = re.compile(r"^(documented-)?(stream-)?error")
OWN_WORDS = re.compile(r"\.(args|input)\..*")
REASONING_MODELS = {"openai": "gpt-6-luna", "groq": "openai/gpt-oss-20b", "cohere": "command-a-reasoning-08-2025"}


def paths(value: Any, at: str = "") -> Iterator[str]:
    """Every key of a JSON value with the keys above it, `[]` for the items of a list."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{at}.{key}"
            yield from paths(inner, f"{at}.{key}")
    if isinstance(value, list):
        for inner in value:
            yield from paths(inner, f"{at}[]")


def shape(documents: list[Any]) -> set[str]:
    return {path for document in documents for path in paths(document) if not OWN_WORDS.search(path)}


@cache
def recorded(provider: str) -> tuple[frozenset[str], frozenset[str]]:
    """The keys of all recorded successes of a provider: whole bodies, and stream events."""
    whole: list[Any] = []
    streamed: list[Any] = []
    for file in sorted((RECORDED / provider).glob("*.json")):
        exchange = json.loads(file.read_text())
        response = exchange["response"]
        if exchange["api"] != "chat" or response["status"] != 200 or FAILED.search(file.name):
            continue
        body = response["body"]
        if isinstance(body, str) and "data:" in body[:2000]:
            streamed += documents(events(body.encode()))
        else:
            whole.append(json.loads(body) if isinstance(body, str) else body)
    return frozenset(shape(whole)), frozenset(shape(streamed))


def questions(speaker: Speaker) -> Iterator[Body]:
    """Requests that make a provider use every part of its wire."""
    plain = {"model": speaker.model}
    yield speaker.ask("Tell me a story about a ship", **plain)
    yield speaker.ask("What's the weather in Paris?", **plain, **speaker.tool)
    yield speaker.ask("Invent a person", **plain, schema=PERSON)
    yield speaker.ask("What is this?", **plain, image=True)
    yield speaker.ask("Tell me a story", **plain, max_tokens=3)
    if model := REASONING_MODELS.get(speaker.provider):
        yield speaker.ask("What is 2+2?", model=model)
    if speaker is ANTHROPIC:
        yield speaker.ask("What is 2+2?", **plain, max_tokens=2000) | {
            "thinking": {"type": "enabled", "budget_tokens": 1024}
        }
    if speaker is GEMINI:
        yield speaker.ask("What is 2+2?", config={"thinkingConfig": {"includeThoughts": True}})


def streamed_form(speaker: Speaker, body: Body) -> Body:
    usage = {"stream_options": {"include_usage": True}} if speaker in (OPENAI, GROQ) else {}
    return body if speaker is GEMINI else body | {"stream": True} | usage


@pytest.mark.parametrize("weather", ["clear", "rerouted", "leaked-thoughts", "empty", "content-filter"])
async def test_every_key_has_been_seen_on_the_wire(client: Client, speaker: Speaker, weather: str) -> None:
    if not (RECORDED / speaker.provider).is_dir():
        pytest.skip(f"no recordings of {speaker.provider} at {RECORDED} (set QUORUM_RECORDED)")
    if speaker is COHERE and weather == "content-filter":
        pytest.skip("Cohere refuses this with a status")
    known_whole, known_streamed = recorded(speaker.provider)
    for body in questions(speaker):
        status, whole, _ = await client.post(speaker, body, X_Sky_Weather=weather)
        assert status == 200
        assert shape([whole]) <= known_whole
        _, raw = await client.raw(speaker, streamed_form(speaker, body), X_Sky_Weather=weather)
        assert shape(documents(events(raw))) <= known_streamed | (
            {".promptFeedback", ".promptFeedback.blockReason"} & known_whole
        )


async def test_bad_keys_are_refused_in_the_recorded_shape(client: Client, speaker: Speaker) -> None:
    found = sorted((RECORDED / speaker.provider).glob("*error-40[01]__ruby-llm__chat-error-handling*")) or sorted(
        (RECORDED / speaker.provider).glob("*error-401*")
    )
    if not found:
        pytest.skip(f"no recorded bad key of {speaker.provider} at {RECORDED} (set QUORUM_RECORDED)")
    response = json.loads(found[0].read_text())["response"]
    status, body, _ = await client.post(speaker, speaker.ask("Hello", model=speaker.model), X_Sky_Weather="bad-key")
    assert status == response["status"]
    assert shape([body]) <= shape([response["body"]])
