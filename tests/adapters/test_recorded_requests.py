"""Requests that clients really sent, read into our canonical form and written again by the provider's adapter."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from adapters import ADAPTERS
from adapters.types import Target
from router.http.openai.request import KNOWN_FIELDS, ChatBody
from tests.adapters.asking import body_of
from tests.support.paths import RECORDED
from tests.support.recorded import Recording, recordings

PROVIDERS = (
    "openai", "groq", "mistral", "xai", "cerebras", "openrouter", "cloudflare", "nvidia", "huggingface",
    "azure", "deepseek", "ollama", "together",
)  # fmt: skip
KNOWN_PARTS = {"text", "image_url", "file"}
# what a caller of ours would have written for what these clients wrote
MEANT = {"random_seed": "seed"}
CHOICES = {"any": "required"}
PARAMS = (
    "temperature", "top_p", "stop", "seed", "random_seed", "presence_penalty", "frequency_penalty", "user",
    "parallel_tool_calls", "reasoning_effort",
)  # fmt: skip
LENGTHS = ("max_tokens", "max_completion_tokens")


def told(chat: Recording) -> bool:
    """True for a request in OpenAI's form whose parts our own front door would take."""
    body = chat.request.get("body")
    if not isinstance(body, dict) or not body.get("messages") or chat.request["url"].endswith("/api/chat"):
        return False
    parts = {part["type"] for message in body["messages"] for part in parts_of(message)}
    return parts <= KNOWN_PARTS and all("function" in tool for tool in body.get("tools") or [])


def parts_of(message: Mapping[str, Any]) -> list[Any]:
    return message["content"] if isinstance(message.get("content"), list) else []


CHATS = [chat for chat in recordings(*PROVIDERS) if told(chat)]
pytestmark = pytest.mark.skipif(not CHATS, reason=f"no recorded traffic at {RECORDED} (QUORUM_RECORDED)")


def as_asked(body: Mapping[str, Any]) -> dict[str, Any]:
    """The request as a caller of ours would have sent it."""
    meant = {MEANT.get(name, name): value for name, value in body.items()}
    asked = {name: value for name, value in meant.items() if name in KNOWN_FIELDS - {"n", "tool_choice"}}
    if choice := body.get("tool_choice"):
        asked["tool_choice"] = CHOICES.get(choice, choice) if isinstance(choice, str) else choice
    if effort := (body.get("reasoning") or {}).get("effort"):
        asked["reasoning_effort"] = effort
    asked["messages"] = [{**message, "content": as_parts(message.get("content"))} for message in body["messages"]]
    asked["tools"] = [{"type": "function", "function": tool["function"]} for tool in body.get("tools") or []]
    return asked


def as_parts(content: Any) -> Any:
    """Message content with images as objects; Mistral takes their bare address too."""
    if not isinstance(content, list):
        return content or ""
    bare = [isinstance(part.get("image_url"), str) for part in content]
    return [
        {**part, "image_url": {"url": part["image_url"]}} if is_bare else part
        for part, is_bare in zip(content, bare, strict=True)
    ]


def rewritten(chat: Recording) -> Any:
    adapter = ADAPTERS.get(chat.provider, ADAPTERS["compatible"])
    asked = ChatBody(as_asked(chat.request["body"]))
    target = Target("p", chat.request["body"].get("model", "m"), chat.provider, "http://host")
    return body_of(adapter.build_request(target, asked.request, stream=asked.stream))


def plain(messages: list[dict[str, Any]], developer: str) -> Iterator[tuple[Any, ...]]:
    """What each message says, however it is wrapped."""
    for message in messages:
        role = developer if message["role"] == "developer" else message["role"]
        content = message.get("content") or ""
        said = content if isinstance(content, str) else [wire_part(part) for part in content]
        if isinstance(said, list) and all(kind == "text" for kind, _ in said):
            said = "".join(text for _, text in said)
        calls = [
            (call["id"], call["function"]["name"], call["function"]["arguments"])
            for call in message.get("tool_calls") or []
        ]
        yield role, said, calls, message.get("tool_call_id")


def wire_part(part: Mapping[str, Any]) -> tuple[str, Any]:
    held = part[part["type"]]
    return part["type"], held.get("url", held) if isinstance(held, dict) else held


@pytest.mark.parametrize("chat", [pytest.param(chat, id=chat.name) for chat in CHATS])
def test_what_was_sent_is_what_we_send(chat: Recording) -> None:
    sent, ours = chat.request["body"], rewritten(chat)
    developer = "developer" if chat.provider == "openai" else "system"
    assert list(plain(ours["messages"], developer)) == list(plain(sent["messages"], developer))
    assert [offered(tool) for tool in ours.get("tools", [])] == [offered(tool) for tool in sent.get("tools") or []]
    if sent.get("tools"):
        choice = sent.get("tool_choice")
        assert ours.get("tool_choice") == (CHOICES.get(choice, choice) if isinstance(choice, str) else choice)
    assert schema_of(ours) == schema_of(sent)
    assert {name: ours.get(name) for name in PARAMS if name in sent} == {
        name: wanted(sent[name]) if name == "stop" else sent[name] for name in PARAMS if name in sent
    }
    if (length := one_of(LENGTHS, sent)) is not None:
        assert one_of(LENGTHS, ours) == length
    if effort := (sent.get("reasoning") or {}).get("effort"):
        assert ours["reasoning"] == {"effort": effort}


def wanted(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


def offered(tool: Mapping[str, Any]) -> tuple[Any, ...]:
    function = tool["function"]
    return function["name"], function.get("description"), json.dumps(function.get("parameters"), sort_keys=True)


def schema_of(body: Mapping[str, Any]) -> Any:
    form = body.get("response_format") or {"type": "text"}
    return form["type"], (form.get("json_schema") or {}).get("schema")


def one_of(names: tuple[str, ...], body: Mapping[str, Any]) -> Any:
    return next((body[name] for name in names if name in body), None)
