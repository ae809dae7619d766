"""Runs the simulated providers, alone (`quorum simulate`) or with a daemon that routes to them (`quorum demo`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from router.core.settings import Settings
from router.daemon.app import Daemon
from router.daemon.serve import refuse_open_bind, run_until_stopped
from router.registry.load import load_registry
from router.simulator import PROVIDERS, run, start_simulator

DEMO_KEY = "sk-demo"
_PACE_S = 0.01  # between two chunks of a simulated stream, so that a person sees it stream


def demo(settings: Settings, announce: Callable[[str, str], None]) -> None:
    """Runs the configured registry against a simulator; only base URLs and keys differ from `serve`.

    Calls `announce` with the URLs of the daemon and of the simulator. Raises `SettingsError` and `RegistryError`.
    """
    refuse_open_bind(settings)
    daemon = Daemon(settings)
    registry = load_registry(settings.registry, env={})
    keys = {name: DEMO_KEY for provider in registry.providers.values() for name in provider.missing_env}

    async def work(stopped: asyncio.Event) -> None:
        simulator = await start_simulator(pace_s=_PACE_S)
        try:

            def rebase(provider: str, base_url: str) -> str:
                known = provider in PROVIDERS
                return f"{simulator.url}/{provider}{urlsplit(base_url).path}" if known else base_url

            async with daemon.running(keys, rebase):
                announce(daemon.url, simulator.url)
                await stopped.wait()
        finally:
            await simulator.stop()

    run_until_stopped(work, daemon)


def simulate(port: int, weather: Path | None, seed: int, announce: Callable[[str], None]) -> None:
    """Runs the simulated providers alone; calls `announce` with their URL.

    Raises `WeatherError` for a weather file that cannot be used and `OSError` for a port that is taken.
    """

    async def work(stopped: asyncio.Event) -> None:
        running = asyncio.create_task(run(port, weather, seed, announce=lambda simulator: announce(simulator.url)))
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in (running, stopping):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await running

    run_until_stopped(work, None)
