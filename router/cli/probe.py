"""`quorum probe`: has the daemon ask every model now how it is."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from router.cli.client import ANSWER_S, Client, daemon_at, reading_answer
from router.cli.live_view import spinner
from router.cli.output import FINDINGS, GOOD, UsageError, screen, show_answer
from router.cli.tables import render
from router.cli.verb import JSON, URL, Verb, flag
from router.core.settings import Settings
from router.core.text import one_line, shown, suggestion

_COLUMNS = ("provider", "model", "verdict", "ms", "why")
_COLOURS = {"healthy": "green", "degraded": "yellow", "down": "red"}
_NOT_ROUTABLE = ("disabled", "no-key")


async def probe(arguments: argparse.Namespace, settings: Settings) -> int:
    """Has the daemon ask every model now how it is; shows the verdicts.

    Exit code 1 means that a model is down that requests could be routed to. With PROVIDER only that provider's models
    are shown and count for the exit code; all are asked all the same. Probes count against the limits like any call.
    """
    async with daemon_at(settings, ANSWER_S) as daemon:
        if arguments.provider:
            await _check_known(arguments.provider, daemon)
        with spinner("asking every model"):
            report = await daemon.post("/v1/probe", {})
    with reading_answer():
        models = [row for row in report["models"] if arguments.provider in (None, row["provider"])]
        down = any(row["verdict"] == "down" and row["state"] not in _NOT_ROUTABLE for row in models)
    show_answer(arguments, {**report, "models": models}, lambda: _table(models))
    return FINDINGS if down else GOOD


async def _check_known(provider: str, daemon: Client) -> None:
    """Raises `UsageError` for a provider that the daemon does not know, before probes are spent."""
    weather = await daemon.get("/v1/weather")
    with reading_answer():
        known = [one["provider"] for one in weather["providers"]]
    if provider not in known:
        raise UsageError(one_line(f"no provider {shown(provider)}{suggestion(provider, known)}"))


def _table(models: list[Mapping[str, Any]]) -> str:
    rows = [{**row, "ms": row.get("latency_ms"), "why": _why(row)} for row in models]
    return render(rows, _COLUMNS, on=screen(), style=_style) if rows else "no model to ask"


def _why(row: Mapping[str, Any]) -> str | None:
    state = None if row["state"] == "clear" else row["state"]
    return ": ".join(str(word) for word in (state, row.get("reason")) if word) or None


def _style(column: str, text: str) -> str:
    return _COLOURS.get(text, "") if column == "verdict" else ""


VERB = Verb(
    "probe",
    probe,
    "quorum probe groq",
    (flag("provider", nargs="?", metavar="PROVIDER", help="show this provider's models only"), URL, JSON),
)
