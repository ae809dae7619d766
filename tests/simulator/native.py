"""Small clients for the three formats that are not OpenAI's: Anthropic's, Gemini's and Cohere's."""

from __future__ import annotations

import json
from typing import Any

from tests.simulator.speaking import FUNCTION, PNG_TEXT, WEATHER_TOOL, Body, Event, Said, Speaker, documents

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
    {"tools": [FUNCTION]},
    {"stop": "COMPLETE", "length": "MAX_TOKENS", "calls": "TOOL_CALL", "stopped": "STOP_SEQUENCE"},
)
