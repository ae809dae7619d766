"""Every recorded chat, parsed by its provider's adapter and compared with a second reading of the same bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

import pytest

from adapters import ADAPTERS, Adapter, ProviderError
from adapters.codec.collect import collect
from adapters.codec.sse import SseEvent, SseParser
from adapters.types import Answer
from tests.adapters.oracle import Expected, expected
from tests.adapters.recorded_errors import BY_STATUS, TOLD
from tests.support.paths import RECORDED
from tests.support.recorded import Recording, recordings

PROVIDERS = (
    "anthropic", "azure", "cerebras", "cloudflare", "cohere", "deepseek", "fireworks", "gemini", "github", "groq",
    "huggingface", "mistral", "nvidia", "ollama", "openai", "openrouter", "sambanova", "together", "vertex", "xai",
)  # fmt: skip
SERVED_BY = {**{adapter: adapter for adapter in ADAPTERS}, "vertex": "gemini"}  # all others by `compatible`
FORM = {"anthropic": "anthropic", "cohere": "cohere", "gemini": "gemini", "vertex": "gemini", "xai": "xai"}
EVERY_CUT_UP_TO = 4 * 1024
STRIDE = 509  # a prime, so that larger bodies are cut at ever other places of their lines

Tally = Callable[[str, str], None]
CHATS = [chat for chat in recordings(*PROVIDERS) if not chat.request.get("url", "").endswith("/api/chat")]
pytestmark = pytest.mark.skipif(not CHATS, reason=f"no recorded traffic at {RECORDED} (QUORUM_RECORDED)")


def named(found: Iterable[Recording]) -> list[object]:
    return [pytest.param(recording, id=recording.name) for recording in found]


def stream_answer(adapter: Adapter, events: Iterable[SseEvent]) -> Answer:
    return collect(delta for event in events for delta in adapter.parse_event(event))


def parsed(pieces: Iterable[bytes]) -> list[SseEvent]:
    parser = SseParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.close()


def adapter_of(recording: Recording) -> Adapter:
    return ADAPTERS[SERVED_BY.get(recording.provider, "compatible")]


def answer_to(adapter: Adapter, recording: Recording) -> Answer:
    if recording.is_stream:
        return stream_answer(adapter, parsed([recording.body]))
    return adapter.parse_response(recording.status, recording.headers, recording.body)


def as_expected(answer: Answer) -> Expected:
    return Expected(
        text=answer.text,
        reasoning=answer.reasoning,
        refusal=answer.refusal,
        calls=[(call.name, json.loads(call.arguments)) for call in answer.tool_calls],
        finish=answer.finish_reason,
        input_tokens=answer.usage.input_tokens,
        output_tokens=answer.usage.output_tokens,
        reasoning_tokens=answer.usage.reasoning_tokens,
        model=answer.response_model,
    )


def is_answer(recording: Recording) -> bool:
    return recording.status == 200 and recording.name not in TOLD


@pytest.mark.parametrize("recording", named(filter(is_answer, CHATS)))
def test_answers(recording: Recording, tally: Tally) -> None:
    answer = answer_to(adapter_of(recording), recording)
    wanted = expected(FORM.get(recording.provider, "openai"), recording.body, stream=recording.is_stream)
    assert as_expected(answer) == wanted
    assert len({call.id for call in answer.tool_calls} - {""}) == len(answer.tool_calls)
    tally(recording.provider, "stream" if recording.is_stream else "whole")


@pytest.mark.parametrize("recording", named(r for r in CHATS if not is_answer(r)))
def test_errors(recording: Recording, tally: Tally) -> None:
    with pytest.raises(ProviderError) as raised:
        answer_to(adapter_of(recording), recording)
    found = raised.value
    wanted = TOLD.get(recording.name) or BY_STATUS[recording.status]
    assert (found.kind, found.scope, found.retry_after_s) == wanted
    assert found.message
    tally(recording.provider, "error")


@pytest.mark.parametrize("recording", named(r for r in CHATS if r.is_stream))
def test_streams_cut_anywhere(recording: Recording) -> None:
    body = recording.body
    whole = parsed([body])
    assert parsed(body[at : at + 1] for at in range(len(body))) == whole
    for at in cuts(body):
        assert parsed([body[:at], body[at:]]) == whole, at


def cuts(body: bytes) -> Iterator[int]:
    """Every place to cut a small body in two; in a large one those where something could go wrong, and some others."""
    if len(body) <= EVERY_CUT_UP_TO:
        return iter(range(len(body) + 1))
    odd = set(range(0, len(body), STRIDE))
    lines = [at for at, byte in enumerate(body) if byte in b"\r\n"][:: 1 + len(body) // (4 * EVERY_CUT_UP_TO)]
    odd.update(at + near for at in lines for near in range(-3, 4))
    odd.update(at for at, byte in enumerate(body) if byte >= 0x80)
    return (at for at in sorted(odd) if 0 <= at <= len(body))
