"""Errors sent to callers: OpenAI's error object with every attempt, and the mapping from failures to errors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from aiohttp import web

from adapters.errors import POLICY, ErrorKind, ProviderError
from adapters.types import NOTHING
from router.core.decision import Decision, Refusal, RefusalCode
from router.core.plan import Exclusion
from router.core.vote import Vote

REQUEST_ID = web.RequestKey("request_id", str)

MAX_RETRY_AFTER_S = 120  # the OpenAI SDKs do not retry at all when asked to wait longer

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class ApiError(Exception):
    """An error with its HTTP status, its documented `code` (docs/http.md) and one sentence for people.

    `param` names the field at fault; `retry_after_s` and `should_retry` become headers, None where unknown.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: float | None = None,
        should_retry: bool | None = None,
        votes: Iterable[Vote] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        self.should_retry = should_retry
        self.votes = tuple(votes)

    def body(self, request_id: str) -> dict[str, Any]:
        """OpenAI's error object with two more fields: the request's id, and `attempts`, one entry for every call."""
        return {
            "error": {
                "message": self.message,
                "type": _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error"),
                "param": self.param,
                "code": self.code,
                "request_id": request_id,
                "attempts": [_attempt(vote) for vote in self.votes],
            }
        }

    def headers(self) -> dict[str, str]:
        """`Retry-After` in whole seconds (RFC 9110, section 10.2.3), and `x-should-retry`, which OpenAI's SDKs obey."""
        headers = {}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(min(max(1, math.ceil(self.retry_after_s)), MAX_RETRY_AFTER_S))
        if self.should_retry is not None:
            headers["x-should-retry"] = str(self.should_retry).lower()
        return headers


def _attempt(vote: Vote) -> dict[str, Any]:
    return {
        "provider": vote.seat.provider.id,
        "model": vote.seat.model.id,
        "error_type": vote.error_type,
        "status": vote.status,
        "ms": round(vote.duration_ms),
    }


def error_response(error: ApiError, request_id: str, headers: Mapping[str, str] = NOTHING) -> web.Response:
    """The error as a complete HTTP response."""
    return web.Response(
        status=error.status,
        body=orjson.dumps(error.body(request_id)),
        content_type="application/json",
        headers={"X-Request-Id": request_id, **headers, **error.headers()},
    )


# --- from failures to errors -----------------------------------------------------------------------------------------

_SENTENCE: Mapping[ErrorKind, str] = {
    ErrorKind.RATE_LIMITED: "every model that could answer is rate limited now",
    ErrorKind.QUOTA_EXHAUSTED: "every model that could answer has spent its quota",
    ErrorKind.CONTEXT_LENGTH: "the request is longer than the context window of every model that could answer",
    ErrorKind.CONTENT_FILTER: "the provider's content filter stopped the request",
    ErrorKind.INVALID_REQUEST: "the provider refused the request as invalid",
}
# `x-should-retry`: after failover has failed (502, 504), a client's retry would repeat all of it, the bill included; a
# limit or a shortage (429, 503) may pass with time.
_CLIENT_MAY_RETRY: Mapping[int, bool | None] = {429: None, 503: None, 502: False, 504: False}
_REFUSAL_STATUS: Mapping[RefusalCode, int] = {"free_text_vote": 422, "no_quorum": 503}
"""Refusals of the router itself, not of a provider."""
_SHOWN_EXCLUSIONS = 6  # keeps the message readable; `/v1/plan` lists all of them


def from_decision(decision: Decision) -> ApiError:
    """The error of a decision that has no answer."""
    error, options = decision.choice.error, decision.plan.options
    match error:
        case Refusal(code="no_seat"):
            subject = options.pinned or f"tier {options.tier}"
            return from_exclusions(decision.plan.excluded, subject, decision.free_in_s)
        case Refusal(code="draining"):
            return ApiError(503, "draining", error.message, retry_after_s=1)
        case Refusal():
            status = _REFUSAL_STATUS[error.code]
            return ApiError(status, error.code, error.message, should_retry=False, votes=decision.votes)
        case ProviderError():
            return from_failure(error, decision.votes, decision.free_in_s or None)
        case None:
            raise AssertionError("a decision has a winner or an error")


def from_failure(error: ProviderError, votes: tuple[Vote, ...], wait_s: float | None) -> ApiError:
    """The error of a request whose last attempt failed with `error`.

    `wait_s` is the time in seconds until a seat is free, None if unknown; it takes precedence over the provider's own
    `Retry-After`, which concerns one seat only.
    """
    policy = POLICY[error.kind]
    sentence = _SENTENCE.get(error.kind, f"no provider answered after {len(votes)} attempt(s)")
    last = f"; last error: {error.message}" if votes else f": {error.message}"
    should_retry = False if policy.code == "insufficient_quota" else _CLIENT_MAY_RETRY.get(policy.status)
    return ApiError(
        policy.status,
        policy.code,
        sentence + last,
        retry_after_s=(wait_s if wait_s is not None else error.retry_after_s) if policy.status in (429, 503) else None,
        should_retry=should_retry,
        votes=votes,
    )


def from_exclusions(excluded: tuple[Exclusion, ...], subject: str, wait_s: float | None) -> ApiError:
    """The error of a plan without seats: the reason at each model of `subject`.

    400 or 422 if no model can ever take the request, 429 if limits are the only reason, else 503; `wait_s` is the time
    in seconds until the first model is free, None if unknown.
    """
    blocks = [exclusion.block for exclusion in excluded if exclusion.block]
    reasons = "; ".join(f"{exclusion.seat.id}: {exclusion.reason}" for exclusion in excluded[:_SHOWN_EXCLUSIONS])
    more = f"; and {len(excluded) - _SHOWN_EXCLUSIONS} more" if len(excluded) > _SHOWN_EXCLUSIONS else ""
    if not blocks and excluded:
        too_long = all(exclusion.code == "context" for exclusion in excluded)
        status, code = (400, "context_length_exceeded") if too_long else (422, "unsupported")
        return ApiError(status, code, f"no model of {subject} can take this request ({reasons}{more})")
    states = {block.state for block in blocks}
    spent, limited = states == {"quota-spent"}, bool(states) and states <= {"limited", "quota-spent"}
    code = "insufficient_quota" if spent else "rate_limit_exceeded" if limited else "no_seat"
    return ApiError(
        429 if limited else 503,
        code,
        f"no model of {subject} can be asked now ({reasons}{more})",
        retry_after_s=wait_s,
        should_retry=None if wait_s is not None and not spent else False,
    )
