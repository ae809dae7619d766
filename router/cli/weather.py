"""`quorum weather`: how every model is now, once or over and over, and what has changed of late."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from router.cli import provider_table
from router.cli.client import Client, ClientError
from router.cli.output import GOOD, Screen, caller, screen, show
from router.cli.tables import render
from router.core.clock import SYSTEM_CLOCK
from router.core.settings import Settings, SettingsError
from router.core.text import printable

WATCH_EVERY_S = 2.0
_CHANGES = ("created_at", "provider", "model", "state", "until", "reason")
_WIPE = "\x1b[H\x1b[2J"  # the cursor to the corner, and everything away


def weather(arguments: argparse.Namespace, settings: Settings) -> int:
    """every provider and model: state, until when, limits left, last probe, and why"""
    client = caller(settings)
    if arguments.changes and arguments.watch:
        raise SettingsError("--changes and --watch show different things: choose one")
    if arguments.changes:
        found = client.get("/v1/weather/changes", {"since": arguments.since})["data"]
        return show(arguments, found, lambda: print(render(found, _CHANGES) if found else "no changes"))
    if arguments.watch:
        return watch(lambda: frame(arguments, client, screen()), time.sleep)
    report = client.get("/v1/weather")
    return show(arguments, report, lambda: print(_table(report, screen())))


def watch(draw: Callable[[], str], pause: Callable[[float], None]) -> int:
    """Prints frames until Ctrl-C, which is the ordinary end."""
    try:
        while True:
            print(draw(), flush=True)
            pause(WATCH_EVERY_S)
    except KeyboardInterrupt:
        print()
        return GOOD


def frame(arguments: argparse.Namespace, client: Client, on: Screen) -> str:
    """What one look shows: the table, or that there is no news."""
    now = datetime.fromtimestamp(SYSTEM_CLOCK.wall()).astimezone()
    try:
        report = client.get("/v1/weather")
    except ClientError as error:  # it may be starting anew: whoever watches wants to see it come back
        if arguments.json:
            return json.dumps({"error": str(error)})
        return f"{_head(on, now, 'no news')}\n\n{printable(str(error))}"
    if arguments.json:
        return json.dumps(report)
    head = _head(on, now, f"registry {printable(str(report['registry']))}")
    return f"{head}\n\n{_table(report, on)}"


def _head(on: Screen, now: datetime, what: str) -> str:
    return f"{_WIPE if on.tty else ''}weather at {now:%H:%M:%S}, {what}, Ctrl-C ends"


def _table(report: Any, on: Screen) -> str:
    rows = provider_table.rows(report, SYSTEM_CLOCK.wall())
    return render(rows, provider_table.COLUMNS, fit=on.width, tint=provider_table.tint(on.colours))
