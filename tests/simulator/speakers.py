"""How to speak to each simulated wire and read what it says: a small client, written apart from the adapters."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

PNG = b"\x89PNG\r\n\x1a\n" + bytes(92)
PNG_TEXT = base64.b64encode(PNG).decode()
WEATHER_TOOL: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}

Body = dict[str, Any]
Event = tuple[str, str]


@dataclass(frozen=True)
class Said:
    """An answer, read back: its text, thoughts, calls as (id, name, arguments), finish and tokens."""

    text: str
    reasoning: str
    calls: tuple[tuple[str, str, Body], ...]
    finish: str
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class Speaker:
    """One wire: how to ask and how to read. `stream_path` differs from `path` only at Gemini."""

    provider: str
    path: str
    stream_path: str
    model: str
    headers: Mapping[str, str]
    ask: Callable[..., Body]
    read: Callable[[Body], Said]
    read_stream: Callable[[list[Event]], Said]
    answer_tool: Callable[[Body, Body, str], Body]
    tool: Body
    finishes: Mapping[str, str]


def events(raw: bytes) -> list[Event]:
    """Server-sent events as (name, data)."""
    found = []
    for block in re.split(r"\r?\n\r?\n", raw.decode()):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in fields:
            found.append((fields.get("event", ""), fields["data"]))
    return found


def documents(found: Iterable[Event]) -> list[Any]:
    """The JSON of the events."""
    return [json.loads(data) for _, data in found if data != "[DONE]"]


# --- OpenAI and Groq


def _openai_ask(prompt: str, *, stream: bool = False, **more: Any) -> Body:
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


def _openai_read(body: Body) -> Said:
    choice, usage = body["choices"][0], body["usage"]
    calls = [
        (c["id"], c["function"]["name"], c["function"]["arguments"]) for c in choice["message"].get("tool_calls", [])
    ]
    return _openai_said(choice["message"], calls, choice["finish_reason"], usage)


def _openai_read_stream(found: list[Event]) -> Said:
    assert found[-1] == ("", "[DONE]")
    whole: Body = {"content": "", "reasoning": ""}
    calls: dict[int, list[str]] = {}
    finish = ""
    usage: Body = {}
    for chunk in documents(found):
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            finish = choice["finish_reason"] or finish
            for key in whole:
                whole[key] += choice["delta"].get(key) or ""
            for call in choice["delta"].get("tool_calls", []):
                entry = calls.setdefault(call["index"], [call.get("id", ""), call["function"].get("name", ""), ""])
                entry[2] += call["function"]["arguments"]
    return _openai_said(whole, [(a, b, c) for a, b, c in calls.values()], finish, usage)


def _openai_said(message: Body, calls: list[tuple[str, str, str]], finish: str, usage: Body) -> Said:
    read = tuple((ident, name, json.loads(arguments)) for ident, name, arguments in calls)
    tokens = (usage["prompt_tokens"], usage["completion_tokens"])
    return Said(message.get("content") or "", message.get("reasoning") or "", read, finish, *tokens)


def _openai_answer_tool(asked: Body, answer: Body, result: str) -> Body:
    message = answer["choices"][0]["message"]
    said = {"role": "assistant", "content": None, "tool_calls": message["tool_calls"]}
    back = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": result}
    return asked | {"messages": [*asked["messages"], said, back]}


_OPENAI_FINISHES = {"stop": "stop", "length": "length", "calls": "tool_calls", "stopped": "stop"}
_OPENAI_TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER_TOOL}}
OPENAI = Speaker(
    "openai",
    "/openai/v1/chat/completions",
    "/openai/v1/chat/completions",
    "gpt-4.1-mini",
    {"Authorization": "Bearer sk-test"},
    _openai_ask,
    _openai_read,
    _openai_read_stream,
    _openai_answer_tool,
    {"tools": [_OPENAI_TOOL]},
    _OPENAI_FINISHES,
)
GROQ = Speaker(
    "groq",
    "/groq/openai/v1/chat/completions",
    "/groq/openai/v1/chat/completions",
    "meta-llama/llama-4-scout",
    {"Authorization": "Bearer gsk_test"},
    _openai_ask,
    _openai_read,
    _openai_read_stream,
    _openai_answer_tool,
    {"tools": [_OPENAI_TOOL]},
    _OPENAI_FINISHES,
)

# --- Anthropic


def _anthropic_ask(prompt: str, *, stream: bool = False, **more: Any) -> Body:
    content: Any = prompt
    if more.pop("image", False):
        source = {"type": "base64", "media_type": "image/png", "data": PNG_TEXT}
        content = [{"type": "image", "source": source}, {"type": "text", "text": prompt}]
    if schema := more.pop("schema", None):
        strict = {"type": "json_schema", "schema": schema | {"additionalProperties": False}}
        more["output_config"] = {"format": strict}
    if stop := more.pop("stop", None):
        more["stop_sequences"] = stop
    limit = more.pop("max_tokens", 1000)
    messages = [{"role": "user", "content": content}]
    return {"model": more.pop("model"), "max_tokens": limit, "messages": messages, "stream": stream, **more}


def _anthropic_read(body: Body) -> Said:
    blocks = body["content"]
    text = "".join(block["text"] for block in blocks if block["type"] == "text")
    thought = "".join(block["thinking"] for block in blocks if block["type"] == "thinking")
    calls = tuple((b["id"], b["name"], b["input"]) for b in blocks if b["type"] == "tool_use")
    usage = body["usage"]
    return Said(text, thought, calls, body["stop_reason"], usage["input_tokens"], usage["output_tokens"])


def _anthropic_read_stream(found: list[Event]) -> Said:
    names = [name for name, _ in found]
    assert names[0] == "message_start"
    assert names[-2:] == ["message_delta", "message_stop"]
    assert "ping" in names
    blocks: list[Body] = []
    body: Body = {}
    for event in documents(found):
        if event["type"] == "message_start":
            body = event["message"]
        if event["type"] == "content_block_start":
            blocks.append(event["content_block"] | {"json": ""})
        if event["type"] == "content_block_delta":
            _anthropic_grow(blocks[event["index"]], event["delta"])
        if event["type"] == "message_delta":
            body |= {"stop_reason": event["delta"]["stop_reason"], "usage": event["usage"]}
    calls = [block for block in blocks if block["type"] == "tool_use"]
    for block in calls:
        block["input"] = json.loads(block["json"])
    return _anthropic_read(body | {"content": blocks})


def _anthropic_grow(block: Body, delta: Body) -> None:
    fields = {
        "text_delta": "text",
        "thinking_delta": "thinking",
        "signature_delta": "signature",
        "input_json_delta": "json",
    }
    field = fields[delta["type"]]
    block[field] += delta["partial_json" if field == "json" else field]


def _anthropic_answer_tool(asked: Body, answer: Body, result: str) -> Body:
    ident = next(block["id"] for block in answer["content"] if block["type"] == "tool_use")
    said = {"role": "assistant", "content": answer["content"]}
    back = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": ident, "content": result}]}
    return asked | {"messages": [*asked["messages"], said, back]}


ANTHROPIC = Speaker(
    "anthropic",
    "/anthropic/v1/messages",
    "/anthropic/v1/messages",
    "claude-haiku-4-5",
    {"x-api-key": "sk-ant-test", "anthropic-version": "2023-06-01"},
    _anthropic_ask,
    _anthropic_read,
    _anthropic_read_stream,
    _anthropic_answer_tool,
    {"tools": [{"name": "get_weather", "input_schema": WEATHER_TOOL}]},
    {"stop": "end_turn", "length": "max_tokens", "calls": "tool_use", "stopped": "stop_sequence"},
)

# --- Gemini


def _gemini_ask(prompt: str, *, stream: bool = False, **more: Any) -> Body:
    more.pop("model", None)
    parts: list[Body] = [{"text": prompt}]
    if more.pop("image", False):
        parts.append({"inlineData": {"mimeType": "image/png", "data": PNG_TEXT}})
    config: Body = more.pop("config", {})
    if schema := more.pop("schema", None):
        config |= {"responseMimeType": "application/json", "responseJsonSchema": schema}
    if stop := more.pop("stop", None):
        config |= {"stopSequences": stop}
    if limit := more.pop("max_tokens", None):
        config |= {"maxOutputTokens": limit}
    body = {"contents": [{"role": "user", "parts": parts}], **more}
    return body | ({"generationConfig": config} if config else {})


def _gemini_read(body: Body) -> Said:
    candidate, usage = body["candidates"][0], body["usageMetadata"]
    parts = candidate["content"].get("parts", [])
    text = "".join(part["text"] for part in parts if "text" in part and not part.get("thought"))
    thought = "".join(part["text"] for part in parts if part.get("thought"))
    calls = tuple(
        ("", part["functionCall"]["name"], part["functionCall"]["args"]) for part in parts if "functionCall" in part
    )
    output = usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
    return Said(text, thought, calls, candidate["finishReason"], usage["promptTokenCount"], output)


def _gemini_read_stream(found: list[Event]) -> Said:
    chunks = documents(found)
    parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    last = chunks[-1]
    return _gemini_read(last | {"candidates": [last["candidates"][0] | {"content": {"parts": parts}}]})


def _gemini_answer_tool(asked: Body, answer: Body, result: str) -> Body:
    content = answer["candidates"][0]["content"]
    name = content["parts"][0]["functionCall"]["name"]
    back = {"role": "user", "parts": [{"functionResponse": {"name": name, "response": {"result": result}}}]}
    return asked | {"contents": [*asked["contents"], content, back]}


GEMINI = Speaker(
    "gemini",
    "/gemini/v1beta/models/gemini-2.0-flash:generateContent",
    "/gemini/v1beta/models/gemini-2.0-flash:streamGenerateContent?alt=sse",
    "gemini-2.0-flash",
    {"x-goog-api-key": "AIza-test"},
    _gemini_ask,
    _gemini_read,
    _gemini_read_stream,
    _gemini_answer_tool,
    {"tools": [{"functionDeclarations": [{"name": "get_weather", "parameters": WEATHER_TOOL}]}]},
    {"stop": "STOP", "length": "MAX_TOKENS", "calls": "STOP", "stopped": "STOP"},
)

# --- Cohere


def _cohere_ask(prompt: str, *, stream: bool = False, **more: Any) -> Body:
    content: Any = prompt
    if more.pop("image", False):
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG_TEXT}"}}
        content = [{"type": "text", "text": prompt}, image]
    if schema := more.pop("schema", None):
        more["response_format"] = {"type": "json_object", "json_schema": schema}
    if stop := more.pop("stop", None):
        more["stop_sequences"] = stop
    return {"model": more.pop("model"), "messages": [{"role": "user", "content": content}], "stream": stream, **more}


def _cohere_read(body: Body) -> Said:
    message, usage = body["message"], body["usage"]["billed_units"]
    content = message.get("content", [])
    text = "".join(part["text"] for part in content if part["type"] == "text")
    thought = "".join(part["thinking"] for part in content if part["type"] == "thinking")
    found = [
        (c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in message.get("tool_calls", [])
    ]
    return Said(text, thought, tuple(found), body["finish_reason"], usage["input_tokens"], usage["output_tokens"])


def _cohere_read_stream(found: list[Event]) -> Said:
    assert found[0][0] == "message-start"
    assert found[-1] == ("", "[DONE]")
    content: dict[int, Body] = {}
    calls: dict[int, Body] = {}
    end: Body = {}
    for event in documents(found):
        message = event.get("delta", {}).get("message", {})
        if event["type"] == "content-start":
            content[event["index"]] = message["content"]
        if event["type"] == "content-delta":
            for key, piece in message["content"].items():
                content[event["index"]][key] += piece
        if event["type"] == "tool-call-start":
            calls[event["index"]] = message["tool_calls"]
        if event["type"] == "tool-call-delta":
            calls[event["index"]]["function"]["arguments"] += message["tool_calls"]["function"]["arguments"]
        if event["type"] == "message-end":
            end = event["delta"]
    return _cohere_read({"message": {"content": list(content.values()), "tool_calls": list(calls.values())}, **end})


def _cohere_answer_tool(asked: Body, answer: Body, result: str) -> Body:
    message = answer["message"]
    said = {"role": "assistant", "tool_calls": message["tool_calls"], "tool_plan": message["tool_plan"]}
    back = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": result}
    return asked | {"messages": [*asked["messages"], said, back]}


COHERE = Speaker(
    "cohere",
    "/cohere/v2/chat",
    "/cohere/v2/chat",
    "command-a-03-2025",
    {"Authorization": "Bearer co-test"},
    _cohere_ask,
    _cohere_read,
    _cohere_read_stream,
    _cohere_answer_tool,
    {"tools": [_OPENAI_TOOL]},
    {"stop": "COMPLETE", "length": "MAX_TOKENS", "calls": "TOOL_CALL", "stopped": "STOP_SEQUENCE"},
)

SPEAKERS = (OPENAI, ANTHROPIC, GEMINI, COHERE, GROQ)
