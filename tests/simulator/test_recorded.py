"""The simulator sends only what real providers send: each of its keys occurs in recorded traffic."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from tests.simulator.conftest import Client
from tests.simulator.speakers import (
    ANTHROPIC,
    CLOUDFLARE,
    COHERE,
    GEMINI,
    MISTRAL,
    PERSON,
    SPEAKERS,
    Body,
    Speaker,
    documents,
    events,
)
from tests.support.paths import RECORDED

FAILED = re.compile(r"^(documented-)?(stream-)?error")
# Below these are the caller's own keys: arguments of its tools, and content that is an object.
OWN_WORDS = re.compile(r"\.(args|input|message\.content)\.[^.]+$")
REASONING_MODELS = {
    "openai": "gpt-6-luna",
    "groq": "openai/gpt-oss-20b",
    "cohere": "command-a-reasoning-08-2025",
    "xai": "grok-4.3",
    "mistral": "magistral-medium-latest",
    "cerebras": "gpt-oss-120b",
    "openrouter": "openai/gpt-oss-20b:free",
    "cloudflare": "@cf/qwen/qwen3-30b-a3b-fp8",
    "nvidia": "nvidia/nemotron-3-super-120b-a12b",
    "huggingface": "openai/gpt-oss-120b:cerebras",
}
# A router passes on what its backends send.
KIN = {"huggingface": ("cerebras", "nvidia")}
# Too few streams of these were recorded: a stream may have the keys of a whole answer.
THIN = ("cerebras", "cloudflare", "nvidia", "huggingface")
REFUSES_TO_ANSWER = ("cohere", "xai", "openrouter")  # a filtered request has a status of its own


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
    for name in (provider, *KIN.get(provider, ())):
        for body in bodies(name):
            if isinstance(body, str) and "data:" in body[:2000]:
                streamed += documents(events(body.encode()))
            else:
                whole.append(json.loads(body) if isinstance(body, str) else body)
    known = shape(whole)
    like_whole = {path.replace(".message", ".delta") for path in known} | {".choices[].delta.tool_calls[].index"}
    return frozenset(known), frozenset(shape(streamed) | (like_whole if provider in THIN else set()))


def bodies(provider: str) -> Iterator[Any]:
    for file in sorted((RECORDED / provider).glob("*.json")):
        exchange = json.loads(file.read_text())
        response = exchange["response"]
        if exchange["api"] == "chat" and response["status"] == 200 and not FAILED.search(file.name):
            yield response["body"]


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
    usage = {} if speaker in (GEMINI, ANTHROPIC, COHERE, MISTRAL) else {"stream_options": {"include_usage": True}}
    return body if speaker is GEMINI else body | {"stream": True} | usage


@pytest.mark.parametrize("weather", ["clear", "rerouted", "leaked-thoughts", "empty", "content-filter"])
async def test_every_key_has_been_seen_on_the_wire(client: Client, speaker: Speaker, weather: str) -> None:
    if not (RECORDED / speaker.provider).is_dir():
        pytest.skip(f"no recordings of {speaker.provider} at {RECORDED} (set QUORUM_RECORDED)")
    if speaker.provider in REFUSES_TO_ANSWER and weather == "content-filter":
        pytest.skip(f"{speaker.provider} refuses this with a status")
    known_whole, known_streamed = recorded(speaker.provider)
    for body in questions(speaker):
        status, whole, _ = await client.post(speaker, body, X_Sky_Weather=weather)
        assert status == 200
        assert shape([whole]) <= known_whole
        if speaker is CLOUDFLARE and "response_format" in body:
            continue  # it does not stream JSON
        _, raw = await client.raw(speaker, streamed_form(speaker, body), X_Sky_Weather=weather)
        assert shape(documents(events(raw))) <= known_streamed | (
            {".promptFeedback", ".promptFeedback.blockReason"} & known_whole
        )


# Known refusals: a file's name after `documented-error-` or `error-`, and the weather that gives the same.
REFUSALS = [
    ("xai", "403-credits", "billing"),
    ("xai", "403-safety", "content-filter"),
    ("xai", "404-model", "model-gone"),
    ("xai", "429-rate", "rate-limited"),
    ("xai", "429-credits", "quota-day"),
    ("xai", "400-context", "context-length"),
    ("mistral", "400-context", "context-length"),
    ("mistral", "400-model", "model-gone"),
    ("mistral", "429-rate", "rate-limited"),
    ("cerebras", "400-context", "context-length"),
    ("cerebras", "401", "bad-key"),
    ("cerebras", "402", "billing"),
    ("cerebras", "404-model", "model-gone"),
    ("cerebras", "429-queue", "overloaded"),
    ("cerebras", "429-rpm", "rate-limited"),
    ("cerebras", "429-tpd", "quota-day"),
    ("openrouter", "402", "billing"),
    ("openrouter", "404-no-endpoints", "model-gone"),
    ("openrouter", "429-free-day", "quota-day"),
    ("openrouter", "429-free-min", "rate-limited"),
    ("openrouter", "429__*", "overloaded"),
    ("openrouter", "503", "outage"),
    ("cloudflare", "401-10000", "bad-key"),
    ("cloudflare", "403-5035", "billing"),
    ("cloudflare", "400-context-5021", "context-length"),
    ("cloudflare", "400-no-model", "model-gone"),
    ("cloudflare", "408-3007", "timeout"),
    ("cloudflare", "429-capacity-3040", "overloaded"),
    ("cloudflare", "429-daily-4006", "quota-day"),
    ("nvidia", "202-pending", "pending"),
    ("nvidia", "400-degraded", "overloaded"),
    ("nvidia", "403", "bad-key"),
    ("nvidia", "404-account", "no-access"),
    ("nvidia", "410-eol", "model-gone"),
    ("nvidia", "429", "rate-limited"),
    ("nvidia", "504", "timeout"),
]


@pytest.mark.parametrize(("provider", "name", "weather"), REFUSALS)
async def test_refusals_have_the_shape_and_headers_known(
    client: Client, provider: str, name: str, weather: str
) -> None:
    found = sorted((RECORDED / provider).glob(f"*error-{name}.json"))
    if not found:
        pytest.skip(f"no refusal {name} of {provider} at {RECORDED} (set QUORUM_RECORDED)")
    known = json.loads(found[0].read_text())["response"]
    speaker = next(one for one in SPEAKERS if one.provider == provider)
    asked = speaker.ask("Hello", model=speaker.model)
    status, body, response = await client.post(speaker, asked, X_Sky_Weather=f"{weather}; retry_after_s=7")
    assert status == known["status"]
    assert shape([body]) == shape([known["body"] or None])
    assert sorted(codes(body)) == sorted(codes(known["body"] or None))
    assert not {key for key in known["headers"] if key not in response.headers}
    assert response.content_type == known["headers"]["content-type"]


def codes(value: Any) -> list[str]:
    """The codes of a refusal, wherever they stand."""
    if isinstance(value, list):
        return [code for one in value for code in codes(one)]
    if not isinstance(value, dict):
        return []
    own = [str(value[key]) for key in ("code", "type") if key in value]
    return own + [code for one in value.values() for code in codes(one)]


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
