"""Exit codes, the terminal a verb prints to, and the choice between JSON and text."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from router.cli.client import reading_answer
from router.core.settings import environment

if TYPE_CHECKING:  # rich takes a tenth of a second to import, which verbs without a table need not wait for
    from rich.console import Console

GOOD, FINDINGS, USAGE, INTERRUPTED = 0, 1, 2, 130
_PIPE_WIDTH = 10_000  # columns: lines in a pipe are not cut


class Findings(Exception):
    """A verb found that something is wrong; ends with exit code 1. The message is for a person."""


class UsageError(Exception):
    """The words of the command line do not go together; ends with exit code 2. The message is for a person."""


@dataclass(frozen=True, slots=True)
class Screen:
    """Where a verb prints. `width` is in columns, and None for a pipe or a file, where lines have any length.

    `tty` is True for a terminal that can be drawn over.
    """

    tty: bool = False
    colours: bool = False
    width: int | None = None


PIPE = Screen()


def screen(out: TextIO | None = None) -> Screen:
    """What `out` (else standard output) is. Colours need a terminal, and NO_COLOR must not be set."""
    if not (out or sys.stdout).isatty():
        return PIPE
    env = environment()
    tty = env.get("TERM") not in ("dumb", "unknown")
    return Screen(tty, colours=tty and not env.get("NO_COLOR"), width=shutil.get_terminal_size().columns)


def console(on: Screen, out: TextIO) -> Console:
    """A console of rich that prints to `out` and takes text literally: no markup, no emoji codes, no highlighting."""
    from rich.console import Console

    return Console(
        file=out,
        width=on.width or _PIPE_WIDTH,
        force_terminal=on.tty,
        force_interactive=on.tty,
        color_system="standard" if on.colours else None,
        no_color=not on.colours,
        legacy_windows=False,
        markup=False,
        emoji=False,
        highlight=False,
        _environ={},  # what the environment says of the terminal is in `on` already
    )


def show(arguments: argparse.Namespace, document: Any, text: Callable[[], str]) -> int:
    """Prints `document` as JSON if --json asks for it, else the text for people."""
    print(json.dumps(document, default=str) if arguments.json else text())
    return GOOD


def show_answer(arguments: argparse.Namespace, answer: Any, text: Callable[[], str]) -> int:
    """As `show`, for an answer of the daemon: one that `text` cannot read raises `ClientError`."""

    def read() -> str:
        with reading_answer():
            return text()

    return show(arguments, answer, read)
