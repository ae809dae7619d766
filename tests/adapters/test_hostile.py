"""Whatever a provider sends, an adapter gives an answer or raises `ProviderError`: never anything else."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import ADAPTERS, Adapter, ProviderError
from adapters.codec.collect import collect
from adapters.codec.json_values import MAX_COUNT
from adapters.codec.sse import SseParser
from adapters.types import Answer

OPENAI_CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
OPENAI_USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
OPENAI_PARTS = {"content": "<think>hm</think>Hi", "reasoning": "hm", "refusal": None, "tool_calls": [OPENAI_CALL]}
OPENAI = {
    "id": "r",
    "model": "m",
    "choices": [{"index": 0, "message": OPENAI_PARTS, "delta": OPENAI_PARTS, "finish_reason": "stop"}],
    "usage": OPENAI_USAGE,
}
ANTHROPIC_BLOCKS = [
    {"type": "thinking", "thinking": "hm", "signature": "s"},
    {"type": "text", "text": "Hi"},
    {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
]
ANTHROPIC_USAGE = {"input_tokens": 9, "cache_read_input_tokens": 1, "output_tokens": 5}
WHOLE: dict[str, Any] = {
    **dict.fromkeys(ADAPTERS, OPENAI),
    "anthropic": {
        "id": "r",
        "type": "message",
        "model": "m",
        "content": ANTHROPIC_BLOCKS,
        "stop_reason": "end_turn",
        "usage": ANTHROPIC_USAGE,
    },
    "gemini": {
        "candidates": [
            {
                "content": {
                    "parts": [{"text": "hm", "thought": True}, {"functionCall": {"name": "f", "args": {"a": 1}}}]
                },
                "finishReason": "STOP",
            }
        ],
        "promptFeedback": {},
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 5, "thoughtsTokenCount": 2},
        "modelVersion": "m",
        "responseId": "r",
    },
    "cohere": {
        "id": "r",
        "message": {"content": [{"type": "text", "text": "Hi"}], "tool_plan": "hm", "tool_calls": [OPENAI_CALL]},
        "finish_reason": "COMPLETE",
        "usage": {"billed_units": {"input_tokens": 9, "output_tokens": 5}, "tokens": {"reasoning_tokens": 2}},
    },
}
EVENTS: dict[str, list[Any]] = {
    "anthropic": [
        {"type": "message_start", "message": {"id": "r", "model": "m", "usage": ANTHROPIC_USAGE}},
        *(
            {"type": "content_block_start", "index": at, "content_block": block}
            for at, block in enumerate(ANTHROPIC_BLOCKS)
        ),
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ],
    "cohere": [
        {"type": "message-start", "id": "r"},
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hi"}}}},
        {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": OPENAI_CALL}}},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": WHOLE["cohere"]["usage"]}},
    ],
}
ERRORS: list[Any] = [
    {
        "error": {
            "message": "m",
            "type": "t",
            "code": "c",
            "details": [{"reason": "r", "violations": [{"quotaId": "q"}]}],
        }
    },
    {"error": {"code": 429, "message": "m", "metadata": {"raw": "r", "headers": {"X-RateLimit-Reset": "1"}}}},
    {"errors": [{"code": 7, "message": "m"}], "success": False, "message": {"detail": [{"msg": "m"}]}},
]
JUNK: list[Any] = [
    None, True, False, 0, -1, 1.5, 2**63, -(2**63), 1e308, "", "x", "error", "NaN", "\x00\u202e", "<think>", "9" * 400,
    [], {}, [None], [[]], [{}], {"a": {"b": []}}, {"error": 1}, {"text": 3}, [{"message": 4}],
    {"message": {"message": {}}},
]  # fmt: skip
mutations = st.lists(st.tuples(st.integers(0, 200), st.sampled_from(JUNK)), min_size=1, max_size=3)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) inside `value`."""
    keys: Any = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in ((value, key), *places(value[key]))]


def mutated(document: Any, changes: list[tuple[int, Any]]) -> bytes:
    copy = json.loads(json.dumps(document))
    for number, junk in changes:
        if found := places(copy):
            container, key = found[number % len(found)]
            container[key] = json.loads(json.dumps(junk))  # a copy, for junk put into itself would be a ring
    return json.dumps(copy).encode()


def sound(answer: Answer) -> None:
    """An answer has the types it promises, whatever it was made of."""
    for text in (answer.text, answer.reasoning, answer.refusal, answer.response_model, answer.response_id):
        assert type(text) is str
    for call in answer.tool_calls:
        assert (type(call.id), type(call.name), type(call.arguments)) == (str, str, str)
        assert call.id
        assert call.name
    used = answer.usage
    for count in (used.input_tokens, used.cached_tokens, used.output_tokens, used.reasoning_tokens):
        assert count is None or (type(count) is int and 0 <= count <= MAX_COUNT)
    assert answer.finish_reason in ("stop", "length", "tool_calls", "content_filter")


def try_whole(adapter: Adapter, body: bytes, status: int = 200) -> None:
    with suppress(ProviderError):
        sound(adapter.parse_response(status, {}, body))


def try_stream(adapter: Adapter, body: bytes) -> None:
    parser = SseParser()
    events = [*parser.feed(body), *parser.close()]
    with suppress(ProviderError):
        sound(collect(delta for event in events for delta in adapter.parse_event(event)))


@pytest.mark.parametrize("name", ADAPTERS)
def test_the_unchanged_examples_are_answers(name: str) -> None:
    sound(ADAPTERS[name].parse_response(200, {}, json.dumps(WHOLE[name]).encode()))
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in EVENTS.get(name, [WHOLE[name]]))
    parser = SseParser()
    sound(collect(delta for event in parser.feed(body) for delta in ADAPTERS[name].parse_event(event)))


@pytest.mark.parametrize("name", ADAPTERS)
@settings(derandomize=True, max_examples=100, deadline=None)
@given(mutations)
def test_whole_answers_with_junk_inside(name: str, changes: list[tuple[int, Any]]) -> None:
    try_whole(ADAPTERS[name], mutated(WHOLE[name], changes))


@pytest.mark.parametrize("name", ADAPTERS)
@settings(derandomize=True, max_examples=100, deadline=None)
@given(mutations)
def test_streams_with_junk_inside(name: str, changes: list[tuple[int, Any]]) -> None:
    documents = json.loads(mutated(EVENTS.get(name, [WHOLE[name]]), changes))
    try_stream(ADAPTERS[name], b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in documents))


@pytest.mark.parametrize("name", ADAPTERS)
@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.sampled_from(ERRORS), mutations, st.sampled_from([200, 400, 401, 404, 429, 503, 999]))
def test_errors_with_junk_inside(name: str, document: Any, changes: list[tuple[int, Any]], status: int) -> None:
    body = mutated(document, changes)
    try_whole(ADAPTERS[name], body, status)
    assert isinstance(ADAPTERS[name].parse_error(status, {}, body), ProviderError)


@pytest.mark.parametrize("name", ADAPTERS)
@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 400))
def test_bodies_with_bytes_replaced(name: str, noise: bytes, start: int, length: int) -> None:
    body = json.dumps(WHOLE[name]).encode()
    torn = body[:start] + noise + body[start + length :]
    try_whole(ADAPTERS[name], torn)
    try_stream(ADAPTERS[name], b"data: " + torn)


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize(
    "value",
    ["[" * 100_000, "[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900, "NaN", "1e999", "-" * 50, "9" * 5000],
)
def test_json_that_is_deep_or_impossible(name: str, value: str) -> None:
    for text in json_with(WHOLE[name], value):
        try_whole(ADAPTERS[name], text.encode())
        try_stream(ADAPTERS[name], f"data: {text}\n\n".encode())


def json_with(document: Any, value: str) -> list[str]:
    """`document` once for every place in it, with `value` written there."""
    count = len(places(document))
    return [mutated(document, [(number, "@@")]).decode().replace('"@@"', value) for number in range(count)] + [value]
