"""The twelve simulated providers and a daemon that routes to one model of each."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from adapters import ADAPTERS
from router.simulator import PROVIDERS, Simulator, start_simulator
from tests.support.daemon import Running, Start

TWELVE = sorted(ADAPTERS.keys() - {"compatible"})


def model_of(name: str) -> str:
    """The pinned name of a provider's model."""
    return f"{name}/{PROVIDERS[name].lists[0]}"


def base_path(name: str) -> str:
    """Where a provider's API begins below the simulator's address."""
    return f"/{name}" + (urlsplit(ADAPTERS[name].BASE_URL).path or "/client/v4/accounts/acc/ai/v1")


@pytest.fixture
async def sky() -> AsyncIterator[Simulator]:
    """The twelve providers, in clear weather."""
    running = await start_simulator()
    yield running
    await running.stop()


@pytest.fixture
async def twelve(start_daemon: Start, sky: Simulator) -> Running:
    """A daemon with one model at each of the twelve, every one of which may be asked for anything."""
    entries = "".join(
        f"  {name}:\n    adapter: {name}\n    base_url: {sky.url}{base_path(name)}\n    api_key: ${{KEY}}\n"
        f"    models: {{{json.dumps(PROVIDERS[name].lists[0])}: {{tier: cheap, family: {name}}}}}\n"
        for name in TWELVE
    )
    return await start_daemon(f"version: 1\ntiers: {{cheap: {{}}}}\nproviders:\n{entries}")
