"""The most calls that a plan and the first stage announce, against the number of calls that providers saw.

Each strategy runs at every size against providers that make it send as many calls as it may.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from aiohttp import web

from router.core.registry import MAX_COUNCIL_SIZE
from router.core.strategy_options import Strategy
from router.guards.retry_budget import RetryBudget
from router.strategies.table import STRATEGIES
from tests.support.daemon import Running, Start
from tests.support.scripted import Scripted, Step, error, whole

MEMBERS, CHAIRS = ("p1", "p2", "p3", "p4"), ("c1", "c2", "c3")
SIZES = (None, *range(1, MAX_COUNCIL_SIZE + 1))
LABELS = [f"label {number}" for number in range(12)]
BROKEN = error(500)
REFUSAL = whole("I would rather not.")
Role = str
# What a prompt says tells what is asked for.
ROLES: tuple[tuple[str, Role], ...] = (
    ("You compare answers that several assistants gave", "ballot"),
    ("Group the answers that say the same", "judge"),
    ("have ranked each other's answers", "chair"),
    ("Rank them in your thoughts", "chair"),
)


class Upstream(Scripted):
    """All providers in one: `says` is asked what a provider does, by its name and what is asked of it."""

    says: Callable[[str, Role], Step]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.text()
        self.seen.append({"provider": request.path.split("/")[1], **json.loads(raw)})
        role = next((role for words, role in ROLES if words in raw), "answer")
        return await self._play(self.says(self.seen[-1]["provider"], role), request)


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    played = Upstream()
    app = web.Application()
    app.router.add_post("/{path:.*}", played.answer)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    played.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield played
    finally:
        await runner.cleanup()


@pytest.fixture(name="providers")
async def _providers() -> AsyncIterator[Upstream]:
    async with upstream() as played:
        yield played


def registry_of(played: Upstream, strategies: str = "{}") -> str:
    """Four members, and three chairs in tier complex; no failure ever rests a seat."""
    lines = [
        "version: 1",
        "defaults:",
        "  tier: cheap",
        "  breaker: {failures: 1000, min_calls: 1000}",
        "  health: {mode: passive}",
        "tiers: {cheap: {council_size: 3}, complex: {council_size: 3}}",
        f"strategies: {strategies}",
        "providers:",
    ]
    for rank, name in enumerate((*MEMBERS, *CHAIRS), start=1):
        tier = "cheap" if name in MEMBERS else "complex"
        lines += [
            f"  {name}:",
            "    adapter: compatible",
            f"    base_url: {played.url}/{name}/v1",
            f"    models: {{m: {{tier: {tier}, rank: {rank}, family: {name}, price: {{input: 1, output: {rank}}}}}}}",
        ]
    return "\n".join(lines) + "\n"


# --- what providers do -----------------------------------------------------------------------------------------------


def worst(strategy: Strategy, size: int | None) -> Callable[[str, Role], Step]:
    """What can be replaced fails, drafts and voters; else no two votes agree, nobody ranks, and every chair fails."""
    facts, asked = STRATEGIES[strategy], itertools.count()
    if facts.chaired:
        failing = max(0, len(MEMBERS) - facts.seats(size, 3))
    else:
        failing = len(MEMBERS) if not facts.several or facts.seats(size, 3) <= len(MEMBERS) else 0

    def says(provider: str, role: Role) -> Step:
        if role != "answer":
            return BROKEN if role == "chair" else REFUSAL
        number = next(asked)
        return BROKEN if number < failing or not facts.several else whole(f"{number}")

    return says


def nobody_groups(provider_count: int) -> Callable[[str, Role], Step]:
    """Every answer is other prose; every seat fails to group them but the last, and that one cannot be read."""
    asked, judged = itertools.count(), itertools.count(1)

    def says(provider: str, role: Role) -> Step:
        if role == "judge":
            return BROKEN if next(judged) < provider_count else REFUSAL
        return whole(
            f"Answer number {next(asked)} is long enough that no two such answers could ever be compared. " * 2
        )

    return says


def weak_then_broken() -> Callable[[str, Role], Step]:
    """All voters fail but the last, which names no label; then drafts come, and every chair fails."""
    asked = itertools.count(1)

    def says(provider: str, role: Role) -> Step:
        if provider in CHAIRS:
            return BROKEN if role == "chair" else whole("A draft.")
        return BROKEN if next(asked) < len(MEMBERS) else whole("neither")

    return says


# --- what is counted -------------------------------------------------------------------------------------------------


async def counted(running: Running, played: Upstream, says: Callable[[str, Role], Step], **fields: Any) -> int:
    """How many calls providers saw, once the plan and the request's first event have said the same."""
    played.says, played.seen = says, []
    body = {"model": "auto", "messages": [{"role": "user", "content": "What is it?"}], **fields}
    plan = (await running.post("/v1/plan", body)).json
    assert played.seen == []
    reply = await running.post("/v1/chat/completions", {**body, "stream": True}, {"X-Quorum-Explain": "true"})
    events = [chunk["quorum"]["event"] for chunk in reply.chunks if "event" in chunk.get("quorum", {})]
    told = next(event for event in events if event["stage"] == "plan")
    rows = sorted((await running.recorded(reply))["votes"], key=lambda row: row["seq"])
    first = [(row["provider"], row["model"]) for row in rows[: len(told["seats"])]]
    assert [(seat["provider"], seat["model"]) for seat in told["seats"]] == first
    assert len(rows) == len(played.seen)
    assert told["calls"] == plan["worst_case"]["calls"] == sum(stage["calls"] for stage in plan["worst_case"]["stages"])
    assert len(played.seen) == told["calls"], (plan["worst_case"], [(row["role"], row["outcome"]) for row in rows])
    return len(played.seen)


@pytest.fixture(name="start")
def _start(start_daemon: Start, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Daemons whose budget of retries is never spent."""
    monkeypatch.setattr("router.daemon.app.RetryBudget", partial(RetryBudget, floor=10_000))
    return start_daemon


@pytest.mark.parametrize(
    ("strategy", "calls"),
    [  # by size: as the registry has it, then 1 to 8; each walk has one repeat, since `retries` is 1
        ("single-query", [4, 2, 3, 4, 5, 5, 5, 5, 5]),
        ("ranked-fallback", [5, 2, 3, 4, 5, 5, 5, 5, 5]),
        ("majority-vote", [4, 4, 4, 4, 4, 6, 7, 8, 9]),
        ("synthesize-best", [8, 4, 8, 8, 8, 8, 8, 8, 8]),
        ("council", [14, 4, 8, 14, 16, 16, 16, 16, 16]),
    ],
)
async def test_a_strategy_sends_as_many_calls_as_it_said_it_might(
    strategy: Strategy, calls: list[int], start: Start, providers: Upstream
) -> None:
    running = await start(registry_of(providers))
    sent = [
        await counted(running, providers, worst(strategy, size), strategy=strategy, council_size=size) for size in SIZES
    ]
    assert sent == calls


async def test_a_vote_that_is_grouped_says_so_beforehand(start: Start, providers: Upstream) -> None:
    running = await start(registry_of(providers, "{majority-vote: {free_text: cluster}}"))
    for size in (2, 3, 5):
        says = nobody_groups(len(MEMBERS))
        sent = await counted(running, providers, says, strategy="majority-vote", council_size=size)
        assert sent == size + len(MEMBERS) + 1


async def test_a_vote_that_escalates_counts_both_strategies(start: Start, providers: Upstream) -> None:
    running = await start(registry_of(providers, "{majority-vote: {escalate: complex/synthesize-best}}"))
    fields = {"strategy": "majority-vote", "quorum": {"labels": LABELS}}
    # four voters, three drafts, and three chairs, of which one is asked twice
    assert await counted(running, providers, weak_then_broken(), **fields) == 4 + 3 + 4
