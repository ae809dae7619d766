"""`quorum diff`: what a reload of the registry would change."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from router.cli.client import daemon_at, reading_answer
from router.cli.output import Findings, UsageError, show
from router.cli.verb import JSON, URL, Verb, flag
from router.core.settings import Settings
from router.core.text import printable

if TYPE_CHECKING:
    from router.core.registry import Registry


async def diff(arguments: argparse.Namespace, settings: Settings) -> int:
    """Tells in words what a reload would change: between two files, or between the daemon's registry and a file.

    `diff OLD NEW` compares two files. `diff --running` compares what the daemon runs with F, else with QUORUM_REGISTRY.
    """
    from router.registry.diff import diff as changes

    old, new = arguments.files[:1], arguments.files[1:]
    if arguments.running and not new:
        before = _usable("the running registry", await _running(settings))
        after = _usable(old[0] if old else str(settings.registry))
    elif len(new) == 1 and not arguments.running:
        before, after = _usable(old[0]), _usable(new[0])
    else:
        raise UsageError("name two files, or --running and at most one file")
    lines = changes(before, after)
    return show(arguments, lines, lambda: printable("\n".join(lines)) or "nothing would change")


async def _running(settings: Settings) -> bytes:
    async with daemon_at(settings) as daemon:
        answer = await daemon.get("/v1/registry")
    with reading_answer():
        return json.dumps(answer["document"]).encode()


def _usable(source: str, text: bytes | None = None) -> Registry:
    """The registry in a file, or in `text` if given; keys are not looked up. Raises `Findings`."""
    from router.registry.load import check as examine
    from router.registry.load import parse_registry
    from router.registry.report import render as report

    checked = examine(source, env=None) if text is None else parse_registry(text, source, env=None)
    if checked.registry is None:
        raise Findings(f"{source} cannot be used\n{report(checked)}")
    return checked.registry


VERB = Verb(
    "diff",
    diff,
    "quorum diff --running registry.yaml",
    (
        flag("files", nargs="*", metavar="F", help="the registry files: OLD NEW"),
        flag("--running", action="store_true", help="compare with the registry that the daemon runs"),
        URL,
        JSON,
    ),
    logs=True,
)
