"""A seat that falls silent or slow under load: few requests wait there to the end, and all are answered.

All requests prefer the same seat, which is the worst case: until its silence is certain, all of them go there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.support.daemon import Reply, Running, Start, registry_for
from tests.support.rim import Providers
from tests.support.scripted import HANG, Scripted, Step, error, stream, whole

USUAL_S = 0.4
LATE_S = 3 * USUAL_S
LIMIT_S = 3.0  # to the first token
RPS = 20
WARM = 100  # requests before
SHARE = 0.2  # of the requests may have a second call, beside the first ten in ten seconds
LEFT = "no first token, and requests that have waited longer at this seat got none either"
Scene = Callable[..., Awaitable["Load"]]


def taking(seconds: float, text: str, *, streamed: bool) -> Step:
    """An answer whose first sign of life comes after so long."""
    said = stream(text) if streamed else whole(text)
    return replace(said, pieces=[b"".join(said.pieces)], every_s=seconds)


@dataclass(frozen=True)
class Asked:
    """One request: what came of it, and how long it took."""

    reply: Reply
    took_s: float

    @property
    def text(self) -> str:
        streamed = self.reply.headers["Content-Type"].startswith("text/event-stream")
        return self.reply.text if streamed else str(self.reply.json["choices"][0]["message"]["content"])


class Load:
    """A daemon with two seats, the first of which everybody wants, and its callers."""

    def __init__(self, running: Running, first: Scripted, second: Scripted, streamed: bool) -> None:
        self.running = running
        self.first = first
        self.second = second
        self._streamed = streamed

    async def ask(self) -> Asked:
        loop = asyncio.get_running_loop()
        began = loop.time()
        reply = await self.running.chat(stream=self._streamed)
        return Asked(reply, loop.time() - began)

    async def become_usual(self) -> None:
        """Asks often enough for the seat's time to be known, and for a budget of second calls."""
        for _ in range(4):
            await asyncio.gather(*(self.ask() for _ in range(WARM // 4)))
        assert len(self.first.seen) == WARM
        assert len(self.second.seen) < WARM / 4  # who is late on a busy machine goes there

    async def requests(self, number: int) -> list[asyncio.Task[Asked]]:
        """So many requests, evenly."""
        asked = []
        for _ in range(number):
            asked.append(asyncio.create_task(self.ask()))
            await asyncio.sleep(1 / RPS)
        return asked


@pytest.fixture
def scene(start_daemon: Start, providers: Providers) -> Scene:
    """Starts a daemon whose first seat answers as it usually does."""

    async def start(*, streamed: bool, usual_s: float = USUAL_S, breaker: str = "{}") -> Load:
        first, second = await providers(2)
        first.then(taking(usual_s, "first", streamed=streamed))
        second.then(taking(0.01, "second", streamed=streamed))
        rules = f"    retries: 0\n    breaker: {breaker}\n    health: {{mode: passive}}\n"
        registry = registry_for([first, second]).replace("    models:\n", rules + "    models:\n")
        # A whole answer has no first token to wait for, but while others could answer half of the time that is left.
        limits = f"first_token: {LIMIT_S:.0f}s, total: {2 * LIMIT_S:.0f}s"
        running = await start_daemon(registry.replace("first_token: 5s, total: 10s", limits))
        load = Load(running, first, second, streamed)
        await load.become_usual()
        return load

    return start


async def state(load: Load) -> Any:
    weather = (await load.running.get("/v1/weather")).json["providers"]
    return weather[0]["models"][0]["state"]


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_seat_that_falls_silent_costs_at_most_three_requests_their_limit(scene: Scene, streamed: bool) -> None:
    load = await scene(streamed=streamed)
    load.first.steps[:] = [HANG]
    asked = await asyncio.gather(*await load.requests(2 * RPS))
    assert {(one.reply.status, one.text) for one in asked} == {(200, "second")}
    assert len(load.first.seen) - WARM > 10, "it was known before many had come: nobody had to leave"
    assert 1 <= sum(one.took_s >= LIMIT_S for one in asked) <= 3
    left = [one for one in asked if 2 * USUAL_S < one.took_s < LIMIT_S]
    votes = (await load.running.recorded(left[0].reply))["votes"]
    assert [(vote["provider"], vote["error_type"]) for vote in votes] == [("p1", "first_token_timeout"), ("p2", None)]
    assert LEFT in str(votes[0])
    assert await state(load) == "clear"  # those who left say nothing of the seat, and two failures break nothing


async def test_a_seat_that_is_25_times_slower_is_avoided_within_five(scene: Scene) -> None:
    load = await scene(streamed=True, usual_s=0.1)
    load.first.steps[:] = [taking(2.5, "first", streamed=True)]
    asked = await asyncio.gather(*await load.requests(4 * RPS))
    assert {one.reply.status for one in asked} == {200}
    assert 1 <= sum(one.text == "first" for one in asked) <= 5


async def test_where_too_many_had_a_second_call_the_rest_wait_on(scene: Scene) -> None:
    load = await scene(streamed=True, breaker="{failures: 100, min_calls: 1000}")
    spoken, said = asyncio.Event(), stream("first")
    load.first.steps[:] = [error(500)]
    while (await load.ask()).reply.status == 200:
        pass  # until there is no second call left
    load.first.steps[:] = [Step(headers=said.headers, pieces=said.pieces, hold=spoken)]
    asking = await load.requests(2 * RPS)
    await asyncio.sleep(USUAL_S)
    spoken.set()
    asked = await asyncio.gather(*asking)
    assert {one.reply.status for one in asked} == {200}
    left = [one for one in asked if one.reply.headers["X-Quorum-Attempts"] == "2"]
    waited_on = [one for one in asked if one.text == "first" and one.took_s > 1.2 * LATE_S]
    assert len(left) <= 1 + SHARE * len(asked)
    assert len(waited_on) >= 5


async def test_a_busy_moment_of_ours_makes_nobody_leave(scene: Scene) -> None:
    load = await scene(streamed=True, usual_s=0.1)
    before = len(load.second.seen)
    asking = [asyncio.create_task(load.ask()) for _ in range(20)]
    while len(load.first.seen) < WARM + 20:
        await asyncio.sleep(0)
    until = time.thread_time() + 5 * 0.1
    while time.thread_time() < until:
        pass
    assert {one.text for one in await asyncio.gather(*asking)} == {"first"}
    assert len(load.second.seen) == before
