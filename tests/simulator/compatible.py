"""A small client for OpenAI's format, in the dialects of the nine providers that use it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.simulator.speaking import FUNCTION, PNG_TEXT, Body, Event, Said, Speaker, documents

FINISHES = {"stop": "stop", "length": "length", "calls": "tool_calls", "stopped": "stop"}
THOUGHTS = ("reasoning", "reasoning_content")


def _ask(prompt: str, *, stream: bool = False, **more: Any) -> Body:
    content: Any = prompt
    if more.pop("image", False):
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG_TEXT}"}}
        content = [{"type": "text", "text": prompt}, image]
    if schema := more.pop("schema", None):
        strict = {"name": "answer", "schema": schema | {"additionalProperties": False}, "strict": True}
        more["response_format"] = {"type": "json_schema", "json_schema": strict}
    if stop := more.pop("stop", None):
        more["stop"] = stop
    if limit := more.pop("max_tokens", None):
        more["max_completion_tokens"] = limit
    body = {"model": more.pop("model"), "messages": [{"role": "user", "content": content}], **more}
    return body | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})


def _ask_mistral(prompt: str, **more: Any) -> Body:
    renamed = {"max_completion_tokens": "max_tokens"}
    body = _ask(prompt, **more)
    return {renamed.get(key, key): value for key, value in body.items() if key != "stream_options"}


def _read(body: Body) -> Said:
    choice = body["choices"][0]
    calls = [
        (c["id"], c["function"]["name"], c["function"]["arguments"]) for c in choice["message"].get("tool_calls") or []
    ]
    return _said(choice["message"], calls, choice["finish_reason"], body.get("usage") or {})


def _read_stream(found: list[Event], *, marked: bool = True) -> Said:
    assert (found[-1] == ("", "[DONE]")) == marked
    whole: Body = {"content": "", "reasoning": ""}
    calls: dict[int, list[str]] = {}
    finish = ""
    usage: Body = {}
    for chunk in documents(found):
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            finish = choice.get("finish_reason") or finish
            text, thought = _content(choice["delta"].get("content"))
            whole["content"] += text
            whole["reasoning"] += thought + "".join(choice["delta"].get(key) or "" for key in THOUGHTS)
            for call in choice["delta"].get("tool_calls", []):
                entry = calls.setdefault(call["index"], [call.get("id", ""), call["function"].get("name", ""), ""])
                entry[2] += call["function"]["arguments"]
    return _said(whole, [(a, b, c) for a, b, c in calls.values()], finish, usage)


def _said(message: Body, calls: list[tuple[str, str, str]], finish: str, usage: Body) -> Said:
    read = tuple((ident, name, json.loads(arguments)) for ident, name, arguments in calls)
    tokens = (usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0))
    text, thought = _content(message.get("content"))
    thought += "".join(message.get(key) or "" for key in THOUGHTS)
    return Said(text, thought, read, finish, *tokens)


def _content(content: Any) -> tuple[str, str]:
    """Text and reasoning of message content: a string, an object of JSON mode, or a list of parts."""
    if isinstance(content, dict):
        return json.dumps(content), ""
    chunks: list[Body] = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    thoughts = [part["text"] for chunk in chunks if chunk["type"] == "thinking" for part in chunk["thinking"]]
    return "".join(chunk["text"] for chunk in chunks if chunk["type"] == "text"), "".join(thoughts)


def _answer_tool(asked: Body, answer: Body, result: str) -> Body:
    message = answer["choices"][0]["message"]
    said = {"role": "assistant", "content": "", "tool_calls": message["tool_calls"]}
    back = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": result}
    return asked | {"messages": [*asked["messages"], said, back]}


def _speaker(provider: str, base: str, model: str, ask: Callable[..., Body] = _ask, *, marked: bool = True) -> Speaker:
    path = f"/{provider}{base}/chat/completions"
    return Speaker(
        provider,
        path,
        path,
        model,
        {"Authorization": "Bearer sk-test"},
        ask,
        _read,
        partial(_read_stream, marked=marked),
        _answer_tool,
        {"tools": [FUNCTION]},
        FINISHES,
    )


OPENAI = _speaker("openai", "/v1", "gpt-4.1-mini")
GROQ = _speaker("groq", "/openai/v1", "meta-llama/llama-4-scout")
XAI = _speaker("xai", "/v1", "grok-4.20-non-reasoning")
MISTRAL = _speaker("mistral", "/v1", "mistral-small-latest", _ask_mistral)
CEREBRAS = _speaker("cerebras", "/v1", "llama-3.3-70b", marked=False)
OPENROUTER = _speaker("openrouter", "/api/v1", "google/gemini-2.0-flash-exp:free")
CLOUDFLARE = _speaker("cloudflare", "/client/v4/accounts/some/ai/v1", "@cf/meta/llama-3.3-70b-instruct-fp8-fast")
NVIDIA = _speaker("nvidia", "/v1", "meta/llama-4-maverick-17b-128e-instruct")
HUGGINGFACE = _speaker("huggingface", "/v1", "meta-llama/Llama-3.1-8B-Instruct:cerebras", marked=False)
