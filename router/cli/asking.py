"""The verbs that ask: `ask` a question, and `votes` for what came of questions."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from typing import Any

from router.cli.client import Client, ClientError, DaemonAway
from router.cli.live_view import LiveView, PlainView, View
from router.cli.output import GOOD, Screen, screen, show
from router.cli.tables import render
from router.core.settings import Settings
from router.core.text import printable

_VOTE_COLUMNS = (
    "seq",
    "role",
    "provider",
    "model",
    "outcome",
    "error_type",
    "status",
    "ms",
    "input_tokens",
    "output_tokens",
)
_LOG_COLUMNS = ("created_at", "provider", "model", "outcome", "error_type", "http_status", "duration_ms", "cost_usd")


def ask(arguments: argparse.Namespace, settings: Settings) -> int:
    """one question to a running daemon; shows the answer and its votes"""
    options = {"strategy": arguments.strategy, "tier": arguments.tier, "council_size": arguments.council_size}
    document = {
        "model": arguments.model,
        "messages": [{"role": "user", "content": arguments.question}],
        "quorum": {"explain": True, **{name: value for name, value in options.items() if value is not None}},
    }
    client = Client(settings.url, settings.api_key)
    on = screen()
    if arguments.json or not (arguments.stream or on.tty):
        answer = client.post("/v1/chat/completions", document)
        return show(arguments, answer, lambda: _print_answer(answer))
    chunks = client.stream("/v1/chat/completions", {**document, "stream": True})
    _print_votes(_watched(chunks, _view(on)))
    return GOOD


def _view(on: Screen) -> View:
    if on.width is None:  # what reads the answer from a pipe wants nothing else
        return PlainView(sys.stdout, sys.stderr)
    return LiveView(sys.stdout, on.width, shutil.get_terminal_size().lines, colours=on.colours)


def _watched(chunks: Iterator[Any], view: View) -> Any:
    """Shows the chunks of an answer as they come; returns the `quorum` object of the last one."""
    begun, quorum = False, None
    try:
        for chunk in chunks:
            begun = True
            match chunk.get("quorum"):
                case {"event": {"stage": _} as event}:
                    view.event(event)
                case {"request_id": _} as told:
                    quorum = told
            if said := _said(chunk):
                view.text(said)
    except DaemonAway:
        if not begun:
            raise
    finally:
        view.close()
    if quorum is None:
        raise ClientError("the stream ended before the answer was done")
    return quorum


def _print_answer(answer: Any) -> None:
    message = answer["choices"][0]["message"]
    print(printable(message["content"] or json.dumps(message.get("tool_calls"))))
    _print_votes(answer["quorum"])


def _print_votes(quorum: Any) -> None:
    cost = quorum["cost_usd"]
    print(f"\n{render(quorum['votes'], _VOTE_COLUMNS)}")
    spent = "" if cost is None else f", {cost:.6f} USD"
    print(f"\n{quorum['strategy']} in {quorum['tier']}, {quorum['attempts']} attempt(s){spent}")
    print(f"request {quorum['request_id']}")


def _said(chunk: Any) -> str:
    deltas = [choice["delta"] for choice in chunk["choices"]]
    return printable("".join(delta.get("content") or delta.get("refusal") or "" for delta in deltas))


def votes(arguments: argparse.Namespace, settings: Settings) -> int:
    """rows of the vote log, the newest first"""
    query = {
        "since": arguments.since,
        "provider": arguments.provider,
        "outcome": arguments.outcome,
        "request_id": arguments.request,
        "limit": str(arguments.limit),
    }
    rows = Client(settings.url, settings.api_key).get("/v1/votes", query)["data"]
    return show(arguments, rows, lambda: print(render(rows, _LOG_COLUMNS) if rows else "no votes"))
