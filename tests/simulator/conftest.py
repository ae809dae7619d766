"""A running simulator, a client for it, and clocks that only move when a test moves them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from router.simulator import Clock, Simulator, start_simulator
from tests.simulator.speakers import SPEAKERS, Body, Speaker


class ManualTime:
    """Time that stands still until `pass_s`; sleepers wake when their moment has come."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: asyncio.Queue[float] = asyncio.Queue()
        self._moved = asyncio.Condition()

    def clock(self) -> Clock:
        return Clock(lambda: self.now, lambda: self.now + 1_790_000_000, self._sleep)

    async def pass_s(self, seconds: float) -> None:
        async with self._moved:
            self.now += seconds
            self._moved.notify_all()

    async def _sleep(self, seconds: float) -> None:
        until = self.now + seconds
        self.slept.put_nowait(seconds)
        async with self._moved:
            await self._moved.wait_for(lambda: self.now >= until)


class Client:
    """Asks a simulator by HTTP."""

    def __init__(self, simulator: Simulator, session: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self.session = session

    async def post(self, speaker: Speaker, body: Any, **headers: str) -> tuple[int, Any, aiohttp.ClientResponse]:
        """Status, decoded body and response of a request that is not streamed."""
        sent = {**speaker.headers, **{key.replace("_", "-"): value for key, value in headers.items()}}
        async with self.session.post(self.simulator.url + speaker.path, json=body, headers=sent) as response:
            return response.status, await response.json(content_type=None), response

    async def raw(self, speaker: Speaker, body: Body, **headers: str) -> tuple[aiohttp.ClientResponse, bytes]:
        """Response and bytes of a streamed request."""
        sent = {**speaker.headers, **{key.replace("_", "-"): value for key, value in headers.items()}}
        async with self.session.post(self.simulator.url + speaker.stream_path, json=body, headers=sent) as response:
            return response, await response.read()


@pytest.fixture
def time() -> ManualTime:
    return ManualTime()


@pytest.fixture
async def simulator(time: ManualTime) -> AsyncIterator[Simulator]:
    running = await start_simulator(clock=time.clock(), seed=7)
    yield running
    await running.stop()


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield Client(simulator, session)


@pytest.fixture(params=SPEAKERS, ids=lambda speaker: speaker.provider)
def speaker(request: pytest.FixtureRequest) -> Speaker:
    found: Speaker = request.param
    return found
