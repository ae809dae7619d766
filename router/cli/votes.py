"""`quorum votes`: rows of the vote log."""

from __future__ import annotations

import argparse

from router.cli.client import daemon_at
from router.cli.output import screen, show_answer
from router.cli.tables import render
from router.cli.verb import JSON, URL, Verb, age, flag
from router.core.settings import Settings

_COLUMNS = ("created_at", "provider", "model", "outcome", "error_type", "http_status", "duration_ms", "cost_usd")


async def votes(arguments: argparse.Namespace, settings: Settings) -> int:
    """Shows rows of the vote log, the newest first.

    Each row is one call to one model, with what came of it, how long it took and what it cost.
    """
    query = {
        "since": arguments.since,
        "provider": arguments.provider,
        "outcome": arguments.outcome,
        "request_id": arguments.request,
        "limit": str(arguments.limit),
    }
    async with daemon_at(settings) as daemon:
        answer = await daemon.get("/v1/votes", query)
    rows = answer.get("data")
    return show_answer(arguments, rows, lambda: render(rows, _COLUMNS, on=screen()) if rows else "no votes")


VERB = Verb(
    "votes",
    votes,
    "quorum votes --since 1h --outcome failed",
    (
        flag("--since", metavar="AGE", type=age, default="1h", help="such as 30m, 1h or 7d (1h)"),
        flag("--provider", metavar="P"),
        flag("--outcome", metavar="O", help="ok, failed, cancelled_early, client_gone, refused or unknown_crash"),
        flag("--request", metavar="ID", help="the votes of one request"),
        flag("--limit", metavar="N", type=int, default=100, help="rows, at most 1000 (100)"),
        URL,
        JSON,
    ),
)
