"""What all verbs share: how they end, and where they print."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from router.cli.client import LOOK_S, Client
from router.core.settings import Settings, environment

GOOD, FINDINGS = 0, 1


class Findings(Exception):
    """A verb found what it looked for: something is wrong. The message is for a person."""


@dataclass(frozen=True, slots=True)
class Screen:
    """Where a verb prints: whether it shows colours and can be wiped, and how many characters fit into a line."""

    tty: bool
    colours: bool
    width: int | None


def screen() -> Screen:
    """What standard output is; colours are for a terminal only, and for nobody who has set NO_COLOR."""
    tty = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if tty else None
    return Screen(tty, colours=tty and not environment().get("NO_COLOR"), width=width)


def caller(settings: Settings) -> Client:
    """A caller of the daemon for what it answers at once."""
    return Client(settings.url, settings.api_key, LOOK_S)


def show(arguments: argparse.Namespace, document: Any, human: Callable[[], None]) -> int:
    """Prints a document for machines if that is asked for, else what people read."""
    if arguments.json:
        print(json.dumps(document, default=str))
    else:
        human()
    return GOOD
