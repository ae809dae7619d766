"""`quorum serve`: the daemon."""

from __future__ import annotations

import argparse

from router.cli.output import GOOD, Findings
from router.cli.verb import DATA_DIR, PORT, REGISTRY, Verb, flag
from router.core.settings import Settings, environment


def serve(_: argparse.Namespace, settings: Settings) -> int:
    """Runs the daemon; prints one line with its URL when it is ready.

    SIGTERM or Ctrl-C ends it once the requests under way are answered; SIGHUP makes it read the registry again.
    """
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


VERB = Verb(
    "serve",
    serve,
    "quorum serve --registry registry.yaml --port 8080",
    (
        REGISTRY,
        flag("--host", metavar="H", help="the address to listen on (QUORUM_HOST)"),
        PORT,
        flag("--workers", metavar="N", help="processes that share the port (QUORUM_WORKERS)"),
        DATA_DIR,
    ),
    logs=True,
)
