"""The verbs that ask: `ask` a question, and `votes` for what came of questions."""

from __future__ import annotations

import argparse
import json
from typing import Any

from router.client import Client
from router.human import printable
from router.settings import Settings
from router.table import render
from router.verbs.common import show

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
        "stream": arguments.stream,
        "quorum": {"explain": True, **{name: value for name, value in options.items() if value is not None}},
    }
    client = Client(settings.url, settings.api_key)
    if not arguments.stream:
        answer = client.post("/v1/chat/completions", document)
        return show(arguments, answer, lambda: _print_answer(answer))
    chunks = []
    for chunk in client.stream("/v1/chat/completions", document):
        chunks.append(chunk)
        if not arguments.json:
            print(_said(chunk), end="", flush=True)
    return show(arguments, chunks, lambda: _print_votes(chunks[-1]["quorum"]))


def _print_answer(answer: Any) -> None:
    message = answer["choices"][0]["message"]
    print(printable(message["content"] or json.dumps(message.get("tool_calls"))), end="")
    _print_votes(answer["quorum"])


def _print_votes(quorum: Any) -> None:
    cost = quorum["cost_usd"]
    print(f"\n\n{render(quorum['votes'], _VOTE_COLUMNS)}")
    spent = "" if cost is None else f", {cost:.6f} USD"
    print(f"\n{quorum['strategy']} in {quorum['tier']}, {quorum['attempts']} attempt(s){spent}")
    print(f"request {quorum['request_id']}")


def _said(chunk: Any) -> str:
    return printable("".join(choice["delta"].get("content") or "" for choice in chunk["choices"]))


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
