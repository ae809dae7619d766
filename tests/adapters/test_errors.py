"""Errors in every shape, through every adapter, and the tables that classify them."""

# ruff: noqa: E501 - the tables have one case a line

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters import ADAPTERS
from adapters.codec.error_bodies import clean
from adapters.codec.sse import SseEvent
from adapters.errors import ErrorKind as Kind
from adapters.errors import ProviderError

SHAPES: dict[str, Any] = {
    "error object": {"error": {"message": "Nope.", "type": "t", "param": None, "code": "c"}},
    "typed": {"type": "error", "error": {"type": "t", "message": "Nope."}, "request_id": "r"},
    "google": {"error": {"code": 418, "message": "Nope.", "status": "T", "details": []}},
    "google in an array": [{"error": {"code": 418, "message": "Nope.", "status": "T"}}],
    "gateway": {"error": {"code": 418, "message": "Nope.", "metadata": {"provider_name": None}}, "user_id": "u"},
    "error string": {"code": "some words", "error": "Nope."},
    "message": {"id": "i", "message": "Nope."},
    "object error": {"object": "error", "message": "Nope.", "type": "t", "code": "77"},
    "detail": {"detail": "Nope."},
    "message as object": {"object": "error", "message": {"detail": [{"loc": ["body"], "msg": "Nope."}]}},
    "detail as list": {"detail": [{"loc": ["body", "seed"], "msg": "Nope.", "type": "extra"}]},
    "top level": {"message": "Nope.", "type": "t", "param": "quota", "code": "c"},
    "errors": {"success": False, "errors": [{"code": 7, "message": "Nope."}], "result": None},
    "problem": {"status": 418, "title": "Teapot", "detail": "Nope."},
}


def error(adapter: str, status: int, body: Any, headers: dict[str, str] | None = None) -> ProviderError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = ADAPTERS[adapter].parse_error(status, headers or {}, raw)
    with pytest.raises(ProviderError) as raised:
        ADAPTERS[adapter].parse_response(status, headers or {}, raw)
    assert (raised.value.kind, raised.value.message) == (found.kind, found.message)
    return found


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_understood_by_every_adapter(adapter: str, shape: str) -> None:
    found = error(adapter, 418, SHAPES[shape])
    assert (found.kind, found.message, found.status) == (Kind.INVALID_REQUEST, "Nope.", 418)


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("shape", sorted(set(SHAPES) - {"problem", "google in an array"}))
def test_every_shape_is_an_error_inside_a_success(adapter: str, shape: str) -> None:
    body = json.dumps(SHAPES[shape])
    with pytest.raises(ProviderError, match="Nope") as whole:
        ADAPTERS[adapter].parse_response(200, {}, body.encode())
    with pytest.raises(ProviderError, match="Nope") as streamed:
        list(ADAPTERS[adapter].parse_event(SseEvent("", body)))
    assert whole.value.kind is streamed.value.kind is Kind.BAD_RESPONSE


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_error_event_is_an_error_whatever_it_says(adapter: str) -> None:
    for data in ("{}", "upstream died", "", "[]"):
        with pytest.raises(ProviderError) as raised:
            list(ADAPTERS[adapter].parse_event(SseEvent("error", data)))
        assert raised.value.kind is Kind.BAD_RESPONSE


@pytest.mark.parametrize(
    ("status", "kind", "scope"),
    [
        (400, Kind.INVALID_REQUEST, None),
        (401, Kind.AUTH, "account"),
        (402, Kind.BILLING, "account"),
        (403, Kind.AUTH, "account"),
        (404, Kind.MODEL_GONE, "model"),
        (408, Kind.SERVER_ERROR, None),
        (409, Kind.SERVER_ERROR, None),
        (410, Kind.MODEL_GONE, "model"),
        (413, Kind.CONTEXT_LENGTH, None),
        (422, Kind.INVALID_REQUEST, None),
        (429, Kind.RATE_LIMITED, "minute"),
        (500, Kind.SERVER_ERROR, None),
        (503, Kind.SERVER_ERROR, None),
        (529, Kind.OVERLOADED, None),
        (599, Kind.SERVER_ERROR, None),
        (302, Kind.BAD_RESPONSE, None),
        (101, Kind.BAD_RESPONSE, None),
    ],
)
def test_the_status_decides_where_nothing_else_does(status: int, kind: Kind, scope: str | None) -> None:
    for adapter in ADAPTERS:
        found = error(adapter, status, b"")
        assert (found.kind, found.scope) == (kind, scope)
        assert found.message == f"HTTP {status} with an empty body"


TOLD: list[tuple[str, int, Any, Kind, str | None]] = [
    ("anthropic", 400, {"error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum"}}, Kind.CONTEXT_LENGTH, None),
    ("anthropic", 400, {"error": {"message": "You have reached your specified API usage limits."}}, Kind.BILLING, "account"),
    ("anthropic", 429, {"error": {"details": {"error_code": "contract_spend_limit_reached"}}}, Kind.QUOTA_EXHAUSTED, "month"),
    ("anthropic", 404, {"error": {"type": "not_found_error", "message": "model: gone"}}, Kind.MODEL_GONE, "model"),
    ("gemini", 400, {"error": {"details": [{"reason": "API_KEY_INVALID"}], "message": "Bad."}}, Kind.AUTH, "account"),
    ("gemini", 400, {"error": {"message": "Please enable billing.", "status": "FAILED_PRECONDITION"}}, Kind.BILLING, "account"),
    ("gemini", 503, {"error": {"status": "UNAVAILABLE", "message": "Later."}}, Kind.OVERLOADED, None),
    ("cohere", 400, {"message": "too many tokens: max tokens must be less than or equal to 4096"}, Kind.INVALID_REQUEST, None),
    ("cohere", 429, {"message": "limited to 1000 API calls / month."}, Kind.QUOTA_EXHAUSTED, "month"),
    ("cohere", 429, {"message": "limited to 20 API calls / minute."}, Kind.RATE_LIMITED, "minute"),
    ("cohere", 498, {"message": "blocked"}, Kind.CONTENT_FILTER, None),
    ("groq", 429, {"error": {"message": "on tokens per day (TPD): Limit 1", "code": "rate_limit_exceeded"}}, Kind.QUOTA_EXHAUSTED, "day"),
    ("groq", 413, {"error": {"message": "Request too large", "code": "rate_limit_exceeded"}}, Kind.CONTEXT_LENGTH, None),
    ("openai", 429, {"error": {"type": "insufficient_quota", "code": "project_spend_limit_exceeded"}}, Kind.BILLING, "account"),
    ("openai", 403, {"error": {"code": "unsupported_country_region_territory"}}, Kind.AUTH, "account"),
    ("openai", 404, {"error": {"code": "model_not_found", "message": "It has been deprecated."}}, Kind.MODEL_GONE, "model"),
    ("compatible", 400, {"code": "invalid-argument", "error": "Incorrect API key provided: ab***yz."}, Kind.AUTH, "account"),
    ("compatible", 403, {"error": "Your team has used all available credits."}, Kind.BILLING, "account"),
    ("compatible", 404, {"error": "The model g does not exist. Please ensure you're using the correct API key."}, Kind.MODEL_GONE, "model"),
    ("compatible", 429, {"message": "High traffic.", "code": "queue_exceeded"}, Kind.OVERLOADED, None),
    ("compatible", 429, {"error": {"message": "x", "metadata": {"raw": "m is temporarily rate-limited upstream."}}}, Kind.RATE_LIMITED, "model"),
    ("compatible", 429, {"errors": [{"code": 4006, "message": "used up your daily free allocation"}]}, Kind.QUOTA_EXHAUSTED, "day"),
    ("compatible", 400, {"error": {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, Kind.CONTENT_FILTER, None),
    ("compatible", 412, {"error": {"message": "Account acme is suspended, possibly due to reaching the monthly limit."}}, Kind.BILLING, "account"),
    ("compatible", 403, {"code": 403, "reason": "NOT_ENOUGH_BALANCE", "message": "not enough balance"}, Kind.BILLING, "account"),
    ("compatible", 429, {"error": {"message": "Request too large for m on tokens per min (TPM): Limit 3, Requested 4."}}, Kind.CONTEXT_LENGTH, None),
    ("compatible", 400, {"error": {"message": '{"error": {"code": "model_not_found", "message": "Gone."}}'}}, Kind.MODEL_GONE, "model"),
    ("compatible", 400, {"error": '{"message": "Gone.", "code": "model_not_found"}'}, Kind.MODEL_GONE, "model"),
    ("xai", 400, {"code": "invalid-argument", "error": "Incorrect API key provided: ab***yz."}, Kind.AUTH, "account"),
    ("xai", 403, {"code": "permission-denied", "error": "Your team has used all available credits."}, Kind.BILLING, "account"),
    ("xai", 403, {"code": "permission-denied", "error": "Your newly created team doesn't have any credits yet."}, Kind.BILLING, "account"),
    ("xai", 403, {"code": "x", "error": "Rejected. Failed check: SAFETY_CHECK_TYPE_BIO"}, Kind.CONTENT_FILTER, None),
    ("xai", 403, {"code": "permission-denied", "error": "This key may not do that."}, Kind.AUTH, "account"),
    ("xai", 429, {"code": "resource-exhausted", "error": "Your team reached its monthly spending limit."}, Kind.BILLING, "account"),
    ("xai", 429, {"code": "resource-exhausted", "error": "Too many requests. Requests per Minute (actual/limit): 2/2."}, Kind.RATE_LIMITED, "minute"),
    ("mistral", 429, {"object": "error", "message": "Rate limit exceeded", "code": 1300}, Kind.RATE_LIMITED, "minute"),
    ("mistral", 429, {"object": "error", "message": "Service tier capacity exceeded.", "code": "3505"}, Kind.OVERLOADED, None),
    ("mistral", 400, {"object": "error", "message": "Invalid.", "code": "1500"}, Kind.MODEL_GONE, "model"),
    ("mistral", 400, {"object": "error", "message": {"detail": "Too much."}, "code": 3051}, Kind.CONTEXT_LENGTH, None),
    ("mistral", 422, {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}, Kind.INVALID_REQUEST, None),
    ("cerebras", 503, {"message": "High traffic.", "code": "queue_exceeded", "param": "queue"}, Kind.OVERLOADED, None),
    ("cerebras", 429, {"message": "Tokens per day limit exceeded.", "code": "token_quota_exceeded"}, Kind.QUOTA_EXHAUSTED, "day"),
    ("cerebras", 429, {"message": "Requests per minute limit exceeded.", "code": "request_quota_exceeded"}, Kind.RATE_LIMITED, "minute"),
    ("openrouter", 402, {"error": {"code": 402, "message": "You can only afford 12."}}, Kind.BILLING, "account"),
    ("openrouter", 402, {"error": {"code": 402, "message": "Wait.", "metadata": {"limit_source": "openrouter_in_flight_budget"}}}, Kind.RATE_LIMITED, "minute"),
    ("openrouter", 403, {"error": {"code": 403, "message": "Key limit exceeded (total limit)."}}, Kind.BILLING, "account"),
    ("openrouter", 429, {"error": {"code": 429, "message": "No.", "metadata": {"limit_source": "openrouter_free_tier_daily"}}}, Kind.QUOTA_EXHAUSTED, "day"),
    ("openrouter", 429, {"error": {"code": 429, "message": "Rate limit exceeded: free-models-per-min. "}}, Kind.RATE_LIMITED, "minute"),
    ("openrouter", 429, {"error": {"code": 429, "message": "Provider returned error", "metadata": {"raw": {"error": {"message": "quota per day"}}}}}, Kind.RATE_LIMITED, "model"),
    ("openrouter", 400, {"error": {"code": 400, "message": "gone/x is not a valid model ID"}}, Kind.MODEL_GONE, "model"),
    ("cloudflare", 429, {"errors": [{"code": 3040, "message": "No more data centers"}], "success": False}, Kind.OVERLOADED, None),
    ("cloudflare", 429, {"errors": [{"code": "4006", "message": "Spent."}], "success": False}, Kind.QUOTA_EXHAUSTED, "day"),
    ("cloudflare", 403, {"errors": [{"code": 5035, "message": "Paid only."}]}, Kind.BILLING, "model"),
    ("cloudflare", 403, {"errors": [{"code": 5016, "message": "Agree first."}]}, Kind.MODEL_GONE, "model"),
    ("cloudflare", 403, {"errors": [{"code": 10000, "message": "Authentication error"}]}, Kind.AUTH, "account"),
    ("cloudflare", 400, {"errors": [{"code": 5024, "message": "JSON Mode couldn't be met"}]}, Kind.BAD_RESPONSE, None),
    ("nvidia", 400, {"detail": "Function id 'x': DEGRADED function cannot be invoked"}, Kind.OVERLOADED, None),
    ("nvidia", 404, {"detail": "Function 'x': Not found for account 'y'"}, Kind.MODEL_GONE, "model"),
    ("nvidia", 410, {"detail": "The model 'm' has reached its end of life on 2026-08-26."}, Kind.MODEL_GONE, "model"),
    ("huggingface", 402, {"error": "You have exceeded your monthly included credits for Inference Providers."}, Kind.BILLING, "account"),
    ("huggingface", 400, {"error": {"message": "The requested model 'x' is not supported by any provider you have enabled."}}, Kind.MODEL_GONE, "model"),
    ("huggingface", 404, {"code": 404, "reason": "MODEL_NOT_FOUND", "message": "model not found", "metadata": {}}, Kind.MODEL_GONE, "model"),
]  # fmt: skip


@pytest.mark.parametrize(("adapter", "status", "body", "kind", "scope"), TOLD)
def test_what_the_words_and_codes_mean(adapter: str, status: int, body: Any, kind: Kind, scope: str | None) -> None:
    found = error(adapter, status, body)
    assert (found.kind, found.scope) == (kind, scope)


def quota(quota_id: str) -> Any:
    violations = [{"quotaId": quota_id, "quotaValue": "20"}]
    return {
        "error": {"message": "Please retry in 38.4s.", "details": [{"violations": violations}, {"retryDelay": "38.4s"}]}
    }


@pytest.mark.parametrize(
    ("adapter", "headers", "body", "wait"),
    [
        ("openai", {"retry-after": "2", "retry-after-ms": "1841"}, {"error": {"code": "slow_down"}}, 1.841),
        ("openai", {}, {"error": {"message": "Please try again in 4s."}}, 4),
        ("openai", {"retry-after": "2"}, {"error": {"message": "requests per day (RPD). Please try again in 7m12s."}}, 432),
        ("groq", {"retry-after": "6837"}, {"error": {"message": "(TPD) Please try again in 1h53m56.832s."}}, 6837),
        ("gemini", {}, quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier"), 38.4),
        ("gemini", {}, quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier"), None),
        ("anthropic", {"retry-after": "-1"}, {"error": {"type": "rate_limit_error"}}, None),
        ("compatible", {"date": "Wed, 19 Aug 2026 14:00:00 GMT"}, {"error": {"metadata": {"headers": {"X-RateLimit-Reset": "1787148060000"}}}}, 60),
    ],
)  # fmt: skip
def test_how_long_to_wait(adapter: str, headers: dict[str, str], body: Any, wait: float | None) -> None:
    assert error(adapter, 429, body, headers).retry_after_s == (wait and pytest.approx(wait))


@pytest.mark.parametrize(
    ("adapter", "headers", "kind", "scope", "wait"),
    [
        ("mistral", {"x-ratelimit-limit-req-minute": "0"}, Kind.MODEL_GONE, "model", None),
        ("mistral", {"x-ratelimit-remaining-tokens-month": "0"}, Kind.QUOTA_EXHAUSTED, "month", None),
        ("cerebras", {"x-ratelimit-remaining-tokens-day": "0", "x-ratelimit-reset-tokens-day": "330.5", "x-ratelimit-remaining-tokens-minute": "0", "x-ratelimit-reset-tokens-minute": "11"}, Kind.QUOTA_EXHAUSTED, "day", 330.5),
        ("cerebras", {"x-ratelimit-remaining-requests-minute": "0", "x-ratelimit-reset-requests-minute": "7.5"}, Kind.RATE_LIMITED, "minute", 7.5),
        ("cerebras", {"x-ratelimit-remaining-requests-minute": "3", "x-ratelimit-reset-requests-minute": "7.5"}, Kind.RATE_LIMITED, "minute", None),
        ("openrouter", {"date": "Wed, 19 Aug 2026 14:00:00 GMT", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1787148060000"}, Kind.RATE_LIMITED, "minute", 60),
        ("compatible", {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "2"}, Kind.RATE_LIMITED, "minute", 2),
    ],
)  # fmt: skip
def test_what_only_the_headers_of_a_429_tell(
    adapter: str, headers: dict[str, str], kind: Kind, scope: str | None, wait: float | None
) -> None:
    found = error(adapter, 429, {"message": "Too many requests"}, headers)
    assert (found.kind, found.scope, found.retry_after_s) == (kind, scope, wait and pytest.approx(wait))


@pytest.mark.parametrize(
    "fields", [{"retry_after": 12}, {"retry_after": "12s"}, {"metadata": {"retry_after_seconds": 12.0}}]
)
def test_a_wait_may_stand_in_the_body(fields: dict[str, Any]) -> None:
    assert error("compatible", 429, {"error": {"message": "Later.", **fields}}).retry_after_s == 12


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_answer_that_is_still_pending_is_no_answer(adapter: str) -> None:
    with pytest.raises(ProviderError, match="still pending") as raised:
        ADAPTERS[adapter].parse_response(202, {"nvcf-status": "pending-evaluation"}, b"")
    assert raised.value.kind is Kind.OVERLOADED


def test_only_what_passes_is_waited_for() -> None:
    assert error("openai", 401, b"{}", {"retry-after": "5"}).retry_after_s is None
    assert error("openai", 503, b"{}", {"retry-after": "5"}).retry_after_s == 5


def test_a_web_page_is_told_by_its_title_and_is_no_verdict_on_the_key() -> None:
    page = b"<!DOCTYPE html><html><head><title>Attention Required! | Guard</title></head><body>...</body></html>"
    found = error("openai", 403, page)
    assert (found.kind, found.message) == (Kind.BAD_RESPONSE, "HTTP 403: Attention Required! | Guard")
    assert error("openai", 502, page).kind is Kind.SERVER_ERROR
    assert error("openai", 429, b"slow down, please").message == "HTTP 429: slow down, please"


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"[]", b"null", b"3", b'"text"', b"\xff\xfe", b"[1]"])
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_success_that_is_no_json_object_is_a_bad_response(adapter: str, body: bytes) -> None:
    with pytest.raises(ProviderError, match="HTTP 200 with") as raised:
        ADAPTERS[adapter].parse_response(200, {}, body)
    assert raised.value.kind is Kind.BAD_RESPONSE


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdef123456",
        "gsk_abcdefghij12345",
        "nvapi-abcdefghijk",
        "AIzaSyD-abcdefghijklmnop",
        "0123456789abcdef0123456789abcdef",
        "aB3dEfGhIjKlMnOpQrStUvWxYz0123456789abcd",
    ],
)
def test_no_key_is_repeated(secret: str) -> None:
    for text in (
        f"bad key {secret}.",
        f"Bearer {secret}",
        f"https://x/y?key={secret}&z",
        f"provided: {secret} is wrong",
    ):
        assert secret not in clean(text)


def test_messages_are_one_line_and_short_and_keep_what_helps() -> None:
    assert clean("a\n\x1b[31mb\u2028c\u202ed") == "a [31mb c d"
    assert len(clean("word " * 1000)) <= 500
    useful = "The model accounts/fireworks/models/llama-v3p1-405b-instruct-fp8 does not exist, see https://x.ai/a-1."
    assert clean(useful) == useful
