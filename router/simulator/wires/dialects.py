"""The providers that speak OpenAI's format: one row of differences each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from router.simulator.weather import Fault
from router.simulator.wire import Problem, Row, Stamp
from router.simulator.wires.compatible import Dialect, LimitHeaders, error_fields
from router.simulator.wires.openai import FAULTS


def flat(row: Row, problem: Problem, message: str) -> Any:
    """`{message, type, param, code}` at the top: Cerebras."""
    return error_fields(row, problem, message)


def text_only(row: Row, problem: Problem, message: str) -> Any:
    """`{code, error}` with the error as text: xAI."""
    return {"code": row.code or "Client specified an invalid argument", "error": message}


def object_error(row: Row, problem: Problem, message: str) -> Any:
    """`{"object": "error", …}`, and a bare `detail` for a bad key: Mistral."""
    if row.status == 401:
        return {"detail": message}
    return {"object": "error", **error_fields(row, problem, message), "raw_status_code": row.status}


def numbered(row: Row, problem: Problem, message: str) -> Any:
    """`{"error": {message, code: status, metadata}}`: OpenRouter."""
    return {
        "error": {"message": message, "code": row.status, "metadata": {"provider_name": None}},
        "user_id": "user_sim",
    }


def enveloped(row: Row, problem: Problem, message: str) -> Any:
    """`{success, errors: [{code, message}], result}`: Cloudflare."""
    return {
        "result": None,
        "success": False,
        "errors": [{"code": int(row.code or 5004), "message": message}],
        "messages": [],
    }


def titled(row: Row, problem: Problem, message: str) -> Any:
    """Problem details, `{status, title, detail}`: NVIDIA."""
    return {"status": row.status, "title": row.kind, "detail": message}


def _counted(prefix: str, suffix: str) -> LimitHeaders:
    def headers(stamp: Stamp) -> dict[str, str]:
        limit = stamp.standing.quota.per_minute
        left = str(stamp.standing.left_minute) if limit else "9999"
        return {f"{prefix}limit-{suffix}": str(limit or 10_000), f"{prefix}remaining-{suffix}": left}

    return headers


def _cerebras_headers(stamp: Stamp) -> dict[str, str]:
    standing = stamp.standing
    return {
        **_counted("x-ratelimit-", "requests-minute")(stamp),
        "x-ratelimit-reset-requests-minute": f"{standing.minute_resets_s:.6f}",
        "x-ratelimit-limit-requests-day": str(standing.quota.per_day or 500_000),
        "x-ratelimit-remaining-requests-day": str(standing.left_day if standing.quota.per_day else 499_999),
        "x-ratelimit-reset-requests-day": f"{standing.day_resets_s:.6f}",
    }


def _faults(kinds: Mapping[Fault, str], own: Mapping[Fault, Row]) -> Mapping[Fault, Row]:
    """OpenAI's table with a provider's own type names and rows over it."""
    base = {fault: replace(row, kind=kinds.get(fault, row.kind), code=None) for fault, row in FAULTS.items()}
    return MappingProxyType({**base, **own})


XAI_CREDITS = (
    "Your team simulated has either used all available credits or reached its monthly spending limit. To continue "
    "making API requests, please purchase more credits or raise your spending limit."
)
XAI = Dialect(
    "xai",
    _faults(
        {},
        {
            Fault.NO_KEY: Row(401, "No API key provided.", code="unauthenticated"),
            Fault.BAD_KEY: Row(
                400,
                "Incorrect API key provided: ***. You can obtain an API key from https://console.x.ai.",
                code="Client specified an invalid argument",
            ),
            Fault.RATE_LIMITED: Row(
                429,
                "Too many requests for team simulated and model {model}. Requests per Minute (actual/limit): "
                "{limit}/{limit}.",
                code="resource-exhausted",
            ),
            Fault.QUOTA_DAY: Row(429, XAI_CREDITS, code="Some resource has been exhausted"),
            Fault.BILLING: Row(403, XAI_CREDITS, code="permission-denied"),
            Fault.MODEL_GONE: Row(
                404,
                "The model {model} does not exist or your team simulated does not have access to it.",
                code="Some requested entity was not found",
            ),
            Fault.CONTENT_FILTER: Row(
                403, "Content violates usage guidelines. Team: simulated.", code="permission-denied"
            ),
            Fault.CONTEXT_LENGTH: Row(
                400, "This model's maximum prompt length is 131072 but the request contains 537812 tokens."
            ),
        },
    ),
    text_only,
    _counted("x-ratelimit-", "requests"),
    outside=True,
)
MISTRAL = Dialect(
    "mistralai",
    _faults(
        {},
        {
            Fault.NO_KEY: Row(401, "Unauthorized"),
            Fault.BAD_KEY: Row(401, "Invalid API Key"),
            Fault.RATE_LIMITED: Row(429, "Rate limit exceeded", "rate_limited", "1300"),
            Fault.QUOTA_DAY: Row(429, "Monthly token limit exceeded", "rate_limited", "1300"),
            Fault.OVERLOADED: Row(
                429, "Service tier capacity exceeded for this model.", "service_tier_capacity_exceeded", "3505"
            ),
            Fault.BILLING: Row(402, "Payment required", "payment_required"),
            Fault.MODEL_GONE: Row(400, "Invalid model: {model}", "invalid_model", "1500"),
            Fault.CONTEXT_LENGTH: Row(
                400,
                "Prompt contains 300000 tokens and 0 draft tokens, too large for model with 262144 maximum context "
                "length",
                "invalid_request_error",
                "3051",
            ),
        },
    ),
    object_error,
    _counted("x-ratelimit-", "req-minute"),
    max_temperature=1.5,
    retry_after=False,
)
CEREBRAS = Dialect(
    "Cerebras",
    _faults(
        {},
        {
            Fault.BAD_KEY: Row(401, "Wrong API Key", "invalid_request_error", "wrong_api_key", "api_key"),
            Fault.RATE_LIMITED: Row(
                429,
                "Requests per minute limit exceeded - too many requests sent.",
                "too_many_requests_error",
                "request_quota_exceeded",
                "quota",
            ),
            Fault.QUOTA_DAY: Row(
                429,
                "Tokens per day limit exceeded - too many tokens processed.",
                "too_many_tokens_error",
                "token_quota_exceeded",
                "quota",
            ),
            Fault.OVERLOADED: Row(
                429,
                "We're experiencing high traffic right now! Please try again soon.",
                "too_many_requests_error",
                "queue_exceeded",
                "queue",
            ),
            Fault.BILLING: Row(402, "Payment required", "payment_required_error", "payment_required", ""),
            Fault.MODEL_GONE: Row(
                404,
                "Model {model} does not exist or you do not have access to it.",
                "not_found_error",
                "model_not_found",
                "model",
            ),
            Fault.CONTEXT_LENGTH: Row(
                400,
                "Please reduce the length of the messages or completion. Current length is 70000 while limit is 65536",
                "invalid_request_error",
                "context_length_exceeded",
                "messages",
            ),
        },
    ),
    flat,
    _cerebras_headers,
    reasoning="reasoning",
    max_temperature=1.5,
)
OPENROUTER = Dialect(
    "openrouter",
    _faults(
        {},
        {
            Fault.NO_KEY: Row(401, "Missing Authentication header"),
            Fault.BAD_KEY: Row(401, "User not found."),
            Fault.RATE_LIMITED: Row(429, "Rate limit exceeded: free-models-per-min. "),
            Fault.QUOTA_DAY: Row(
                429,
                "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day",
            ),
            Fault.BILLING: Row(
                402,
                "This request requires more credits, or fewer max_tokens. You requested up to 16384 tokens, but can "
                "only afford 2674. To increase, visit https://openrouter.ai/settings/credits and add more credits",
            ),
            Fault.MODEL_GONE: Row(404, "No endpoints found for {model}."),
            Fault.CONTENT_FILTER: Row(403, "The request was flagged by moderation"),
            Fault.CONTEXT_LENGTH: Row(
                400,
                "This endpoint's maximum context length is 200000 tokens. However, you requested about 2500021 tokens.",
            ),
            Fault.OVERLOADED: Row(502, "Provider returned error"),
            Fault.OUTAGE: Row(503, "There is no available model provider that meets your routing requirements"),
        },
    ),
    numbered,
    reasoning="reasoning",
)
CLOUDFLARE = Dialect(
    "cloudflare",
    _faults(
        {},
        {
            Fault.NO_KEY: Row(401, "Authentication error", code="10000"),
            Fault.BAD_KEY: Row(401, "Authentication error", code="10000"),
            Fault.RATE_LIMITED: Row(429, "Too many requests", code="3040"),
            Fault.QUOTA_DAY: Row(
                429,
                "AiError: AiError: you have used up your daily free allocation of 10,000 neurons, please upgrade to "
                "Cloudflare's Workers Paid plan if you would like to continue usage.",
                code="4006",
            ),
            Fault.OVERLOADED: Row(429, "No more data centers to forward the request to", code="3040"),
            Fault.BILLING: Row(403, "This model requires the Workers Paid plan", code="5035"),
            Fault.MODEL_GONE: Row(400, "No such model {model} or task", code="5007"),
            Fault.CONTEXT_LENGTH: Row(
                400,
                "AiError: The estimated number of input and maximum output tokens (32000) exceeded this model "
                "context window limit (24000).",
                code="5021",
            ),
        },
    ),
    enveloped,
    max_temperature=5.0,
    retry_after=False,
)
NVIDIA = Dialect(
    "nvidia",
    _faults(
        dict.fromkeys(Fault, "Bad Request")
        | {Fault.SERVER_ERROR: "Internal Server Error", Fault.OUTAGE: "Unavailable"},
        {
            Fault.NO_KEY: Row(401, "Authentication failed", "Unauthorized"),
            Fault.BAD_KEY: Row(403, "Authorization failed", "Forbidden"),
            Fault.RATE_LIMITED: Row(429, "Too many requests", "Too Many Requests"),
            Fault.QUOTA_DAY: Row(429, "Too many requests", "Too Many Requests"),
            Fault.OVERLOADED: Row(
                400,
                "Function id 'ffffffff-0000-0000-0000-000000000000': DEGRADED function cannot be invoked",
                "Bad Request",
            ),
            Fault.BILLING: Row(402, "Cloud credits expired", "Payment Required"),
            Fault.MODEL_GONE: Row(
                410, "The model '{model}' has reached its end of life and is no longer available.", "Gone"
            ),
        },
    ),
    titled,
    retry_after=False,
)
HUGGINGFACE = Dialect(
    "huggingface",
    _faults(
        {},
        {
            Fault.NO_KEY: Row(401, "Invalid username or password."),
            Fault.BAD_KEY: Row(401, "Invalid username or password."),
            Fault.BILLING: Row(402, "You have exceeded your monthly included credits for Inference Providers."),
            Fault.QUOTA_DAY: Row(402, "You have exceeded your monthly included credits for Inference Providers."),
            Fault.MODEL_GONE: Row(
                400, "The requested model '{model}' does not exist", "invalid_request_error", "model_not_found"
            ),
        },
    ),
    reasoning="reasoning",
)
