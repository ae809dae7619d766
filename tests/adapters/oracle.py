"""Reads recorded answers a second time, in the plainest way, so that the adapters are not judged by themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass
class Expected:
    """What a recorded answer says, in the terms of `Answer`."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    finish: str = "stop"
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    model: str = ""

    def finished(self, finish: str) -> Expected:
        self.finish = "tool_calls" if self.calls else finish
        return self


def events(body: bytes) -> list[Json]:
    """The JSON of a stream's events, by splitting at blank lines."""
    blocks = re.split(r"\r?\n\r?\n", body.decode())
    data = ["".join(line[5:] for line in block.splitlines() if line.startswith("data:")).strip() for block in blocks]
    return [json.loads(text) for text in data if text not in ("", "[DONE]")]


def expected(family: str, body: bytes, *, stream: bool) -> Expected:
    """The answer that `body` holds."""
    read = _STREAMS[family] if stream else _WHOLE[family]
    return read(events(body) if stream else json.loads(body))


def _arguments(text: str) -> Any:
    return json.loads(text or "{}")


def _untagged(said: Expected) -> Expected:
    if found := re.match(r"\s*<think>(.*?)(?:</think>\s*(.*)|$)", said.text, re.DOTALL):
        said.reasoning, said.text = said.reasoning + found[1], found[2] or ""
    return said


# --- OpenAI's form ---------------------------------------------------------------------------------------------------


def _openai_usage(said: Expected, used: Json | None) -> None:
    if used:
        said.input_tokens, said.output_tokens = used["prompt_tokens"], used.get("completion_tokens")
        hidden = (used.get("completion_tokens_details") or {}).get("reasoning_tokens", used.get("reasoning_tokens"))
        said.reasoning_tokens = hidden if hidden is None else min(hidden, said.output_tokens or 0)


def _openai_content(content: Any) -> tuple[str, str]:
    """Text and reasoning of a string, of Mistral's list of chunks, or of Cloudflare's JSON object."""
    if isinstance(content, dict):
        return json.dumps(content, separators=(",", ":"), ensure_ascii=False), ""
    if isinstance(content, str | None):
        return content or "", ""
    thoughts = [thought["text"] for chunk in content for thought in chunk.get("thinking", [])]
    return "".join(chunk.get("text", "") for chunk in content), "".join(thoughts)


def _openai_whole(document: Json) -> Expected:
    choice = document["choices"][0]
    message = choice["message"]
    text, thought = _openai_content(message.get("content"))
    said = Expected(
        text=text,
        reasoning=message.get("reasoning_content") or message.get("reasoning") or thought,
        refusal=message.get("refusal") or "",
        model=document["model"],
    )
    for call in message.get("tool_calls") or []:
        said.calls.append((call["function"]["name"], _arguments(call["function"]["arguments"])))
    _openai_usage(said, document.get("usage"))
    return _untagged(said).finished(_openai_finish(choice.get("finish_reason")))


def _openai_stream(documents: Iterable[Json]) -> Expected:
    said, finish = Expected(), ""
    calls: dict[int, list[str]] = {}
    for document in documents:
        said.model = document.get("model") or said.model
        _openai_usage(said, document.get("usage") or (document.get("x_groq") or {}).get("usage"))
        for choice in document["choices"]:
            delta = choice.get("delta") or {}
            text, thought = _openai_content(delta.get("content"))
            said.text += text
            said.reasoning += delta.get("reasoning_content") or delta.get("reasoning") or thought
            said.refusal += delta.get("refusal") or ""
            finish = choice.get("finish_reason") or finish
            for call in delta.get("tool_calls") or []:
                known = calls.setdefault(call["index"], ["", ""])
                known[0] = known[0] or call["function"].get("name") or ""
                known[1] += call["function"].get("arguments") or ""
    said.calls = [(name, _arguments(arguments)) for name, arguments in calls.values()]
    return _untagged(said).finished(_openai_finish(finish))


def _openai_finish(reason: str | None) -> str:
    return {"length": "length", "content_filter": "content_filter"}.get(reason or "", "stop")


def _beside(read: Callable[[Any], Expected]) -> Callable[[Any], Expected]:
    """xAI's form: reasoning is counted beside the completion, not in it."""

    def added(answer: Any) -> Expected:
        said = read(answer)
        documents = answer if isinstance(answer, list) else [answer]
        used = next((document["usage"] for document in reversed(documents) if document.get("usage")), None)
        if used:
            said.output_tokens = used["total_tokens"] - used["prompt_tokens"]
            said.reasoning_tokens = used["completion_tokens_details"]["reasoning_tokens"]
        return said

    return added


# --- Anthropic -------------------------------------------------------------------------------------------------------


def _anthropic_usage(said: Expected, used: Json) -> None:
    cached = (used.get("cache_creation_input_tokens") or 0) + (used.get("cache_read_input_tokens") or 0)
    said.input_tokens, said.output_tokens = used["input_tokens"] + cached, used["output_tokens"]
    said.reasoning_tokens = (used.get("output_tokens_details") or {}).get("thinking_tokens")


def _anthropic_finish(reason: str) -> str:
    return {"max_tokens": "length", "refusal": "content_filter"}.get(reason, "stop")


def _anthropic_whole(document: Json) -> Expected:
    blocks = document["content"]
    said = Expected(
        text="".join(block["text"] for block in blocks if block["type"] == "text"),
        reasoning="".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        calls=[(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"],
        model=document["model"],
    )
    _anthropic_usage(said, document["usage"])
    return said.finished(_anthropic_finish(document["stop_reason"]))


def _anthropic_stream(documents: Iterable[Json]) -> Expected:
    said, finish, used = Expected(), "", {}
    calls: dict[int, list[str]] = {}
    for document in documents:
        delta = document.get("delta") or {}
        if document["type"] == "message_start":
            said.model = document["message"]["model"]
            used = dict(document["message"]["usage"])
        elif document["type"] == "content_block_start" and document["content_block"]["type"] == "tool_use":
            calls[document["index"]] = [document["content_block"]["name"], ""]
        elif document["type"] == "content_block_delta":
            said.text += delta.get("text", "")
            said.reasoning += delta.get("thinking", "")
            if document["index"] in calls:
                calls[document["index"]][1] += delta.get("partial_json", "")
        elif document["type"] == "message_delta":
            finish = delta["stop_reason"]
            used |= document["usage"]
    said.calls = [(name, _arguments(arguments)) for name, arguments in calls.values()]
    _anthropic_usage(said, used)
    return said.finished(_anthropic_finish(finish))


# --- Gemini ----------------------------------------------------------------------------------------------------------


def _gemini_stream(documents: Iterable[Json]) -> Expected:
    said, finish = Expected(), ""
    for document in documents:
        said.model = document["modelVersion"]
        candidate = document["candidates"][0]
        finish = candidate.get("finishReason") or finish
        for part in candidate.get("content", {}).get("parts", []):
            if "functionCall" in part:
                said.calls.append((part["functionCall"]["name"], part["functionCall"].get("args", {})))
            elif part.get("thought"):
                said.reasoning += part["text"]
            else:
                said.text += part.get("text", "")
        used = document.get("usageMetadata", {})
        thought, candidates = used.get("thoughtsTokenCount"), used.get("candidatesTokenCount")
        if "promptTokenCount" in used:
            said.input_tokens = used["promptTokenCount"] + used.get("toolUsePromptTokenCount", 0)
        if thought is not None or candidates is not None:
            said.output_tokens = (candidates or 0) + (thought or 0)
        said.reasoning_tokens = thought if thought is not None else said.reasoning_tokens
    return said.finished({"MAX_TOKENS": "length"}.get(finish, "stop"))


def _gemini_whole(document: Json | list[Json]) -> Expected:
    return _gemini_stream(document if isinstance(document, list) else [document])


# --- Cohere ----------------------------------------------------------------------------------------------------------


def _cohere_end(said: Expected, ended: Json) -> Expected:
    billed, raw = ended["usage"]["billed_units"], ended["usage"]["tokens"]
    said.input_tokens, said.output_tokens = billed["input_tokens"], billed["output_tokens"]
    if "reasoning_tokens" in raw:
        said.reasoning_tokens = min(raw["reasoning_tokens"], billed["output_tokens"])
    return said.finished({"MAX_TOKENS": "length"}.get(ended["finish_reason"], "stop"))


def _cohere_whole(document: Json) -> Expected:
    message = document["message"]
    blocks = message.get("content") or []
    said = Expected(
        text="".join(block.get("text", "") for block in blocks),
        reasoning=message.get("tool_plan", "") + "".join(block.get("thinking", "") for block in blocks),
    )
    for call in message.get("tool_calls") or []:
        said.calls.append((call["function"]["name"], _arguments(call["function"]["arguments"])))
    return _cohere_end(said, document)


def _cohere_stream(documents: Iterable[Json]) -> Expected:
    said, ended = Expected(), {}
    calls: dict[int, list[str]] = {}
    for document in documents:
        if document["type"] == "message-end":
            ended = document["delta"]
            continue
        message = (document.get("delta") or {}).get("message") or {}
        said.reasoning += message.get("tool_plan") or ""
        if document["type"].startswith("content-"):
            said.text += (message.get("content") or {}).get("text", "")
            said.reasoning += (message.get("content") or {}).get("thinking", "")
        elif document["type"] in ("tool-call-start", "tool-call-delta"):
            function = message["tool_calls"]["function"]
            known = calls.setdefault(document["index"], [function.get("name", ""), ""])
            known[1] += function["arguments"]
    said.calls = [(name, _arguments(arguments)) for name, arguments in calls.values()]
    return _cohere_end(said, ended)


_WHOLE: dict[str, Callable[[Any], Expected]] = {
    "openai": _openai_whole,
    "xai": _beside(_openai_whole),
    "anthropic": _anthropic_whole,
    "gemini": _gemini_whole,
    "cohere": _cohere_whole,
}
_STREAMS: dict[str, Callable[[Any], Expected]] = {
    "openai": _openai_stream,
    "xai": _beside(_openai_stream),
    "anthropic": _anthropic_stream,
    "gemini": _gemini_stream,
    "cohere": _cohere_stream,
}
