"""`quorum check`: is a registry valid, and with --live: do its providers accept the keys and list the models?"""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from router.cli.output import FINDINGS, GOOD, UsageError
from router.cli.verb import JSON, Verb, flag
from router.core.settings import Settings, environment
from router.core.text import printable

if TYPE_CHECKING:
    from router.core.registry import Registry
    from router.registry.problems import Finding


def check(arguments: argparse.Namespace, settings: Settings) -> int:
    """Validates a registry file: every mistake with its line and column, and the word that was probably meant.

    Exit code 1 means that the daemon would not take the file. With --live each provider is also asked, with its key,
    which models it has; nothing is generated and nothing is spent.
    """
    from router.registry import prices
    from router.registry.load import check as examine
    from router.registry.report import render as report

    if arguments.live and arguments.no_env:
        raise UsageError("--live asks with the keys that --no-env does not look up: choose one")
    path = arguments.file or settings.registry
    checked = examine(path, env=None if arguments.no_env else environment(), advise=prices.findings)
    if arguments.live and checked.registry is not None:
        found = asyncio.run(_asked(checked.registry))
        checked = examine(path, env=environment(), advise=lambda document: [*prices.findings(document), *found])
    print(printable(report(checked, "json" if arguments.json else arguments.format)))
    return GOOD if checked.registry is not None else FINDINGS


async def _asked(registry: Registry) -> list[Finding]:
    from router.observe.masking import MASK
    from router.registry.live_check import check_live
    from router.upstream.model_catalogue import list_models
    from router.upstream.transport import HttpTransport

    # A provider's message may quote our key.
    keys = (provider.api_key for provider in registry.providers.values())
    MASK.know(key.reveal() for key in keys if key is not None)
    transport = HttpTransport()
    try:
        return await check_live(registry, lambda target: list_models(target, transport), MASK.clean_cut)
    finally:
        await transport.close()


VERB = Verb(
    "check",
    check,
    "quorum check registry.yaml --format github",
    (
        flag("file", nargs="?", metavar="F", help="the registry file (QUORUM_REGISTRY)"),
        flag("--no-env", action="store_true", help="do not look up the variables that hold keys"),
        flag("--live", action="store_true", help="ask each provider, with its key, which models it has"),
        flag("--format", choices=("text", "json", "github"), default="text", help="github annotates a pull request"),
        JSON,
    ),
    logs=True,
)
