"""The dry run of a chat request: seats in order, excluded models with reasons, and the highest cost."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp import web

from adapters import ADAPTERS
from adapters.types import ChatRequest, Tool
from router.core.block import Block
from router.core.context import Options
from router.core.plan import Plan
from router.core.registry import Registry, Seat
from router.core.strategy_options import Strategy
from router.core.tokens import text_tokens
from router.http.openai.plan import PlanApi
from router.routing.cost_ceiling import WorstCase, worst_case
from router.routing.planner import make_plan
from router.strategies.fusion.prompts import (
    BALLOT_FORM,
    CLOSING,
    FINAL_RANKING_FORM,
    KARPATHY_WORDINGS,
    WORDINGS,
)
from router.strategies.majority.cluster import INSTRUCTION
from router.strategies.table import STRATEGIES, WORDING_TOKENS
from tests.http.apps import App, served
from tests.support.daemon import Reply
from tests.support.small_registry import States, asking, body, registry

TEXT = """\
version: 1
defaults: {strategy: ranked-fallback, tier: cheap}
tiers: {cheap: {council_size: 3, total: 60s}, complex: {council_size: 2}}
strategies: {council: {chair: complex}, synthesize-best: {chair: complex}}
providers:
  alpha:
    adapter: mistral
    api_key: ${KEY}
    retries: 0
    models:
      first: {tier: cheap, rank: 1, family: one, price: {input: 1, output: 2}, max_output: 1000}
      second: {tier: cheap, rank: 2, family: two, price: {input: 2, output: 4}, max_output: 2000}
  beta:
    adapter: openai
    api_key: ${KEY}
    retries: 0
    models:
      third: {tier: cheap, rank: 3, family: three, price: {input: 3, output: 6}, max_output: 500, supports: [json]}
      fourth: {tier: cheap, rank: 4, family: four, price: {input: 0, output: 0}, max_output: 100}
      chair: {tier: complex, rank: 1, family: five, price: {input: 10, output: 20}, max_output: 4000}
"""
HOME = registry(TEXT)
BLOCKS: dict[str, Block] = {}


def planned(home: Registry, options: Options, request: ChatRequest, *, streamed: bool = False) -> Plan:
    return make_plan(home, options, request, States(blocks=BLOCKS), rng=random.Random(1), dropped=dropped)


def dropped(seat: Seat, request: ChatRequest) -> frozenset[str]:
    return ADAPTERS[seat.target.adapter].dropped_params(seat.target, request)


@pytest.fixture
async def app() -> AsyncIterator[App]:
    api = PlanApi(
        registry=lambda: HOME,
        plan=planned,
        doubt=lambda seat: "its last probe found it degraded: chatty" if seat.id == "alpha/second" else None,
        headroom=lambda seat: 0.25 if seat.id == "alpha/first" else 1.0,
        dropped=dropped,
    )
    async with served([web.post("/v1/plan", api.handle)]) as running:
        yield running


@pytest.fixture
def blocks() -> Any:
    """Weather over seats, gone after the test."""
    yield BLOCKS
    BLOCKS.clear()


async def ask(app: App, headers: Mapping[str, str] | None = None, **fields: Any) -> Reply:
    return await app.post("/v1/plan", body(**fields), headers)


async def test_seats_come_in_order_with_what_is_held_against_them(app: App) -> None:
    plan = (await ask(app, logit_bias={"1": 2}, verbose=True)).json

    assert (plan["strategy"], plan["tier"], plan["registry"]) == ("ranked-fallback", "cheap", HOME.short_hash)
    assert plan["timeout_ms"] == 60_000
    assert [seat["model"] for seat in plan["seats"]] == ["first", "second", "third", "fourth"]
    assert plan["seats"][0] == {
        "provider": "alpha",
        "model": "first",
        "tier": "cheap",
        "rank": 1,
        "family": "one",
        "dropped": ["verbose", "logit_bias"],
        "doubt": None,
        "headroom": 0.25,
    }
    assert plan["seats"][1]["doubt"] == "its last probe found it degraded: chatty"
    assert plan["seats"][2]["dropped"] == ["verbose"]
    assert plan["excluded"] == []


async def test_who_is_left_out_is_told_with_reason_and_end(app: App, blocks: dict[str, Block]) -> None:
    blocks["alpha/first"] = Block("limited", "30 of 30 requests a minute are used", 1_750_000_000.0)
    blocks["alpha/second"] = Block("bad-key", "invalid key")
    tools = [{"type": "function", "function": {"name": "look", "parameters": {}}}]

    plan = (await ask(app, tools=tools)).json

    assert [seat["model"] for seat in plan["seats"]] == ["fourth"]
    assert [(out["model"], out["code"], out["state"], out["reason"], out["until"]) for out in plan["excluded"]] == [
        ("first", "blocked", "limited", "30 of 30 requests a minute are used", "2025-06-15T15:06:40+00:00"),
        ("second", "blocked", "bad-key", "invalid key", None),
        ("third", "capability", "unsuitable", "does not support tools", None),
    ]


async def test_nobody_left_is_an_answer_too_and_costs_nothing(app: App, blocks: dict[str, Block]) -> None:
    blocks.update({seat.id: Block("drained", "a person said so") for seat in HOME.seats.values()})
    plan = (await ask(app)).json
    assert (plan["seats"], len(plan["excluded"])) == ([], 4)
    assert plan["worst_case"] == {
        "calls": 0,
        "input_tokens": 0,
        "output_tokens": 0,
        "cost_usd": 0.0,
        "bounded": True,
        "stages": [],
    }


@pytest.mark.parametrize(
    ("fields", "headers", "status", "code"),
    [
        ({"messages": []}, {}, 400, "invalid_body"),
        ({"model": "beta/chiar"}, {}, 404, "model_not_found"),
        ({"quorum": {"teir": "cheap"}}, {}, 400, "invalid_body"),
        ({"strategy": "ranked-falback"}, {}, 400, "unknown_strategy"),
        ({}, {"X-Quorum-Tier": "chaep"}, 400, "unknown_tier"),
        ({}, {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
    ],
)
async def test_what_a_chat_request_is_refused_for_a_plan_is_refused_for(
    app: App, fields: Any, headers: Any, status: int, code: str
) -> None:
    answer = await ask(app, headers, **fields)
    assert (answer.status, answer.error["code"]) == (status, code)


async def test_options_count_wherever_they_stand(app: App) -> None:
    assert len((await ask(app, council_size=2)).json["seats"]) == 2
    assert len((await ask(app, {"X-Quorum-Council-Size": "1"})).json["seats"]) == 1
    pinned = (await ask(app, model="beta/chair")).json
    assert [(seat["provider"], seat["model"]) for seat in pinned["seats"]] == [("beta", "chair")]


# --- the price at most ------------------------------------------------------------------------------------------------


def worst(strategy: Strategy, text: str = TEXT, size: int | None = None, **params: Any) -> WorstCase:
    """The worst case of a prompt of 1,000 tokens."""
    request = asking("x" * 4_000, params=params)
    return worst_case(planned(registry(text), Options(strategy, "cheap", council_size=size), request), request)


@pytest.mark.parametrize(
    ("strategy", "size", "calls"),
    [
        ("single-query", None, 3),
        ("single-query", 1, 1),
        ("ranked-fallback", None, 4),
        ("ranked-fallback", 2, 2),
        ("majority-vote", None, 4),  # three vote, and the fourth stands in for one or breaks a tie
        ("majority-vote", 8, 9),  # there are but four seats: they are asked more than once; and one breaks a tie
        ("synthesize-best", None, 5),
        ("synthesize-best", 1, 4),  # one drafts, the others only if it fails, and there is nothing to fuse
        ("council", None, 11),
        ("council", 2, 5),  # two drafts are not ranked
        ("council", 4, 13),
    ],
)
def test_calls_are_as_many_as_the_strategy_may_make(strategy: Strategy, size: int | None, calls: int) -> None:
    assert worst(strategy, size=size).calls == calls


def test_a_seat_that_may_be_asked_once_more_counts_once_more() -> None:
    assert worst("ranked-fallback", TEXT.replace("retries: 0", "retries: 1")).calls == 5


async def test_a_plan_tells_the_stages_of_its_worst_case(app: App) -> None:
    found = (await ask(app, model="cheap/council", council_size=4)).json["worst_case"]
    assert found["stages"] == [
        {"stage": "drafts", "calls": 4},
        {"stage": "ballots", "calls": 4},
        {"stage": "repairs", "calls": 4},
        {"stage": "chair", "calls": 1},
    ]
    assert found["calls"] == 13


def test_every_strategy_has_a_worst_case() -> None:
    assert all(worst(strategy).calls > 0 for strategy in STRATEGIES)


def test_a_walk_costs_each_of_its_seats_once_up_to_its_own_longest_answer() -> None:
    # prompts of 1,000 tokens at 1, 2, 3 and 0 USD a million; answers of 1,000, 2,000, 500 and 100 at 2, 4, 6 and 0
    found = worst("ranked-fallback")
    assert (found.input_tokens, found.output_tokens, found.bounded) == (4_000, 3_600, True)
    assert found.cost_usd == pytest.approx((6_000 + 2_000 + 8_000 + 3_000) / 1e6)
    shorter = worst("ranked-fallback", max_tokens=300)
    assert (shorter.output_tokens, shorter.bounded) == (300 + 300 + 300 + 100, True)


def test_a_council_pays_for_what_its_members_and_its_chair_read() -> None:
    found = worst("council", size=3, max_tokens=100)
    draft, ballot = 1_000, 1_000 + 2 * 100 + WORDING_TOKENS  # a ballot reads two drafts,
    repair, chair = ballot + 4_096, 1_000 + 3 * 100 + WORDING_TOKENS + 3 * 16  # the chair three, and three rankings
    assert found.input_tokens == 4 * draft + 3 * ballot + 3 * repair + chair
    # `max_tokens` is what the caller gives an answer: drafts and the chair keep to it, and ballots do not.
    assert found.output_tokens == 4 * 100 + 2 * (1_000 + 2_000 + 500) + 100
    drafts = draft * (1 + 2 + 3) + 100 * (2 + 4 + 6)
    reviews = (ballot + repair) * (1 + 2 + 3) + 2 * (1_000 * 2 + 2_000 * 4 + 500 * 6)  # the dearest three of four
    assert found.cost_usd == pytest.approx((drafts + reviews + chair * 10 + 100 * 20) / 1e6)


def test_our_own_wordings_are_shorter_than_what_is_counted_for_them() -> None:
    said = [*WORDINGS.values(), *KARPATHY_WORDINGS.values(), INSTRUCTION]
    longest = max(map(len, said)) + max(len(BALLOT_FORM), len(FINAL_RANKING_FORM)) + len(CLOSING)
    fences = 8 * 2 * len("[end of answer A 0123456789abcdef]\n\n")
    assert text_tokens(longest + fences) < WORDING_TOKENS


def test_wordings_of_the_registry_are_read_too() -> None:
    short, long = (
        worst("council", TEXT.replace("council: {chair: complex}", f"council: {{prompts: {{chair: {text}}}}}"))
        for text in ("x", "x" * 4_001)
    )
    assert long.input_tokens - short.input_tokens == 7 * 1_000  # three ballots, three repairs and the chair


def test_where_a_vote_escalates_both_strategies_count() -> None:
    text = TEXT.replace("strategies: {", "strategies: {majority-vote: {escalate: complex/single-query}, ")
    found = worst("majority-vote", text)
    assert [(stage.stage, stage.calls) for stage in found.stages] == [("votes", 4), ("answer", 1)]
    assert found.calls == 5
    assert found.cost_usd is not None
    assert found.cost_usd > (worst("majority-vote").cost_usd or 0.0)


def test_without_a_price_or_a_bound_it_says_so() -> None:
    assert worst("ranked-fallback", TEXT.replace("price: {input: 2, output: 4}, ", "")).cost_usd is None
    unbounded = worst("ranked-fallback", TEXT.replace(", max_output: 500", ""))
    assert (unbounded.bounded, unbounded.output_tokens) == (False, 1_000 + 2_000 + 4_096 + 100)
    assert worst("ranked-fallback", TEXT.replace(", max_output: 500", ""), max_tokens=5).bounded


def test_tools_are_a_part_of_the_prompt() -> None:
    tools = tuple(Tool(f"tool{number}", "looks something up", {"type": "object"}) for number in range(20))
    options = Options("single-query", "cheap")
    plain, tooled = (
        worst_case(planned(HOME, options, request), request) for request in (asking(), asking(tools=tools))
    )
    assert plain.input_tokens < tooled.input_tokens
