"""Every recorded exchange of the providers with an adapter of their own, and of many that go through `compatible`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

import pytest

from adapters import ADAPTERS, ProviderError
from adapters.collect import collect
from adapters.errors import ErrorKind as Kind
from adapters.sse import SseParser
from adapters.types import Adapter, Answer, Event
from tests.adapters.oracle import Expected, expected
from tests.recorded import FOLDER, Recording, recordings

FAMILY = {
    "openai": "openai",
    "groq": "openai",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "vertex": "gemini",
    "cohere": "cohere",
}
COMPATIBLE = (
    "azure", "cerebras", "cloudflare", "deepseek", "fireworks", "github", "huggingface", "mistral", "nvidia",
    "ollama", "openrouter", "sambanova", "together", "xai",
)  # fmt: skip
# Errors that come with status 200: inside a stream, as a finish reason, or as a filter's empty answer.
INSIDE = {
    "anthropic/documented-refusal": Kind.CONTENT_FILTER,
    "anthropic/documented-stream-error": Kind.OVERLOADED,
    "gemini/documented-malformed-function-call": Kind.BAD_RESPONSE,
    "gemini/documented-prompt-blocked": Kind.CONTENT_FILTER,
    "groq/stream-error__pydantic-ai__test-tool-use-failed-error-streaming__0": Kind.BAD_RESPONSE,
    "openai/documented-content-filter": Kind.CONTENT_FILTER,
}
BY_STATUS = {400: Kind.INVALID_REQUEST, 401: Kind.AUTH, 403: Kind.AUTH, 404: Kind.MODEL_GONE}
KINDS = {
    "anthropic/documented-error-400-credit": Kind.BILLING,
    "anthropic/documented-error-402": Kind.BILLING,
    "anthropic/documented-error-413": Kind.CONTEXT_LENGTH,
    "anthropic/documented-error-429": Kind.RATE_LIMITED,
    "anthropic/documented-error-429-spend": Kind.QUOTA_EXHAUSTED,
    "anthropic/documented-error-500": Kind.SERVER_ERROR,
    "anthropic/documented-error-504": Kind.SERVER_ERROR,
    "anthropic/documented-error-529": Kind.OVERLOADED,
    "cohere/documented-error-402": Kind.BILLING,
    "cohere/documented-error-429-minute": Kind.RATE_LIMITED,
    "cohere/documented-error-429-month": Kind.QUOTA_EXHAUSTED,
    "cohere/documented-error-429-tokens": Kind.RATE_LIMITED,
    "cohere/documented-error-499": Kind.SERVER_ERROR,
    "cohere/error-400__ruby-llm__chat-real-error-scenarios-cohere-command-a-03-2025-ha-3b5be1__0": Kind.CONTEXT_LENGTH,
    "gemini/documented-error-400-context": Kind.CONTEXT_LENGTH,
    "gemini/documented-error-400-location": Kind.AUTH,
    "gemini/documented-error-429-array": Kind.RATE_LIMITED,
    "gemini/documented-error-429-free-day": Kind.QUOTA_EXHAUSTED,
    "gemini/documented-error-429-free-minute": Kind.RATE_LIMITED,
    "gemini/documented-error-500": Kind.SERVER_ERROR,
    "gemini/documented-error-503": Kind.OVERLOADED,
    "gemini/documented-error-504": Kind.SERVER_ERROR,
    "gemini/error-400__ruby-llm__chat-error-handling-with-gemini-gemini-2-5-flash-rais-4537e6__0": Kind.AUTH,
    "gemini/error-429__vercel-ai__google-429-retry-info__0": Kind.RATE_LIMITED,
    "groq/documented-error-400-context": Kind.CONTEXT_LENGTH,
    "groq/documented-error-400-decommissioned": Kind.MODEL_GONE,
    "groq/documented-error-400-json": Kind.BAD_RESPONSE,
    "groq/documented-error-413-tpm": Kind.CONTEXT_LENGTH,
    "groq/documented-error-429-rpd": Kind.QUOTA_EXHAUSTED,
    "groq/documented-error-429-tpd": Kind.QUOTA_EXHAUSTED,
    "groq/documented-error-429-tpm": Kind.RATE_LIMITED,
    "groq/documented-error-498-flex": Kind.OVERLOADED,
    "groq/documented-error-503": Kind.SERVER_ERROR,
    "groq/error-400__pydantic-ai__test-tool-use-failed-error__0": Kind.BAD_RESPONSE,
    "openai/documented-error-400-context": Kind.CONTEXT_LENGTH,
    "openai/documented-error-429-credit": Kind.BILLING,
    "openai/documented-error-429-quota": Kind.BILLING,
    "openai/documented-error-429-rate": Kind.RATE_LIMITED,
    "openai/documented-error-429-rpd": Kind.QUOTA_EXHAUSTED,
    "openai/documented-error-429-slow-down": Kind.RATE_LIMITED,
    "openai/documented-error-503": Kind.OVERLOADED,
    "vertex/error-400__ruby-llm__chat-real-error-scenarios-vertexai-gemini-2-5-flash-h-263470__1": Kind.CONTEXT_LENGTH,
}  # fmt: skip
EVERY_CUT_UP_TO = 16 * 1024
STRIDE = 509  # a prime, so that larger bodies are cut at ever other places of their lines

SERVED_BY = {**{adapter: adapter for adapter in ADAPTERS}, "vertex": "gemini"}

Tally = Callable[[str, str], None]
NATIVE = recordings(*FAMILY)
OTHERS = recordings(*COMPATIBLE)
pytestmark = pytest.mark.skipif(not NATIVE, reason=f"no recorded traffic at {FOLDER} (QUORUM_RECORDED)")


def named(found: Iterable[Recording]) -> list[object]:
    return [pytest.param(recording, id=recording.name) for recording in found]


def stream_answer(adapter: Adapter, events: Iterable[Event]) -> Answer:
    return collect(delta for event in events for delta in adapter.parse_event(event))


def parsed(pieces: Iterable[bytes]) -> list[Event]:
    parser = SseParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.close()


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
    return recording.status == 200 and recording.name not in INSIDE


@pytest.mark.parametrize("recording", named(filter(is_answer, NATIVE)))
def test_answers(recording: Recording, tally: Tally) -> None:
    answer = answer_to(ADAPTERS[SERVED_BY[recording.provider]], recording)
    wanted = expected(FAMILY[recording.provider], recording.body, stream=recording.is_stream)
    assert as_expected(answer) == wanted
    assert len({call.id for call in answer.tool_calls} - {""}) == len(answer.tool_calls)
    tally(recording.provider, "stream" if recording.is_stream else "whole")


@pytest.mark.parametrize("recording", named(r for r in NATIVE if not is_answer(r)))
def test_errors(recording: Recording, tally: Tally) -> None:
    with pytest.raises(ProviderError) as raised:
        answer_to(ADAPTERS[SERVED_BY[recording.provider]], recording)
    wanted = INSIDE.get(recording.name) or KINDS.get(recording.name) or BY_STATUS[recording.status]
    assert raised.value.kind is wanted
    assert raised.value.message
    tally(recording.provider, "error")


@pytest.mark.parametrize("recording", named(r for r in NATIVE if r.is_stream))
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


@pytest.mark.parametrize("recording", named(OTHERS))
def test_compatible_takes_every_wire_it_may_meet(recording: Recording, tally: Tally) -> None:
    """Endpoints of other adapters are met behind proxies: whatever they send, it is an answer or a `ProviderError`."""
    answer = answer_or_error(recording)
    if isinstance(answer, ProviderError):
        assert recording.status != 200 or "error" in recording.stem or b'"choices"' not in recording.body
        tally(recording.provider, "error")
    else:
        assert recording.status == 200
        assert_text_kept(recording, answer)
        tally(recording.provider, "stream" if recording.is_stream else "whole")


def answer_or_error(recording: Recording) -> Answer | ProviderError:
    try:
        return answer_to(ADAPTERS["compatible"], recording)
    except ProviderError as error:
        return error


def assert_text_kept(recording: Recording, answer: Answer) -> None:
    if recording.provider in ("mistral", "cloudflare"):  # content in chunks and objects: their own tests look closer
        assert answer.text or answer.tool_calls or answer.reasoning
        return
    wanted = expected("openai", recording.body, stream=recording.is_stream)
    found = as_expected(answer)
    assert (found.text, found.reasoning, found.calls) == (wanted.text, wanted.reasoning, wanted.calls)
    assert found.finish == wanted.finish
