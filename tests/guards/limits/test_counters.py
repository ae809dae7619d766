"""What a call is counted as: which counters, how much of each by estimate and in the end, and how that is said."""

from __future__ import annotations

import pytest

from adapters.types import ChatRequest, Image, LimitSeen, Message, ResponseFormat, Text, Tool, ToolCall, Usage
from router.core.registry import Seat
from router.guards.limits.counters import (
    Counter,
    Need,
    counters_of,
    left_of,
    need_of,
    spent,
    take,
    told,
    too_large,
    used_up,
)
from tests.guards.limits.ledgers import UTC_DAY, seat, seats
from tests.support.small_registry import asking

EVERYTHING = f"requests: 30, per: minute; tokens: 8k, per: minute, scope: model; neurons: 10k, per: day, {UTC_DAY}"


def counter(limit: str) -> Counter:
    (one,) = counters_of(seat(limit, price="input: 1, output: 2"))
    return one


# --- counters --------------------------------------------------------------------------------------------------------


def test_models_share_what_is_the_accounts_and_have_their_own_of_the_rest() -> None:
    small, large = (
        {each.key for each in counters_of(each)} for each in seats(EVERYTHING, of_model="requests: 500, per: day")
    )
    assert (len(small), len(large), len(small & large)) == (4, 4, 2)


def test_another_amount_is_the_same_counter_and_another_reset_is_not() -> None:
    keys = [
        counter(f"requests: {amount}, per: day, resets: {resets}").key
        for amount, resets in ((50, "rolling"), (80, "rolling"), (50, '"00:00 UTC"'), (50, '"00:00 Asia/Tokyo"'))
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_all_keys_of_a_provider_lie_on_one_node_of_a_cluster_and_bear_a_version() -> None:
    for each in counters_of(seat(EVERYTHING)):
        assert each.key.startswith("quorum:1:{acme}:")


def test_a_free_model_takes_nothing_from_the_money_of_its_account() -> None:
    limits = f"requests: 30, per: minute; usd: 5, per: month, {UTC_DAY}"
    units = [
        [each.limit.unit for each in counters_of(seat(limits, price=price))]
        for price in ("input: 0, output: 0", "input: 1, output: 0", "")
    ]
    assert units == [["requests"], ["requests", "usd"], ["requests", "usd"]]


# --- before a call ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "tokens"),
    [
        (asking("x" * 400, params={"max_tokens": 50}), 150),
        (asking("ü" * 200, params={"max_tokens": 50}), 150),  # bytes, not characters
        (asking("", params={"max_tokens": 50}, tools=(Tool("t" * 40, "d" * 38, {"a": "b"}),)), 72),
        (asking("", params={"max_tokens": 1}, response_format=ResponseFormat("json_schema", schema={"a": "b"})), 4),
        (asking("abcde", params={"max_tokens": 0}), 2),
    ],
)
def test_a_need_is_the_prompt_by_its_length_and_the_answer_by_its_bound(request_: ChatRequest, tokens: int) -> None:
    assert need_of(seat(""), request_) == Need(tokens, 0)


def test_pictures_and_tool_calls_count() -> None:
    call = Message("assistant", tool_calls=(ToolCall("1", "name", "x" * 396),))
    picture = Message("user", (Text(""), Image("data:image/png;base64," + "A" * 1_000_000)))
    assert need_of(seat(""), ChatRequest((call, picture), params={"max_tokens": 10})).tokens == 100 + 1000 + 10


def test_an_answer_without_bound_is_guessed_and_one_beyond_the_models_cap_is_cut() -> None:
    assert need_of(seat(""), asking("")) == Need(1024, 0, max_tokens_guessed=True)
    capped = seat("", of_model="requests: 1, per: day")
    object.__setattr__(capped.model, "max_output_tokens", 100)
    assert need_of(capped, asking("")) == Need(100, 0, max_tokens_guessed=True)
    assert need_of(capped, asking("", params={"max_tokens": 5000})) == Need(100, 0)


def test_money_is_counted_in_millionths_and_neurons_by_their_price() -> None:
    need = need_of(seat("", price="input: 0.5, output: 2"), asking("x" * 400, params={"max_tokens": 50}))
    assert need == Need(150, 150)  # 100 tokens at 0.5 and 50 at 2 USD per million
    dollars, neurons = counter(f"usd: 0.5, per: day, {UTC_DAY}"), counter(f"neurons: 10k, per: day, {UTC_DAY}")
    assert (dollars.amount, take(dollars, need)) == (500_000, 150)
    assert (neurons.amount, take(neurons, need)) == (10_000, 14)  # 11 millionths each, rounded up


def test_a_call_larger_than_a_limit_is_said_to_be() -> None:
    tight = seat("tokens: 8k, per: minute")
    assert too_large(tight, Need(9000, 0)) == "needs about 9000 tokens, more than its limit of 8000 a minute"
    assert too_large(tight, Need(8000, 0)) is None
    costly = seat(f"usd: 0.01, per: day, {UTC_DAY}", price="input: 1, output: 1")
    assert too_large(costly, Need(1, 20_000)) == "needs about 0.02 USD, more than its limit of 0.01 a day"


def test_a_guessed_answer_makes_no_call_too_large_but_its_prompt_may() -> None:
    tight = seat("tokens: 1k, per: minute")
    guessed = need_of(tight, asking("x" * 400))
    assert guessed.tokens > 1000
    assert too_large(tight, guessed) is None
    assert [take(each, guessed) for each in counters_of(tight)] == [1000]
    long = too_large(tight, need_of(tight, asking("x" * 8000)))
    assert long == "needs about 2000 tokens, more than its limit of 1000 a minute"


# --- after a call ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "usage", "cost_usd", "expected"),
    [
        ("requests: 5, per: minute", Usage(10, output_tokens=20), 0.1, 7),
        ("tokens: 5k, per: minute", Usage(10, output_tokens=20), 0.1, 30),
        ("tokens: 5k, per: minute", Usage(10), 0.1, 7),  # half of it is not known
        ("tokens: 5k, per: minute", Usage(), None, 7),
        (f"usd: 5, per: day, {UTC_DAY}", Usage(), 0.0000011, 2),
        (f"usd: 5, per: day, {UTC_DAY}", Usage(10, output_tokens=20), None, 7),
        (f"neurons: 5k, per: day, {UTC_DAY}", Usage(), 0.000_111, 11),
    ],
)
def test_what_a_provider_tells_is_what_was_spent(
    limit: str, usage: Usage, cost_usd: float | None, expected: int
) -> None:
    assert spent(counter(limit), 7, usage, cost_usd) == expected


def test_headers_are_matched_by_unit_and_window_the_models_limit_first() -> None:
    both = counters_of(seat("requests: 30, per: minute", of_model="requests: 10, per: minute; tokens: 9k, per: day"))
    of_model = both[0]
    word = LimitSeen("requests", "minute", remaining=3)
    others = (
        LimitSeen("requests", "hour", remaining=1),
        LimitSeen("requests", "", remaining=1),
        LimitSeen("input_tokens", "day", remaining=1),
        LimitSeen("tokens", "day", limit=9000),
    )
    assert told(both, (word, *others)) == {of_model.key: word}


# --- in words --------------------------------------------------------------------------------------------------------


def test_limits_are_told_in_the_registrys_units() -> None:
    requests, dollars = counter("requests: 30, per: minute"), counter(f"usd: 0.5, per: day, {UTC_DAY}")
    assert used_up(requests, 30) == "30 of 30 requests a minute are used"
    assert used_up(dollars, 500_000) == "0.50 of 0.50 USD a day are used"
    tokens = counter("tokens: 8k, per: minute")
    assert used_up(tokens, 7000, 1500) == "7000 of 8000 tokens a minute are used, and this call needs about 1500"
    assert left_of(requests, 12, 0).resets_at is None
    left = left_of(dollars, 250_000, 86_400_000 + 5)
    assert (left.name, left.amount, left.used, left.resets_at) == ("usd/day", 0.5, 0.25, 2 * 86400.0)


def test_a_seat_without_limits_has_no_counters() -> None:
    unlimited: Seat = seat("")
    assert counters_of(unlimited) == ()
    assert too_large(unlimited, Need(10**9, 10**9)) is None
