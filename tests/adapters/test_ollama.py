"""Ollama's own chat endpoint: a message instead of choices, lines of JSON instead of events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters import compatible
from adapters.codec.collect import StreamCollector
from adapters.codec.sse import SseParser
from adapters.errors import ErrorKind
from adapters.types import Answer
from tests.support.paths import RECORDED
from tests.support.recorded import Recording, recordings

NATIVE = [chat for chat in recordings("ollama") if chat.request.get("url", "").endswith("/api/chat")]


def streamed(body: bytes, size: int) -> Answer:
    parser, collector = SseParser(), StreamCollector()
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    for event in [*(event for piece in pieces for event in parser.feed(piece)), *parser.close()]:
        for delta in compatible.parse_event(event):
            collector.add(delta)
    return collector.answer()


def lines(text: str, thought: str) -> bytes:
    said = [{"content": "", "thinking": word} for word in thought.split()] + [{"content": letter} for letter in text]
    documents: list[dict[str, Any]] = [{"model": "m", "message": {"role": "assistant", **piece}} for piece in said]
    end = {"done": True, "done_reason": "length", "prompt_eval_count": 7, "eval_count": 9}
    documents.append({"model": "m", "message": {"role": "assistant", "content": ""}, **end})
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


@pytest.mark.parametrize("size", [1, 2, 7, 10_000])
def test_lines_of_json_are_a_stream(size: int) -> None:
    answer = streamed(lines("héllo", "well then"), size)
    assert (answer.text, answer.reasoning, answer.finish_reason) == ("héllo", "wellthen", "length")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 9)


def test_a_tool_call_has_its_arguments_as_an_object() -> None:
    call = {"function": {"name": "get", "arguments": {"city": "Paris"}}}
    document = {
        "model": "m",
        "message": {"role": "assistant", "content": "", "tool_calls": [call]},
        "done_reason": "stop",
    }
    answer = compatible.parse_response(200, {}, json.dumps(document).encode())
    assert answer.finish_reason == "tool_calls"
    assert (answer.tool_calls[0].name, json.loads(answer.tool_calls[0].arguments)) == ("get", {"city": "Paris"})


@pytest.mark.skipif(not NATIVE, reason=f"no recorded exchanges at {RECORDED} (set QUORUM_RECORDED)")
@pytest.mark.parametrize("chat", NATIVE, ids=lambda chat: chat.stem[:60])
def test_recorded(chat: Recording) -> None:
    if chat.status != 200:
        error = compatible.parse_error(chat.status, chat.headers, chat.body)
        assert error.kind is ErrorKind.MODEL_GONE
        return
    documents = [json.loads(line) for line in chat.body.splitlines() if line.strip()]
    whole = compatible.parse_response(200, chat.headers, chat.body) if len(documents) == 1 else streamed(chat.body, 13)
    assert whole.text == "".join(document["message"]["content"] for document in documents)
    assert whole.reasoning == "".join(document["message"].get("thinking", "") for document in documents)
    assert whole.usage.output_tokens == documents[-1]["eval_count"]
    assert whole.response_model == documents[0]["model"]
    assert whole.finish_reason == "stop"
