"""`quorum env`: the settings."""

from __future__ import annotations

import argparse

from router.cli.output import screen, show
from router.cli.tables import render
from router.cli.verb import JSON, Verb
from router.core.settings import Settings, describe

_WIDEST = 120  # columns of one cell: meanings are our own words, and a pipe is where they are searched


def env(arguments: argparse.Namespace, settings: Settings) -> int:
    """Lists every setting: its variable, default, value now (secrets hidden) and meaning."""
    rows = describe(settings)
    columns = ("name", "default", "value", "meaning")
    return show(arguments, rows, lambda: render(rows, columns, on=screen(), widest=_WIDEST))


VERB = Verb("env", env, "quorum env", (JSON,))
