"""Waits and rate limits in the formats of every provider."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import ADAPTERS
from adapters.codec.headers import MAX_WAIT_S, request_id, retry_after_s, wait_in_text_s
from adapters.types import LimitSeen

DATE = {"date": "Wed, 19 Aug 2026 14:00:00 GMT"}
AT_14 = 1787148000.0  # the same moment


@pytest.mark.parametrize(
    ("value", "with_date", "without"),
    [
        ("30", 30, 30),
        (" 1.5 ", 1.5, 1.5),
        ("0", 0, 0),
        ("6m0s", 360, 360),
        ("120ms", 0.12, 0.12),
        ("1m26.4s", 86.4, 86.4),
        ("1h53m56.832s", 6836.832, 6836.832),
        ("48.939935699s", 48.939935699, 48.939935699),
        ("99999999", MAX_WAIT_S, MAX_WAIT_S),
        ("Wed, 19 Aug 2026 14:01:00 GMT", 60, None),
        ("Wed, 19 Aug 2026 13:00:00 GMT", 0, None),
        ("2026-08-19T14:39:19Z", 2359, None),
        ("2026-08-19T16:00:10+02:00", 10, None),
        ("1787148060", 60, None),
        ("1787148060000", 60, None),
        ("-3", None, None),
        ("inf", None, None),
        ("nan", None, None),
        ("1e3", None, None),
        ("1, 2", None, None),
        ("soon", None, None),
        ("", None, None),
        ("٣", None, None),
        ("Mon, 99 Foo 2026 99:99:99 GMT", None, None),
        ("9999-99-99T99:99:99Z", None, None),
    ],
)
def test_retry_after(value: str, with_date: float | None, without: float | None) -> None:
    assert retry_after_s({**DATE, "retry-after": value}) == (with_date and pytest.approx(with_date))
    assert retry_after_s({"retry-after": value}) == (without and pytest.approx(without))
    assert retry_after_s(DATE, value) == (with_date and pytest.approx(with_date))


def test_milliseconds_are_believed_unless_they_say_nothing() -> None:
    assert retry_after_s({"retry-after": "2", "retry-after-ms": "1841"}) == 1.841
    assert retry_after_s({"retry-after": "1", "retry-after-ms": "0"}) == 1
    assert retry_after_s({"retry-after": "1", "retry-after-ms": "x"}, "9s") == 1
    assert retry_after_s({}, "9s") == 9


@settings(derandomize=True, max_examples=500, deadline=None)
@given(
    st.text(max_size=60)
    | st.from_regex(r"[0-9.hmsµTZ:+-]{1,40}", fullmatch=True)
    | st.floats().map(str)
    | st.integers().map(str)
)
def test_nothing_in_a_header_does_harm(value: str) -> None:
    for wait in (retry_after_s({"date": value, "retry-after": value}, value), wait_in_text_s({}, f"retry in {value}")):
        assert wait is None or 0 <= wait <= MAX_WAIT_S
    for adapter in ADAPTERS.values():
        for name in ("x-ratelimit-reset-requests", "x-ratelimit-limit-tokens", "anthropic-ratelimit-tokens-reset"):
            assert len(adapter.parse_limits({name: value})) <= 1


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("Limit 200000, Used 197843. Please try again in 1h53m56.832s. Need more?", 6836.832),
        ("Please retry in 38.495166512s.", 38.495166512),
        ("Please wait 5631 seconds before retrying.", 5631),
        ("Try again in 20 minutes", 1200),
        ("Retry after 2 hours.", 7200),
        ("You will regain access on 2026-08-20 at 00:00 UTC.", 36000),
        ("Please try again in a while.", None),
        ("Please try again.", None),
    ],
)
def test_waits_in_sentences(text: str, wait: float | None) -> None:
    assert wait_in_text_s(DATE, text) == (wait and pytest.approx(wait))


LIMITS = {
    "openai": (
        {
            "x-ratelimit-limit-requests": "500",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "120ms",
            "x-ratelimit-limit-tokens": "30000",
            "x-ratelimit-reset-tokens": "6m0s",
            "x-ratelimit-limit-input-images": "7",
        },
        [LimitSeen("requests", "", 500, 0, 0.12), LimitSeen("tokens", "minute", 30000, None, 360)],
    ),
    "groq": (
        {
            "x-ratelimit-remaining-requests": "14399",
            "x-ratelimit-reset-requests": "6s",
            "x-ratelimit-limit-tokens": "6000",
        },
        [LimitSeen("requests", "day", None, 14399, 6), LimitSeen("tokens", "minute", 6000)],
    ),
    "anthropic": (
        {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-input-tokens-remaining": "0",
            "anthropic-ratelimit-input-tokens-reset": "2026-08-19T14:00:00Z",
            "anthropic-ratelimit-output-tokens-reset": "nonsense",
        },
        [LimitSeen("requests", "minute", 50), LimitSeen("input_tokens", "minute", None, 0, None, AT_14)],
    ),
    "gemini": ({"server-timing": "gfet4t7; dur=500"}, []),
    "cohere": (
        {
            "x-trial-endpoint-call-limit": "20",
            "x-trial-endpoint-call-remaining": "19",
            "x-endpoint-monthly-call-limit": "1000",
        },
        [LimitSeen("requests", "minute", 20, 19), LimitSeen("requests", "month", 1000)],
    ),
    "compatible": (
        {
            "x-ratelimit-remaining-requests-day": "14390",
            "x-ratelimit-reset-requests-day": "33011.382867",
            "x-ratelimit-limit-req-minute": "4",
            "x-ratelimit-limit-tokens-minute": "100000",
            "x-ratelimit-tokens-query-cost": "147",
            "ratelimit-reset": "1787148000000",
        },
        [
            LimitSeen("requests", "day", None, 14390, 33011.382867),
            LimitSeen("requests", "minute", 4),
            LimitSeen("tokens", "minute", 100000),
            LimitSeen("requests", "", None, None, None, AT_14),
        ],
    ),
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits(name: str) -> None:
    headers, wanted = LIMITS[name]
    assert list(ADAPTERS[name].parse_limits(headers)) == wanted


def test_request_ids() -> None:
    assert request_id({"cf-ray": "b", "x-request-id": "a"}) == "a"
    assert request_id({"request-id": "r" * 500}) == "r" * 200
    assert request_id({"content-type": "text/plain"}) == ""
