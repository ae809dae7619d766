"""The question every model is asked, and what its answer says of its health. Pure."""

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
    # Room to think: with a handful of tokens a reasoning model would never come to its answer. No temperature, since
    # some models refuse one.
    params=MappingProxyType({"max_tokens": 512}),
)

_MEANS_OK = frozenset({"ok", "okay"})
_NO_WORD = re.compile(r"[\W_]+")
_DOTTED = re.compile(r"\bo\.\s?k\b")
_MAX_QUOTE = 80
_MAX_REASON = 300
FAILED_ONCE = "failed once: "  # how the reason of a verdict begins that rests on one failure


@dataclass(frozen=True, slots=True)
class Finding:
    """What one probe came to; `condition` None when it says nothing of the model's health."""

    condition: Literal["healthy", "degraded", "down"] | None
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A model's health as of `at` (Unix time); `subject` is `provider/model`, `latency_ms` that of the probe."""

    subject: str
    verdict: Condition
    at: float
    reason: str
    latency_ms: int | None = None

    @property
    def failed_once(self) -> bool:
        """Whether it rests on a single failure, since a second look has to wait."""
        return self.reason.startswith(FAILED_ONCE)


def judge(outcome: Answer | ProviderError, *, leaked: bool = False) -> Finding:
    """What a probe's outcome says; `leaked` when thoughts had come as text before they were known as thoughts."""
    if isinstance(outcome, ProviderError):
        return _of_failure(outcome)
    if leaked:
        return Finding("degraded", "its thoughts came as text")
    if is_ok(outcome.text):
        return Finding("healthy", "answered OK")
    if outcome.finish_reason == "length" and not outcome.text.strip():
        return Finding("healthy", "thought until its tokens were spent")
    return Finding("degraded", f"answered something else: {_said(outcome)}")


def is_ok(text: str) -> bool:
    """Whether a text is OK and nothing else, whatever its case, punctuation, quotes, markdown or emoji."""
    folded = _DOTTED.sub("ok", unicodedata.normalize("NFKC", text).casefold())
    return _NO_WORD.sub(" ", folded).strip() in _MEANS_OK


def _of_failure(error: ProviderError) -> Finding:
    # What the breaker ignores (a limit, a bill, a key, a retired model) has states of its own that tell of it.
    counts = POLICY[error.kind].breaker == "failure"
    return Finding("down" if counts else None, f"{error.kind.value}: {error.message}"[:_MAX_REASON])


def _said(answer: Answer) -> str:
    text = " ".join((answer.text or answer.refusal).split())
    if text:
        return f'"{text[: _MAX_QUOTE - 1]}…"' if len(text) > _MAX_QUOTE else f'"{text}"'
    return "a tool call" if answer.tool_calls else "nothing"
