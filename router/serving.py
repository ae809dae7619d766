"""Running the daemon until a signal ends it: `quorum serve`, and `quorum demo` with a simulator beside it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from router.app import Daemon
from router.registry.load import load_registry
from router.settings import LOOPBACK_HOSTS, Settings, SettingsError
from router.simulator import PROVIDERS, start_simulator
from router.simulator import run as run_simulator

DEMO_KEY = "sk-demo"
_DEMO_PACE_S = 0.01  # between two pieces of a simulated stream, so that it looks like one


def serve(settings: Settings, env: Mapping[str, str], announce: Callable[[str], None]) -> None:
    """Runs the daemon; `announce` gets its URL when it is ready. Raises `SettingsError` and `RegistryError`."""
    _refuse(settings)
    daemon = Daemon(settings)

    async def work(stopped: asyncio.Event) -> None:
        async with daemon.running(env):
            announce(daemon.url)
            await stopped.wait()

    _run(work, daemon)


def demo(settings: Settings, announce: Callable[[str, str], None]) -> None:
    """Runs the shipped registry against a simulator: only base URLs and keys differ from `serve`."""
    _refuse(settings)
    daemon = Daemon(settings)
    registry = load_registry(settings.registry, env={})
    keys = {name: DEMO_KEY for provider in registry.providers.values() for name in provider.missing_env}

    async def work(stopped: asyncio.Event) -> None:
        simulator = await start_simulator(pace_s=_DEMO_PACE_S)
        try:

            def rebase(provider: str, base_url: str) -> str:
                known = provider in PROVIDERS
                return f"{simulator.url}/{provider}{urlsplit(base_url).path}" if known else base_url

            async with daemon.running(keys, rebase):
                announce(daemon.url, simulator.url)
                await stopped.wait()
        finally:
            await simulator.stop()

    _run(work, daemon)


def simulate(port: int, weather: Path | None, seed: int, announce: Callable[[str], None]) -> None:
    """Runs the simulated providers alone. Raises `WeatherError` and `OSError`."""

    async def work(stopped: asyncio.Event) -> None:
        running = asyncio.create_task(
            run_simulator(port, weather, seed, announce=lambda simulator: announce(simulator.url))
        )
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in (running, stopping):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await running

    _run(work, None)


def _run(work: Callable[[asyncio.Event], Awaitable[None]], daemon: Daemon | None) -> None:
    async def main() -> None:
        loop, task, stopped = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()
        assert task is not None

        def stop() -> None:
            if stopped.is_set() or (daemon is not None and not daemon.url):
                task.cancel()  # a second signal, or one before the daemon was ready, does not wait for anybody
            stopped.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        if daemon is not None:
            loop.add_signal_handler(signal.SIGHUP, lambda: daemon.nudge() if daemon.url else None)
        await work(stopped)

    with suppress(asyncio.CancelledError):
        uvloop.run(main())


def _refuse(settings: Settings) -> None:
    """What must not be begun, or cannot be done yet."""
    if settings.workers > 1:
        raise SettingsError(
            "several workers are not built yet: "
            "start several daemons on one DATABASE_URL and REDIS_URL behind a load balancer"
        )
    if settings.host not in LOOPBACK_HOSTS and not settings.insecure:
        raise SettingsError(
            f"callers need no key, so listening on {settings.host} is refused: "
            "use QUORUM_HOST=127.0.0.1, or QUORUM_INSECURE=1 where something else guards the port"
        )
