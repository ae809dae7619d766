"""Everything that can go wrong with a provider and what the router does about it: one enum, one table, one exception.

The table is the point. Whether a failure is retried elsewhere, counts against the circuit breaker, stops a provider
and which status the caller gets is decided by its kind alone, here, so that no two places can treat it differently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal


class ErrorKind(StrEnum):
    """The kinds of failure that the router tells apart; logged as `error_type`."""

    CONNECTION = "connection"  # refused, reset, DNS, TLS: no answer began
    TIMEOUT = "timeout"  # the attempt's whole time ran out
    FIRST_TOKEN_TIMEOUT = "first_token_timeout"  # noqa: S105 - no token came in time
    STALLED = "stalled"  # a stream fell silent
    SERVER_ERROR = "server_error"  # 5xx
    OVERLOADED = "overloaded"  # 529, or a 429 about the provider's capacity and not our quota
    BAD_RESPONSE = "bad_response"  # HTML, half JSON, an empty answer, an error inside a 200, a cut stream
    RATE_LIMITED = "rate_limited"  # a short window is full: wait
    QUOTA_EXHAUSTED = "quota_exhausted"  # a day or a month is spent: stop until the reset
    BILLING = "billing"  # a card, credits or a plan: needs a human
    AUTH = "auth"  # our key is refused
    MODEL_GONE = "model_gone"  # no such model, retired, or not for this account
    CONTEXT_LENGTH = "context_length"  # the request is longer than the model's context window
    CONTENT_FILTER = "content_filter"  # the provider's policy stopped it
    INVALID_REQUEST = "invalid_request"  # the request is wrong, wherever it is sent
    CANCELLED = "cancelled"  # the caller left, or the answer was no longer needed
    INTERNAL = "internal"  # a bug of ours


Scope = Literal["minute", "day", "month", "account", "model"]
"""What a failure is about: a window of a rate limit, the whole account, or only this model."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the router does after a failure of one kind.

    `next_target` says whether another model is tried; `larger` means only one with a larger context window. `breaker`
    says whether the failure counts against the circuit breaker: only what the provider may recover from by being left
    alone does. `state` is what it says about the provider beyond this attempt, None for nothing. `status` and `code`
    are the caller's answer if nothing is left to try. `loud` asks for a warning that a human should see.
    """

    next_target: Literal["yes", "no", "larger"]
    breaker: Literal["failure", "ignore"]
    state: Literal["cooldown", "deselected", "model_disabled", "provider_disabled"] | None
    status: int
    code: str
    loud: bool = False


POLICY: Mapping[ErrorKind, Policy] = MappingProxyType(
    {
        # It may be broken: another model is tried and the breaker counts.
        ErrorKind.CONNECTION: Policy("yes", "failure", None, 502, "all_providers_failed"),
        ErrorKind.TIMEOUT: Policy("yes", "failure", None, 504, "deadline_exceeded"),
        ErrorKind.FIRST_TOKEN_TIMEOUT: Policy("yes", "failure", None, 504, "deadline_exceeded"),
        ErrorKind.STALLED: Policy("yes", "failure", None, 504, "deadline_exceeded"),
        ErrorKind.SERVER_ERROR: Policy("yes", "failure", "cooldown", 502, "all_providers_failed"),
        ErrorKind.OVERLOADED: Policy("yes", "failure", "cooldown", 503, "overloaded"),
        ErrorKind.BAD_RESPONSE: Policy("yes", "failure", None, 502, "all_providers_failed"),
        # It works and told us to stay away: a breaker would try again too early, or punish it for a limit of ours.
        ErrorKind.RATE_LIMITED: Policy("yes", "ignore", "cooldown", 429, "rate_limit_exceeded"),
        ErrorKind.QUOTA_EXHAUSTED: Policy("yes", "ignore", "deselected", 429, "insufficient_quota"),
        # No waiting helps, a human must act. The caller's own key was good, so it never sees a 401, 402 or 404.
        ErrorKind.BILLING: Policy("yes", "ignore", "deselected", 503, "no_seat", loud=True),
        ErrorKind.AUTH: Policy("yes", "ignore", "provider_disabled", 502, "all_providers_failed", loud=True),
        ErrorKind.MODEL_GONE: Policy("yes", "ignore", "model_disabled", 502, "all_providers_failed", loud=True),
        # The request is at fault, and says nothing about the provider.
        ErrorKind.CONTEXT_LENGTH: Policy("larger", "ignore", None, 400, "context_length_exceeded"),
        ErrorKind.CONTENT_FILTER: Policy("no", "ignore", None, 400, "content_filter"),
        ErrorKind.INVALID_REQUEST: Policy("no", "ignore", None, 400, "invalid_request"),
        # 499 is nginx's status for a client that closed the request; nobody is left to receive it.
        ErrorKind.CANCELLED: Policy("no", "ignore", None, 499, "cancelled"),
        # A bug of ours may be tied to one provider's bytes, so another is tried and the breaker counts.
        ErrorKind.INTERNAL: Policy("yes", "failure", None, 500, "internal_error"),
    }
)


class ProviderError(Exception):
    """A provider did not answer the request.

    `message` is the provider's own sentence, shortened and without control characters or anything that looks like a
    key: it goes to logs and to callers. `status` is the HTTP status, None if no response came. `retry_after_s` is how
    many seconds the provider asked us to wait. `code` is its own error code, as text.
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
