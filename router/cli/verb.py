"""What a verb of the command line consists of, and the flags that several verbs share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from router.core.duration import parse_duration
from router.core.settings import Settings

RunVerb = Callable[[argparse.Namespace, Settings], int | Coroutine[Any, Any, int]]
"""Does what the verb is for and returns the exit status; a verb that speaks to a daemon is a coroutine function."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag or argument, as argparse takes it."""

    names: tuple[str, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb. The docstring of `run` is its help: the first line stands in `quorum --help`.

    `logs` is True for a verb that runs parts of the daemon in this process: it needs logging to be set up, which the
    others skip because it doubles the time they take to start.
    """

    name: str
    run: RunVerb
    example: str
    flags: tuple[Flag, ...] = ()
    logs: bool = False


def flag(*names: str, **options: Any) -> Flag:
    """A flag (`--json`) or an argument (`question`)."""
    return Flag(names, options)


def duration(text: str) -> float:
    """A duration on the command line in seconds; more than nothing."""
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if seconds == 0:
        raise argparse.ArgumentTypeError(f"{text} is no time at all: it must be more than 0")
    return seconds


def age(text: str) -> str:
    """A duration that the daemon reads again: checked here, and passed on as it was typed."""
    duration(text)
    return text


JSON = flag("--json", action="store_true", help="print JSON, for programs")
URL = flag("--url", metavar="URL", help="the daemon's address (QUORUM_URL)")
REGISTRY = flag("--registry", metavar="F", help="the registry file (QUORUM_REGISTRY)")
DATA_DIR = flag("--data-dir", metavar="D", help="the folder of embedded stores (QUORUM_DATA_DIR)")
PORT = flag("--port", metavar="P", help="the port to listen on; 0 picks a free one (QUORUM_PORT)")
SUBJECT = flag("subject", metavar="PROVIDER[/MODEL]", help="a provider, or one of its models")

ROUTING = (
    flag("--model", metavar="M", default="auto", help="auto, a tier, a strategy, or provider/model (auto)"),
    flag("--strategy", metavar="S", help="such as majority-vote (the registry's default)"),
    flag("--tier", metavar="T", help="such as cheap (the registry's default)"),
    flag("--council-size", metavar="N", type=int, help="seats to ask (the tier's default)"),
)


def chat_request(arguments: argparse.Namespace, question: str, **options: Any) -> dict[str, Any]:
    """The body of a chat request with one question, routed as the flags of `ROUTING` say."""
    routing = {"strategy": arguments.strategy, "tier": arguments.tier, "council_size": arguments.council_size}
    return {
        "model": arguments.model,
        "messages": [{"role": "user", "content": question}],
        "quorum": {**options, **{name: value for name, value in routing.items() if value is not None}},
    }
