"""A breaker is half-open when a crowd comes at once: each process admits one trial, and no request is the worse."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.end_to_end.test_overload import process
from tests.support.daemon import registry_for
from tests.support.rim import Providers, until
from tests.support.scripted import Scripted, Step, error, whole

FAILURES = 3
CROWD = 250
BREAKING = 2 * FAILURES  # what each provider has seen before the crowd comes
RULES = f"    retries: 0\n    health: {{mode: passive}}\n    breaker: {{failures: {FAILURES}, open: 1s}}\n"


@dataclass(frozen=True)
class Daemon:
    """A daemon in a process of its own, and a caller of it."""

    url: str
    session: aiohttp.ClientSession

    async def ask(self) -> str:
        """What the model said; every question must be answered."""
        body = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
        async with self.session.post(f"{self.url}/v1/chat/completions", json=body) as response:
            assert response.status == 200, await response.text()
            text: str = (await response.json())["choices"][0]["message"]["content"]
            return text

    async def becomes(self, breaker: str, limit_s: float = 30.0) -> None:
        """Waits until the breaker of the first seat is in this state; raises `TimeoutError` if it is not in time."""
        async with asyncio.timeout(limit_s):
            while await self._breaker() != breaker:
                await asyncio.sleep(0.02)

    async def _breaker(self) -> Any:
        async with self.session.get(f"{self.url}/v1/weather") as response:
            return (await response.json())["providers"][0]["models"][0]["breaker"]


@dataclass(frozen=True)
class Stage:
    """Two daemons and their providers: one that breaks and hangs, and one that is well."""

    daemons: tuple[Daemon, Daemon]
    broken: Scripted
    well: Scripted
    hung: asyncio.Event
    crowded: asyncio.Event


def held(text: str, until: asyncio.Event) -> Step:
    """An answer that hangs until the event is set."""
    answer = whole(text)
    return Step(headers=answer.headers, pieces=answer.pieces, hold=until)


@pytest.fixture
async def stage(providers: Providers, pg_dsn: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    broken, well = await providers(2)
    hung, crowded = asyncio.Event(), asyncio.Event()
    broken.then(*[error(500)] * BREAKING, held("back", hung), held("back", hung), whole("back"))
    well.then(*[whole("well")] * BREAKING, held("well", crowded))
    registry = tmp_path / "registry.yaml"
    patient = registry_for([broken, well]).replace("first_token: 5s, total: 10s", "first_token: 30s, total: 60s")
    registry.write_text(patient.replace("    models:\n", RULES + "    models:\n"))
    env = {
        "PATH": "/usr/bin:/bin",
        "DATABASE_URL": pg_dsn,
        "REDIS_URL": redis_url,
        "QUORUM_REGISTRY": str(registry),
        "KEY": "sk-scripted-key",
    }
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        words = ("router", "serve", "--port", "0", "--data-dir")
        one, two = (
            Daemon(stack.enter_context(process(*words, str(tmp_path / name), env=env))[1], session)
            for name in ("one", "two")
        )
        yield Stage((one, two), broken, well, hung, crowded)


async def test_half_open_with_500_callers_in_two_processes_lets_one_through_in_each(stage: Stage) -> None:
    for daemon in stage.daemons:
        assert [await daemon.ask() for _ in range(FAILURES)] == ["well"] * FAILURES
    for daemon in stage.daemons:
        await daemon.becomes("half-open")
    assert (len(stage.broken.seen), len(stage.well.seen)) == (BREAKING, BREAKING)

    async with asyncio.TaskGroup() as callers:
        crowds = [[callers.create_task(daemon.ask()) for _ in range(CROWD)] for daemon in stage.daemons]
        await until(lambda: len(stage.broken.seen) + len(stage.well.seen) == 2 * BREAKING + 2 * CROWD, 10)
        assert (len(stage.broken.seen), len(stage.well.seen)) == (BREAKING + 2, BREAKING + 2 * CROWD - 2)
        stage.crowded.set()  # not before: so all of them were there at once
        await until(lambda: sum(task.done() for crowd in crowds for task in crowd) == 2 * CROWD - 2, 10)
        for crowd in crowds:
            heard = Counter(task.result() if task.done() else "hangs" for task in crowd)
            assert heard == {"well": CROWD - 1, "hangs": 1}
        stage.hung.set()

    for crowd in crowds:
        assert Counter(task.result() for task in crowd) == {"well": CROWD - 1, "back": 1}
    for daemon in stage.daemons:
        await daemon.becomes("closed")
        assert [await daemon.ask() for _ in range(5)] == ["back"] * 5
    assert len(stage.well.seen) == BREAKING + 2 * CROWD - 2
