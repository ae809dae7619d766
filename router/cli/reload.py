"""`quorum reload`: has the daemon read its registry now."""

from __future__ import annotations

import argparse

from router.cli.client import ANSWER_S, daemon_at
from router.cli.output import show_answer
from router.cli.verb import JSON, URL, Verb
from router.core.settings import Settings
from router.core.text import printable


async def reload(arguments: argparse.Namespace, settings: Settings) -> int:
    """Has the daemon read its registry again now, and tells what changed.

    A registry with a mistake changes nothing: its mistakes are printed, the daemon goes on with the old one, and the
    exit code is 1.
    """
    async with daemon_at(settings, ANSWER_S) as daemon:
        result = await daemon.post("/v1/reload", {})

    def text() -> str:
        return printable("\n".join([f"{result['status']}: registry {result['registry']}", *result["changes"]]))

    return show_answer(arguments, result, text)


VERB = Verb("reload", reload, "quorum reload", (URL, JSON))
