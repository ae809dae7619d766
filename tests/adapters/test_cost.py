"""Hostile bytes are cheap to refuse: no input of 100 KB takes noticeable time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from adapters import ADAPTERS, Adapter, ProviderError
from adapters.codec.collect import collect
from adapters.codec.sse import SseParser

SIZE = 100_000
MAX_CPU_S = 0.25  # usually a few milliseconds; five times the goal of 50 ms, for slow machines
UNITS = (
    "<think>", "</think>", "<", "`", "``` <think>", " ", "\n", "model ", "input token count ", "try again in 1",
    "[", '{"a":', '{"error":', '{\\"message\\":', "x-sk-", "0123456789abcdef", "requires the ", "Bearer ",
)  # fmt: skip


def filled(unit: str) -> str:
    return unit * (SIZE // len(unit))


def answer(text: str) -> bytes:
    said = {"content": text, "reasoning": text, "tool_calls": [{"function": {"name": text, "arguments": text}}]}
    parts = [{"text": text, "thought": False}]
    return json.dumps(
        {
            "choices": [{"message": said, "delta": said, "finish_reason": "stop"}],
            "content": [{"type": "text", "text": text}],
            "candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}],
            "message": {"content": [{"type": "text", "text": text}]},
        }
    ).encode()


def failure(text: str) -> bytes:
    return json.dumps({"error": {"message": text, "code": text, "metadata": {"raw": text}}, "detail": text}).encode()


SHAPES: tuple[Callable[[str], bytes], ...] = (answer, failure, lambda text: text.encode())


def read(adapter: Adapter, body: bytes, text: str) -> None:
    headers: dict[str, Any] = {"retry-after": text, "date": text, "x-ratelimit-reset-tokens": text}
    for status in (200, 429):
        with suppress(ProviderError):
            adapter.parse_response(status, headers, body)
    adapter.parse_limits(headers)
    with suppress(ProviderError):
        parser = SseParser()
        events = [*parser.feed(b"data: " + body + b"\n\n"), *parser.close()]
        collect(delta for event in events for delta in adapter.parse_event(event))


def cpu_s(adapter: Adapter, body: bytes, text: str) -> float:
    began = time.process_time()
    read(adapter, body, text)
    return time.process_time() - began


@pytest.mark.parametrize("name", ADAPTERS)
def test_no_input_is_expensive(name: str) -> None:
    for unit in UNITS:
        text = filled(unit)
        for shape in SHAPES:
            body = shape(text)
            spent = min(cpu_s(ADAPTERS[name], body, text) for _ in range(2))
            assert spent < MAX_CPU_S * len(body) / SIZE, (unit, spent)
