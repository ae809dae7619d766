"""A registry that is edited under load: no invalid file costs a request, and a valid one takes over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tests.support.daemon import Reply, Running, Start, registry_for
from tests.support.scripted import Scripted, whole

Providers = Callable[[int], Awaitable[list[Scripted]]]

_CALLERS = 2

# what to replace in a good file → what by; § marks where the problem is, and is taken out
BREAKS = [
    ("version: 1", "version: §2"),
    ("version: 1", "§vresion: 1"),
    ("version: 1", "version: 1\n§version: 1"),
    ("strategy: single-query", "strategy: §singel-query"),
    ("tier: cheap}\ntiers", "tier: §cheep}\ntiers"),
    ("council_size: 3", "council_size: §9"),
    ("council_size: 3", "§council: 3"),
    ("first_token: 5s", "first_token: §5"),
    ("first_token: 5s", "first_token: §5sec"),
    ("total: 10s", "total: §0s"),
    ("total: 10s", "total: §1:30"),
    ("strategies: {}", "strategies: §[]"),
    ("strategies: {}", "strategies: {§councl: {}}"),
    ("strategies: {}", "strategies: {council: {chair: §complex}}"),
    ("  p1:\n    adapter: compatible", "  p1:\n    adapter: §compatibel"),
    ("  p1:\n    adapter: compatible\n", "  §p1:\n"),
    ("  p1:\n", "  §P1:\n"),
    ("  p1:\n", "  p1: §&anchor\n"),
    ("  p1:\n", "  p1:\n    §enabeld: true\n"),
    ("  p1:\n", "  p1:\n    enabled: §no\n"),
    ("  p1:\n", "  p1:\n    §<<: {}\n"),
    ("  p1:\n", "  p1:\n    limits: [§{per: minute}]\n"),
    ("  p1:\n", '  p1:\n    limits: [{requests: 5, per: day, resets: §"25:00 UTC"}]\n'),
    ("m1: {tier: cheap", "m1: {tier: §chep"),
    ("m1: {tier: cheap", "m1: {§teir: cheap"),
    ("rank: 1, price", "rank: §one, price"),
    ("rank: 1, price", "rank: 1, replaced_by: §m9, price"),
    ("rank: 1, price", "rank: §010, price"),
    ("{input: 1, output: 2}}\n  p2", "{input: §-1, output: 2}}\n  p2"),
    ("  p2:\n", "  §p1:\n"),
    ("  p2:\n", "§\tp2:\n"),
    ("  p2:\n", "§---\n  p2:\n"),
]


class Load:
    """Callers that ask again and again; `replies` are their answers in order."""

    def __init__(self, quorum: Running) -> None:
        self._quorum = quorum
        self._stopped = False
        self._more = asyncio.Event()
        self.replies: list[Reply] = []

    async def one_more(self) -> None:
        """Waits until a request that has not begun yet is answered."""
        for _ in range(2 * _CALLERS):
            self._more.clear()
            await asyncio.wait_for(self._more.wait(), 30)

    async def ask(self) -> None:
        while not self._stopped:
            self.replies.append(await self._quorum.chat())
            self._more.set()

    def stop(self) -> None:
        self._stopped = True


@asynccontextmanager
async def load(quorum: Running) -> AsyncIterator[Load]:
    """Callers at work while the block runs; those of them that are still waiting are heard out."""
    callers = Load(quorum)
    tasks = [asyncio.create_task(callers.ask()) for _ in range(_CALLERS)]
    try:
        yield callers
    finally:
        callers.stop()
        await asyncio.gather(*tasks)


def broken(good: str, old: str, new: str) -> tuple[str, str]:
    """The broken text and the `line:col` of its fault."""
    assert good.count(old) == 1, f"{old!r} stands {good.count(old)} times in the good file"
    before, _, after = good.replace(old, new).partition("§")
    return before + after, f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


async def test_broken_files_change_nothing_and_a_good_one_takes_over(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    one.then(whole("one"))
    two.then(whole("two"))
    good = registry_for([one, two])
    quorum = await start_daemon(good)
    first = (await quorum.get("/healthz")).json["registry"]["hash"]
    texts = {broken(good, old, new)[0] for old, new in BREAKS}
    assert len(texts) == len(BREAKS) >= 30

    async with load(quorum) as callers:
        for old, new in BREAKS:
            text, place = broken(good, old, new)
            quorum.registry.write_text(text)
            result = await quorum.post("/v1/reload", {})
            assert (result.status, result.json["status"], result.json["registry"]) == (422, "failed", first)
            told = (await quorum.get("/healthz")).json
            assert (told["status"], told["registry"]["stale"], told["registry"]["hash"]) == ("degraded", True, first)
            errors = [problem for problem in told["registry"]["problems"] if ": error: " in problem]
            assert any(error.startswith(f"{quorum.registry}:{place}: error: ") for error in errors), (new, errors)
            assert told["registry"]["problems"] == result.json["problems"]
        await callers.one_more()
        served_by_the_first = len(callers.replies)

        quorum.registry.write_text(good.replace("rank: 1", "rank: 5"))
        swapped = await quorum.post("/v1/reload", {})
        await callers.one_more()

    assert (swapped.status, swapped.json["status"]) == (200, "swapped")
    assert "p1/m1" in str(swapped.json["changes"])
    replies = callers.replies
    assert {reply.status for reply in replies} == {200}
    told_by = [(reply.headers["X-Quorum-Registry"], reply.json["quorum"]["provider"]) for reply in replies]
    second = swapped.json["registry"]
    assert set(told_by[:served_by_the_first]) == {(first, "p1")}
    assert set(told_by) == {(first, "p1"), (second, "p2")}
    assert told_by[-1] == (second, "p2")
    health = (await quorum.get("/healthz")).json
    assert (health["registry"]["stale"], health["registry"]["hash"]) == (False, second)
    async with asyncio.timeout(30):  # a store that was slow for a moment on a busy machine shows here, too
        while (await quorum.get("/healthz")).json["status"] != "ok":
            await asyncio.sleep(0.05)


async def test_reloads_are_counted_and_the_log_of_registries_names_each_once(
    start_daemon: Start, providers: Providers
) -> None:
    (one,) = await providers(1)
    good = registry_for([one])
    quorum = await start_daemon(good)
    for text in (good, "version: 2", good, good.replace("rank: 1", "rank: 2"), good):
        quorum.registry.write_text(text)
        await quorum.post("/v1/reload", {})
    page = (await quorum.get("/metrics")).body.decode()
    assert 'quorum_registry_reload_total{result="failed"} 1.0' in page
    assert 'quorum_registry_reload_total{result="swapped"} 2.0' in page
    assert "quorum_registry_stale 0.0" in page
    assert page.count("quorum_registry_info{") == 1
