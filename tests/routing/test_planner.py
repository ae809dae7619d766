"""The planner: the seats that can answer, their order, and the reason for every excluded model."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from adapters.types import NOTHING, ChatRequest, Image, Message, Opaque, ResponseFormat, Tool
from router.core.block import Block
from router.core.context import Options
from router.core.plan import Plan
from router.core.registry import Registry
from router.core.strategy_options import Strategy
from router.routing.planner import make_plan
from router.strategies.table import STRATEGIES
from tests.support.small_registry import CLEAR, REGISTRY, States, asking, ids, registry

HOME = registry()
TOOLS = asking(tools=(Tool("weather"),))
JSON = asking(response_format=ResponseFormat("json_object"))
SCHEMA = asking(response_format=ResponseFormat("json_schema"))
FREE_TEXT = asking(response_format=ResponseFormat("text"))
IMAGE = ChatRequest(messages=(Message("user", (Image("https://x/y.png"),)),))
GONE = Block("model-gone", "retired in March")
LIMITED = Block("limited", "slow down", 1_000.0)


def plan(
    request: ChatRequest | None = None,
    *,
    blocks: Mapping[str, Block] = NOTHING,
    home: Registry = HOME,
    seed: int = 1,
    **options: Any,
) -> Plan:
    wanted = Options(**{"strategy": "ranked-fallback", "tier": "cheap", **options})
    return make_plan(home, wanted, request or asking(), States(blocks=blocks), rng=random.Random(seed))


def left_out(made: Plan) -> dict[str, str]:
    return {exclusion.seat.id: exclusion.reason for exclusion in made.excluded}


def codes(made: Plan) -> dict[str, str]:
    return {exclusion.seat.id: exclusion.code for exclusion in made.excluded}


def test_seats_come_by_rank_with_the_tier_s_time() -> None:
    made = plan()
    assert [seat.rank for seat in made.seats] == [1, 2, 2, 2]
    assert (made.timeout_s, made.strategy, made.excluded) == (60.0, "ranked-fallback", ())
    assert ids(plan(tier="complex").seats) == ["beta/large", "gamma/plain", "alpha/fresh"]
    assert plan(tier="complex").timeout_s == 180.0
    assert plan(timeout_s=1.5).timeout_s == 1.5


@pytest.mark.parametrize(
    ("request_", "out"),
    [
        (FREE_TEXT, {}),
        (TOOLS, {"gamma/plain": "does not support tools"}),
        (JSON, {"gamma/plain": "does not support json"}),
        (SCHEMA, {"gamma/plain": "does not support json"}),
        (IMAGE, {"alpha/small": "does not support vision", "gamma/plain": "does not support vision"}),
    ],
)
def test_who_cannot_take_a_request_is_left_out_with_a_reason(request_: ChatRequest, out: dict[str, str]) -> None:
    made = plan(request_)
    assert left_out(made) == out
    assert codes(made) == dict.fromkeys(out, "capability")
    assert all(exclusion.block is None for exclusion in made.excluded)
    assert "delta/unsaid" in ids(made.seats)  # the registry does not say what it supports: it is tried for anything


def test_audio_and_files_go_only_where_openai_s_wire_is_spoken() -> None:
    text = REGISTRY.replace("  gamma:\n    adapter: openai", "  gamma:\n    adapter: gemini")
    audio = ChatRequest(messages=(Message("user", (Opaque({"type": "input_audio"}),)),))
    made = plan(audio, home=registry(text))
    assert left_out(made) == {"gamma/plain": "its wire has no place for audio or files"}
    assert codes(made) == {"gamma/plain": "wire"}


def test_a_text_that_is_surely_too_long_is_not_sent() -> None:
    assert left_out(plan(asking("x" * 32_000))) == {}
    made = plan(asking("x" * 32_004))
    assert left_out(made) == {"alpha/small": "about 8001 tokens are more than its context of 8000"}
    assert codes(made) == {"alpha/small": "context"}
    assert "alpha/small" not in ids(made.seats)


def test_the_weather_leaves_out_with_its_own_words_and_end() -> None:
    made = plan(blocks={"alpha/small": LIMITED})
    assert "alpha/small" not in ids(made.seats)
    assert [exclusion.as_dict() for exclusion in made.excluded] == [
        {
            "provider": "alpha",
            "model": "small",
            "code": "blocked",
            "state": "limited",
            "reason": "slow down",
            "until": 1_000.0,
        }
    ]


def test_what_a_model_cannot_do_is_the_better_reason_than_its_weather() -> None:
    made = plan(TOOLS, blocks={"gamma/plain": LIMITED})
    assert made.excluded[0].as_dict()["state"] == "unsuitable"


def test_equal_ranks_share_the_load_and_never_pass_a_better_one() -> None:
    orders = [ids(plan(seed=seed).seats) for seed in range(600)]
    assert {order[0] for order in orders} == {"alpha/small"}
    seconds = Counter(order[1] for order in orders)
    assert set(seconds) == {"beta/small", "gamma/plain", "delta/unsaid"}
    assert all(150 < number < 250 for number in seconds.values())


def test_one_seed_is_one_order() -> None:
    assert plan(seed=7).seats == plan(seed=7).seats


@pytest.mark.parametrize(
    ("options", "number"),
    [
        ({"strategy": "ranked-fallback"}, 4),
        ({"strategy": "single-query"}, 3),
        ({"strategy": "single-query", "council_size": 1}, 1),
        ({"strategy": "single-query", "council_size": 4}, 4),
        ({"strategy": "ranked-fallback", "council_size": 2}, 2),
        ({"strategy": "ranked-fallback", "council_size": 8}, 4),
    ],
)
def test_how_many_are_walked(options: dict[str, Any], number: int) -> None:
    assert len(plan(**options).seats) == number


def test_a_pinned_model_is_the_only_one() -> None:
    assert ids(plan(pinned="gamma/plain").seats) == ["gamma/plain"]
    for made in (
        plan(TOOLS, pinned="gamma/plain"),
        plan(pinned="alpha/small", blocks={"alpha/small": GONE}),
    ):
        assert (made.seats, len(made.excluded)) == ((), 1)


def test_a_model_that_has_gone_is_stood_in_for_at_its_own_place() -> None:
    made = plan(blocks={"alpha/small": GONE})
    first = made.seats[0]
    assert (first.id, first.tier, first.rank, first.timeouts.total_s) == ("alpha/fresh", "cheap", 1, 60.0)
    assert left_out(made) == {"alpha/small": "retired in March"}


@pytest.mark.parametrize(
    ("request_", "blocks"),
    [
        (asking(), {"alpha/small": LIMITED}),
        (asking(), {"alpha/small": GONE, "alpha/fresh": LIMITED}),
        (asking("x" * 300_000), {"alpha/small": GONE}),
        (TOOLS, {"beta/small": GONE}),
    ],
)
def test_nobody_stands_in_for_who_is_only_resting_or_without_being_fit(
    request_: ChatRequest, blocks: dict[str, Block]
) -> None:
    assert "alpha/fresh" not in ids(plan(request_, blocks=blocks).seats)


def test_a_stand_in_that_has_a_seat_of_its_own_keeps_the_better_place() -> None:
    both = registry(REGISTRY.replace("fresh: {tier: complex", "fresh: {tier: {complex: 9, cheap: 8}").replace(
        ", rank: 9, context: 64k", ", context: 64k"
    ))  # fmt: skip
    made = plan(home=both, blocks={"alpha/small": GONE})
    assert ids(made.seats)[0] == "alpha/fresh"
    assert Counter(ids(made.seats)).most_common(1)[0][1] == 1


def test_a_seat_that_would_lose_a_parameter_is_left_out_where_the_caller_is_strict() -> None:
    made = make_plan(
        HOME,
        Options("ranked-fallback", "cheap", strict=True),
        asking(),
        CLEAR,
        rng=random.Random(1),
        dropped=lambda seat, request: frozenset({"seed"} if seat.id == "gamma/plain" else ()),
    )
    assert left_out(made) == {"gamma/plain": "cannot take seed, and strict was asked"}
    assert codes(made) == {"gamma/plain": "strict"}


def test_a_request_that_no_limit_would_ever_admit_is_too_large() -> None:
    text = REGISTRY.replace('{requests: 100, per: day, resets: "00:00 UTC"}', "{tokens: 100, per: minute}")
    assert codes(plan(asking("x" * 4_000), home=registry(text))) == {"alpha/small": "too_large"}


@pytest.mark.parametrize(
    ("strategy", "room", "short"), [("council", 1, True), ("council", 2, False), ("majority-vote", 1, False)]
)
def test_a_seat_needs_room_for_every_call_that_its_strategy_makes_of_it(
    strategy: Strategy, room: float, short: bool
) -> None:
    made = make_plan(
        HOME,
        Options(strategy, "cheap"),
        asking(),
        States(rooms={"alpha/small": room}),
        rng=random.Random(1),
    )
    assert codes(made) == ({"alpha/small": "no_room"} if short else {})


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_only_a_strategy_with_a_chair_has_chairs(strategy: Strategy) -> None:
    made = plan(strategy=strategy)
    expected = ["beta/large", "gamma/plain", "alpha/fresh"] if STRATEGIES[strategy].chaired else []
    assert ids(made.chairs) == expected
