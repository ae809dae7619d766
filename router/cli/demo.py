"""`quorum demo`: a daemon in front of simulated providers."""

from __future__ import annotations

import argparse

from router.cli.output import GOOD, Findings
from router.cli.verb import DATA_DIR, PORT, REGISTRY, Verb
from router.core.settings import Settings


def demo(_: argparse.Namespace, settings: Settings) -> int:
    """Runs simulated providers and a daemon in front of them, to try everything without a key.

    The registry is the configured one; only base URLs and keys point at the simulator.
    """
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


VERB = Verb("demo", demo, "quorum demo", (REGISTRY, PORT, DATA_DIR), logs=True)
