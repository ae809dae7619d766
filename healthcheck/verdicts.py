"""The probe question, what its answer says about a model's health, and the verdict that comes of it. Pure."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from adapters.errors import POLICY, ProviderError
from adapters.types import Answer, ChatRequest, Message, Text

Condition = Literal["healthy", "degraded", "down", "unknown"]

PROBE = ChatRequest(
    messages=(Message("user", (Text("Reply with exactly: OK"),)),),
    # Room to reason: with a handful of tokens a reasoning model would never come to its answer. No temperature, since
    # some models refuse one.
    params=MappingProxyType({"max_tokens": 512}),
)

_MEANS_OK = frozenset({"ok", "okay"})
_NO_WORD = re.compile(r"[\W_]+")
_DOTTED = re.compile(r"\bo\.\s?k\b")
_MAX_QUOTE = 80
_MAX_REASON = 300


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one probe found; `condition` is None when it says nothing about the model's health."""

    condition: Literal["healthy", "degraded", "down"] | None
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A model's health as of `at` (Unix time in s); `subject` is `provider/model`, `latency_ms` the probe's latency.

    `failed_once` when it rests on a single failure, because the second probe has to wait: then nothing that only a
    passing probe may do follows from it.
    """

    subject: str
    verdict: Condition
    at: float
    reason: str
    latency_ms: int | None = None
    failed_once: bool = False


def judge(outcome: Answer | ProviderError, *, leaked: bool = False) -> ProbeResult:
    """What a probe's outcome says; `leaked` when reasoning was streamed as text before it could be recognised."""
    if isinstance(outcome, ProviderError):
        return _of_failure(outcome)
    if leaked:
        return ProbeResult("degraded", "reasoning leaked into its text")
    if is_ok(outcome.text):
        return ProbeResult("healthy", "answered OK")
    if outcome.finish_reason == "length" and not outcome.text.strip():
        return ProbeResult("healthy", "spent all of its tokens on reasoning")
    return ProbeResult("degraded", f"answered something other than OK: {_said(outcome)}")


def is_ok(text: str) -> bool:
    """Whether a text is OK and nothing else, whatever its case, punctuation, quotes, markdown or emoji."""
    folded = _DOTTED.sub("ok", unicodedata.normalize("NFKC", text).casefold())
    return _NO_WORD.sub(" ", folded).strip() in _MEANS_OK


def _of_failure(error: ProviderError) -> ProbeResult:
    # Failures that the breaker ignores (a limit, a bill, a key, a retired model) have states of their own.
    counts = POLICY[error.kind].breaker == "failure"
    return ProbeResult("down" if counts else None, f"{error.kind.value}: {error.message}"[:_MAX_REASON])


def _said(answer: Answer) -> str:
    text = " ".join((answer.text or answer.refusal).split())
    if text:
        return f'"{text[: _MAX_QUOTE - 1]}…"' if len(text) > _MAX_QUOTE else f'"{text}"'
    return "a tool call" if answer.tool_calls else "nothing"
