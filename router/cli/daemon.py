"""The verbs that are the daemon, or what it is tried out with: `serve`, `demo`, `simulate`."""

from __future__ import annotations

import argparse

from router.cli.output import GOOD, Findings
from router.core.settings import Settings, environment


def serve(_: argparse.Namespace, settings: Settings) -> int:
    """the daemon; prints one line with the URL when ready"""
    from router.daemon.serve import serve as run
    from router.daemon.workers import serve_many
    from router.registry.problems import RegistryError

    try:
        (run if settings.workers == 1 else serve_many)(
            settings, environment(), lambda url: print(f"quorum is ready at {url}", flush=True)
        )
    except RegistryError as error:
        raise Findings(f"the registry cannot be used\n{error}") from None
    return GOOD


def demo(_: argparse.Namespace, settings: Settings) -> int:
    """simulator and daemon together, ready to try without any key"""
    from router.daemon.demo import DEMO_KEY
    from router.daemon.demo import demo as run
    from router.registry.problems import RegistryError

    def announce(url: str, simulator: str) -> None:
        body = '{"model": "cheap", "messages": [{"role": "user", "content": "What is 17+25?"}]}'
        print(
            f"\nQuorum is ready: twelve simulated providers at {simulator}, nothing leaves this machine.\n\n"
            f"  base URL  {url}/v1\n  API key   {DEMO_KEY} (the demo accepts any)\n\nTry it:\n\n"
            f"  curl -s {url}/v1/chat/completions -H 'Authorization: Bearer {DEMO_KEY}' "
            f"-H 'Content-Type: application/json' -d '{body}'\n\n"
            f"Ctrl-C ends everything.\n",
            flush=True,
        )

    try:
        run(settings, announce)
    except RegistryError as error:
        raise Findings(f"the registry cannot be used\n{error}") from None
    return GOOD


def simulate(arguments: argparse.Namespace, _: Settings) -> int:
    """the simulated providers alone, for rehearsing an outage"""
    from router.daemon.demo import simulate as run
    from router.simulator import WeatherError

    def announce(url: str) -> None:
        print(f"simulated providers are ready at {url}", flush=True)

    try:
        run(arguments.port, arguments.weather, arguments.seed, announce)
    except WeatherError as error:
        raise Findings(str(error)) from None
    except OSError as error:
        raise Findings(f"cannot listen on port {arguments.port}: {error.strerror}") from None
    return GOOD
