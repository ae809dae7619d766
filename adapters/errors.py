"""Everything that can go wrong with a provider, and what follows from it: one enum, one table, one exception."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal


class ErrorKind(StrEnum):
    """The kinds of failure the router tells apart; logged as `error_type`."""

    CONNECTION = "connection"  # refused, reset, DNS, TLS: no answer began
    TIMEOUT = "timeout"  # the attempt's whole time ran out
    FIRST_TOKEN_TIMEOUT = "first_token_timeout"  # noqa: S105 - nothing came in time
    STALLED = "stalled"  # a stream fell silent
    SERVER_ERROR = "server_error"  # 5xx
    OVERLOADED = "overloaded"  # 529, or a 429 about their capacity, not our quota
    BAD_RESPONSE = "bad_response"  # HTML, half JSON, nothing inside, an error inside a 200, a cut stream
    RATE_LIMITED = "rate_limited"  # a short window is full: wait
    QUOTA_EXHAUSTED = "quota_exhausted"  # a day or a month is spent: stop until the reset
    BILLING = "billing"  # a card, credits or a plan: needs a human
    AUTH = "auth"  # our key is refused
    MODEL_GONE = "model_gone"  # no such model, retired, or not for this account
    CONTEXT_LENGTH = "context_length"  # the request is longer than the model's window
    CONTENT_FILTER = "content_filter"  # the provider's policy stopped it
    INVALID_REQUEST = "invalid_request"  # the request is wrong everywhere
    CANCELLED = "cancelled"  # the caller left, or the answer was no longer needed
    INTERNAL = "internal"  # a bug of ours


Scope = Literal["minute", "day", "month", "account", "model"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What the router does after a failure of one kind, and which HTTP status the caller sees if nothing is left.

    `next_target` may be `larger`: only a model with a larger context window is worth trying. `state` is what the
    failure says of the provider beyond this attempt; `loud` asks for a warning a human should see.
    """

    next_target: Literal["yes", "no", "larger"]
    breaker: Literal["failure", "ignore"]
    state: Literal["cooldown", "deselected", "model_disabled", "provider_disabled"] | None
    status: int
    code: str
    loud: bool = False


POLICY: Mapping[ErrorKind, Policy] = MappingProxyType(
    {
        ErrorKind.CONNECTION: Policy("yes", "failure", None, 502, "all_providers_failed"),
        ErrorKind.TIMEOUT: Policy("yes", "failure", None, 504, "deadline_exceeded"),
        ErrorKind.FIRST_TOKEN_TIMEOUT: Policy("yes", "failure", None, 504, "deadline_exceeded"),
        ErrorKind.STALLED: Policy("yes", "failure", None, 504, "deadline_exceeded"),
        ErrorKind.SERVER_ERROR: Policy("yes", "failure", "cooldown", 502, "all_providers_failed"),
        ErrorKind.OVERLOADED: Policy("yes", "failure", "cooldown", 503, "overloaded"),
        ErrorKind.BAD_RESPONSE: Policy("yes", "failure", None, 502, "all_providers_failed"),
        ErrorKind.RATE_LIMITED: Policy("yes", "ignore", "cooldown", 429, "rate_limit_exceeded"),
        ErrorKind.QUOTA_EXHAUSTED: Policy("yes", "ignore", "deselected", 429, "insufficient_quota"),
        ErrorKind.BILLING: Policy("yes", "ignore", "deselected", 503, "no_seat", loud=True),
        ErrorKind.AUTH: Policy("yes", "ignore", "provider_disabled", 502, "all_providers_failed", loud=True),
        ErrorKind.MODEL_GONE: Policy("yes", "ignore", "model_disabled", 502, "all_providers_failed", loud=True),
        ErrorKind.CONTEXT_LENGTH: Policy("larger", "ignore", None, 400, "context_length_exceeded"),
        ErrorKind.CONTENT_FILTER: Policy("no", "ignore", None, 400, "content_filter"),
        ErrorKind.INVALID_REQUEST: Policy("no", "ignore", None, 400, "invalid_request"),
        ErrorKind.CANCELLED: Policy("no", "ignore", None, 499, "cancelled"),
        ErrorKind.INTERNAL: Policy("yes", "failure", None, 500, "internal_error"),
    }
)


class ProviderError(Exception):
    """A provider did not answer, in our words.

    `message` is the provider's own sentence, cut and free of control characters, never a key. `retry_after_s` is what
    it asked us to wait; `scope` which window or thing the failure is about; `code` its own error code as text.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        scope: Scope | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s
        self.scope = scope
        self.code = code

    def __repr__(self) -> str:
        return f"ProviderError({self.kind.value}, {self.message!r}, status={self.status})"
