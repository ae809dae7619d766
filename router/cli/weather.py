"""`quorum weather`: the state of every model, once or again and again, and what has changed of late."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from router.cli import provider_table
from router.cli.client import Client, ClientError, daemon_at, reading_answer
from router.cli.live_view import cut, live, text_line
from router.cli.output import GOOD, Screen, UsageError, console, screen, show_answer
from router.cli.tables import render, table
from router.cli.verb import JSON, URL, Verb, age, flag
from router.core.clock import SYSTEM_CLOCK
from router.core.settings import Settings
from router.core.text import one_line, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

WATCH_EVERY_S = 2.0
_CHANGES = ("created_at", "provider", "model", "state", "until", "reason")
_ABOVE_ROWS = 4  # lines of a frame above the table's rows: title, blank, heading, rule


@dataclass(frozen=True, slots=True)
class WeatherFrame:
    """One look of `--watch`: the daemon's report and its rows, or why there is none."""

    at: datetime
    report: Mapping[str, Any] | None = None
    rows: tuple[Mapping[str, Any], ...] = ()
    trouble: str = ""

    @property
    def title(self) -> str:
        """The line above the table."""
        what = "no news" if self.report is None else f"registry {one_line(str(self.report.get('registry')))}"
        return f"weather at {self.at:%H:%M:%S}, {what}, Ctrl-C ends"


def weather(arguments: argparse.Namespace, settings: Settings) -> int | Coroutine[Any, Any, int]:
    """Shows the state of every provider and model: until when, what is left of its limits, its last probe, and why.

    The most troubled stand first. --watch looks again every 2 s until Ctrl-C, --changes lists what has changed of late.
    """
    if arguments.changes and arguments.watch:
        raise UsageError("--changes and --watch show different things: choose one")
    if not arguments.watch:
        return (_changes if arguments.changes else _now)(arguments, settings)
    try:
        asyncio.run(_watched(arguments, settings))
    except KeyboardInterrupt:  # the ordinary end of watching
        return GOOD


async def _now(arguments: argparse.Namespace, settings: Settings) -> int:
    async with daemon_at(settings) as daemon:
        report = await daemon.get("/v1/weather")
    now = SYSTEM_CLOCK.wall()
    return show_answer(arguments, report, lambda: _table(provider_table.rows(report, now), screen()))


async def _changes(arguments: argparse.Namespace, settings: Settings) -> int:
    async with daemon_at(settings) as daemon:
        found = (await daemon.get("/v1/weather/changes", {"since": arguments.since})).get("data")
    return show_answer(arguments, found, lambda: render(found, _CHANGES, on=screen()) if found else "no changes")


# --- weather --watch --------------------------------------------------------------------------------------------------


async def watch(
    look: Callable[[], Awaitable[WeatherFrame]],
    draw: Callable[[WeatherFrame], None],
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> NoReturn:
    """Draws one look after another until it is cancelled."""
    while True:
        draw(await look())
        await pause(WATCH_EVERY_S)


async def look(daemon: Client) -> WeatherFrame:
    """The weather now. A daemon that is away is no error: whoever watches wants to see it come back."""
    now = SYSTEM_CLOCK.wall()
    at = datetime.fromtimestamp(now).astimezone()
    try:
        report = await daemon.get("/v1/weather")
        with reading_answer():
            return WeatherFrame(at, report, tuple(provider_table.rows(report, now)))
    except ClientError as error:
        return WeatherFrame(at, trouble=str(error))


async def _watched(arguments: argparse.Namespace, settings: Settings) -> NoReturn:
    async with daemon_at(settings) as daemon:
        with drawing(as_json=arguments.json) as draw:
            await watch(lambda: look(daemon), draw)


@contextmanager
def drawing(*, as_json: bool) -> Iterator[Callable[[WeatherFrame], None]]:
    """What draws a frame: over the last one on a terminal, below it in a pipe, as a line of JSON for programs."""
    on = screen()
    if as_json:
        yield lambda frame: print(json.dumps(frame.report or {"error": frame.trouble}), flush=True)
        return
    if not on.tty:
        yield lambda frame: print(f"{frame.title}\n\n{printable(frame.trouble) or _table(frame.rows, on)}", flush=True)
        return
    from rich.console import Group

    terminal = console(on, sys.stdout)
    with live(terminal, transient=False) as area:

        def draw(frame: WeatherFrame) -> None:
            size = shutil.get_terminal_size()
            terminal.width = size.columns
            area.update(Group(*_lines(frame, size.columns, size.lines - 1)), refresh=True)

        yield draw


def _lines(frame: WeatherFrame, width: int, height: int) -> list[RenderableType]:
    """A frame in at most `height` lines: the least troubled models are left out where there are too many."""
    head = [text_line(frame.title), text_line("")]
    if frame.trouble:
        return cut([*head, *map(text_line, printable(frame.trouble).splitlines())], height)
    room = height - _ABOVE_ROWS
    shown = frame.rows if len(frame.rows) <= room else frame.rows[: max(0, room - 1)]
    drawn = table(shown, provider_table.COLUMNS, fit=width, style=provider_table.style)
    more = len(frame.rows) - len(shown)
    return [*head, drawn, *([text_line(f"… and {more} more")] if more else [])]


def _table(rows: Iterable[Mapping[str, Any]], on: Screen) -> str:
    return render(rows, provider_table.COLUMNS, on=on, style=provider_table.style)


VERB = Verb(
    "weather",
    weather,
    "quorum weather --watch",
    (
        flag("--watch", action="store_true", help="look again every 2 s, until Ctrl-C"),
        flag("--changes", action="store_true", help="list what has changed, the newest first"),
        flag("--since", metavar="AGE", type=age, default="1h", help="of the changes, such as 30m, 1h or 7d (1h)"),
        URL,
        JSON,
    ),
)
