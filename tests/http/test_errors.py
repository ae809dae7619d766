"""From failures to errors: status, code, one sentence, and when to retry."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from yarl import URL

from adapters.errors import POLICY, ErrorKind, ProviderError
from router.core.block import Block, State
from router.core.plan import Exclusion, ExclusionCode
from router.core.vote import Vote
from router.http.errors import MAX_RETRY_AFTER_S, ApiError, error_response, from_exclusions, from_failure
from tests.support.daemon import Start, registry_for
from tests.support.scripted import scripted
from tests.support.small_registry import registry

CHAT = "/v1/chat/completions"
GOOD = orjson.dumps({"messages": [{"role": "user", "content": "x"}]})
SEATS = registry().tiers["cheap"].seats


def vote(**facts: Any) -> Vote:
    usual: dict[str, Any] = {
        "vote_id": "v",
        "request_id": "r",
        "registry_hash": "h",
        "seq": 1,
        "role": "answer",
        "seat": SEATS[0],
        "outcome": "failed",
        "created_at": 0.0,
        "duration_ms": 12.6,
        "arrival_ms": 13.0,
        "error": ProviderError(ErrorKind.SERVER_ERROR, "down", status=503),
        "status": 503,
    }
    return Vote(**usual | facts)


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_of_failure_has_its_status_and_code(kind: ErrorKind) -> None:
    error = from_failure(ProviderError(kind, "as it said"), (vote(),), None)
    assert (error.status, error.code) == (POLICY[kind].status, POLICY[kind].code)
    assert error.message.endswith("; last error: as it said")
    assert 400 <= error.status < 600
    # 401 and 403 are about the caller's own key, which no provider can know.
    assert error.status not in (401, 403)


@pytest.mark.parametrize(
    ("kind", "should_retry"),
    [
        (ErrorKind.CONNECTION, "false"),
        (ErrorKind.AUTH, "false"),
        (ErrorKind.TIMEOUT, "false"),
        (ErrorKind.QUOTA_EXHAUSTED, "false"),
        (ErrorKind.RATE_LIMITED, None),
        (ErrorKind.OVERLOADED, None),
        (ErrorKind.INVALID_REQUEST, None),
    ],
)
def test_a_client_retries_only_where_time_may_help(kind: ErrorKind, should_retry: str | None) -> None:
    assert from_failure(ProviderError(kind, "no"), (vote(),), None).headers().get("x-should-retry") == should_retry


@pytest.mark.parametrize(
    ("wait_s", "told_s", "header"),
    [
        (None, 7.2, "8"),
        (30.0, 7.2, "30"),
        (0.01, None, "1"),
        (0.0, None, "1"),
        (86_400.0, None, "120"),
        (None, None, None),
    ],
)
def test_retry_after_is_the_earliest_free_moment_in_bounds(
    wait_s: float | None, told_s: float | None, header: str | None
) -> None:
    limited = ProviderError(ErrorKind.RATE_LIMITED, "slow down", retry_after_s=told_s)
    assert from_failure(limited, (vote(),), wait_s).headers().get("Retry-After") == header


def test_a_failure_that_time_does_not_heal_names_no_moment() -> None:
    error = from_failure(ProviderError(ErrorKind.CONNECTION, "refused", retry_after_s=5), (vote(),), 5.0)
    assert "Retry-After" not in error.headers()


def test_the_body_is_openai_s_with_every_attempt() -> None:
    votes = (vote(), vote(seq=2, seat=SEATS[1], error=ProviderError(ErrorKind.CONNECTION, "refused"), status=None))
    error = from_failure(ProviderError(ErrorKind.CONNECTION, "refused"), votes, None)
    assert error.body("the-id")["error"] == {
        "message": "no provider answered after 2 attempt(s); last error: refused",
        "type": "server_error",
        "param": None,
        "code": "all_providers_failed",
        "request_id": "the-id",
        "attempts": [
            {"provider": "alpha", "model": "small", "error_type": "server_error", "status": 503, "ms": 13},
            {"provider": "beta", "model": "small", "error_type": "connection", "status": None, "ms": 13},
        ],
    }


def test_the_response_carries_id_and_headers() -> None:
    error = ApiError(429, "rate_limit_exceeded", "later", retry_after_s=3, should_retry=False)
    response = error_response(error, "the-id", {"X-Quorum-Tier": "cheap"})
    assert response.status == 429
    assert response.headers["X-Request-Id"] == "the-id"
    assert response.headers["X-Quorum-Tier"] == "cheap"
    assert (response.headers["Retry-After"], response.headers["x-should-retry"]) == ("3", "false")
    assert isinstance(response.body, bytes)
    assert orjson.loads(response.body)["error"]["type"] == "rate_limit_error"


# --- nobody could be asked -------------------------------------------------------------------------------------------


def blocked(index: int, state: State, until: float | None) -> Exclusion:
    return Exclusion(SEATS[index], "blocked", "its reason", Block(state, "its reason", until))


@pytest.mark.parametrize(
    ("excluded", "expected"),
    [
        ([blocked(0, "limited", 1030.0), blocked(1, "quota-spent", 1010.5)], (429, "rate_limit_exceeded", "11", None)),
        ([blocked(0, "limited", 99_999.0)], (429, "rate_limit_exceeded", str(MAX_RETRY_AFTER_S), None)),
        ([blocked(0, "quota-spent", 4600.0)], (429, "insufficient_quota", str(MAX_RETRY_AFTER_S), "false")),
        ([blocked(0, "limited", 1030.0), blocked(1, "bad-key", None)], (503, "no_seat", "30", None)),
        ([blocked(0, "billing", 4600.0)], (503, "no_seat", "120", None)),
        ([blocked(0, "bad-key", None), blocked(1, "model-gone", None)], (503, "no_seat", None, "false")),
        (
            [blocked(0, "no-key", None), Exclusion(SEATS[1], "capability", "does not support vision")],
            (503, "no_seat", None, "false"),
        ),
    ],
)
def test_a_tier_where_nobody_is_free(
    excluded: list[Exclusion], expected: tuple[int, str, str | None, str | None]
) -> None:
    ends = [exclusion.block.until for exclusion in excluded if exclusion.block and exclusion.block.until]
    error = from_exclusions(tuple(excluded), "tier cheap", min(ends) - 1000.0 if ends else None)
    headers = error.headers()
    assert (error.status, error.code, headers.get("Retry-After"), headers.get("x-should-retry")) == expected
    assert error.message.startswith("no model of tier cheap can be asked now")


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (["capability"], (422, "unsupported")),
        (["context", "capability"], (422, "unsupported")),
        (["too_large"] * 2, (422, "unsupported")),
        (["context"] * 2, (400, "context_length_exceeded")),
    ],
)
def test_a_request_that_no_model_can_take(codes: list[ExclusionCode], expected: tuple[int, str]) -> None:
    excluded = tuple(Exclusion(seat, code, f"it is {code}") for seat, code in zip(SEATS, codes, strict=False))
    error = from_exclusions(excluded, "tier cheap", None)
    assert (error.status, error.code) == expected
    assert f"alpha/small: it is {codes[0]}" in error.message
    assert error.retry_after_s is None


def test_a_long_list_of_reasons_is_cut() -> None:
    error = from_exclusions((Exclusion(SEATS[0], "capability", "why"),) * 20, "tier cheap", None)
    assert error.message.count("why") == 6
    assert error.message.endswith("; and 14 more)")


# --- through the door ------------------------------------------------------------------------------------------------


async def test_hostile_questions_are_the_caller_s_fault_and_never_ours(start_daemon: Start) -> None:
    async with scripted() as provider:
        quorum = await start_daemon(registry_for([provider]))
        questions = [
            ("GET", "/v1/models/%ff%fe", {}, b""),
            ("GET", "/v1/models/%00", {}, b""),
            ("GET", "/v1/votes?provider=%00", {}, b""),
            ("GET", "/v1/votes?%ff=1", {}, b""),
            ("GET", "/v1/votes?limit=" + "9" * 5_000, {}, b""),
            ("GET", "/v1/requests/%00", {}, b""),
            ("GET", "/%ff%0a", {}, b""),
            ("DELETE", "/livez", {}, b""),
            ("POST", CHAT, {"X-Quorum-Timeout-Ms": "9" * 5_000}, GOOD),
            ("POST", CHAT, {"X-Quorum-Strategy": "\udcff"}, GOOD),
            ("POST", CHAT, {"Content-Type": "text/plain"}, GOOD),
            ("POST", CHAT, {}, b"[" * 1_000_000),
            ("POST", CHAT, {}, b'{"model": "\\u0000\\ud83d"}'),
        ]
        for method, path, headers, body in questions:
            sent = {"Content-Type": "application/json", **headers}
            url = URL(quorum.url + path, encoded=True)
            async with quorum.session.request(method, url, headers=sent, data=body) as response:
                told = (await response.json())["error"]
            assert 400 <= response.status < 500, (path, headers)
            assert told["message"]
            assert told["type"] in ("invalid_request_error", "not_found_error")
            assert told["request_id"] == response.headers["X-Request-Id"]
        assert provider.seen == []
