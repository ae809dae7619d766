"""`quorum simulate`: the simulated providers without a daemon."""

from __future__ import annotations

import argparse
from pathlib import Path

from router.cli.output import GOOD, Findings
from router.cli.verb import Verb, flag
from router.core.settings import Settings


def simulate(arguments: argparse.Namespace, _: Settings) -> int:
    """Runs the simulated providers alone, to rehearse an outage.

    A file of weathers makes them fail in the ways that providers fail: docs/simulator.md lists them.
    """
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


VERB = Verb(
    "simulate",
    simulate,
    "quorum simulate --port 9090 --weather storm.json",
    (
        flag("--port", metavar="P", type=int, default=9090, help="the port to listen on; 0 picks a free one (9090)"),
        flag("--weather", metavar="F", type=Path, help="a JSON file with the weather of each provider"),
        flag("--seed", metavar="N", type=int, default=0, help="makes answers and random failures repeatable (0)"),
    ),
    logs=True,
)
