"""The command `quorum`: one verb, one function. Exit 0 is good, 1 means findings, 2 a wrong use of the command."""

from __future__ import annotations

import argparse
import difflib
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from router.cli import asking, daemon, files, oncall, weather
from router.cli.client import ClientError
from router.cli.output import FINDINGS, Findings
from router.core.duration import parse_duration
from router.core.settings import Settings, SettingsError, environment, load_settings
from router.core.text import printable
from router.observe import log

USAGE = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        settings = load_settings(environment(), **_overrides(arguments))
        log.configure(settings.log_level, settings.log_format)
        return int(arguments.run(arguments, settings))
    except (SettingsError, ClientError, Findings) as error:
        print(printable(f"quorum {arguments.verb}: {error}"), file=sys.stderr)
        return USAGE if isinstance(error, SettingsError) else FINDINGS
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # somebody closed the pager
        sys.stderr.close()
        return FINDINGS


# --- the words of the command line ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Flag:
    """One flag or argument, as argparse takes it."""

    names: tuple[str, ...]
    options: dict[str, Any]


def _flag(*names: str, **options: Any) -> _Flag:
    return _Flag(names, options)


def _span(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


_JSON = _flag("--json", action="store_true", help="for machines")
_URL = _flag("--url", help="the daemon (QUORUM_URL)")
_DATA_DIR = _flag("--data-dir", metavar="D", help="where embedded stores live (QUORUM_DATA_DIR)")
_REGISTRY = _flag("--registry", metavar="F", help="the registry (QUORUM_REGISTRY)")
_SUBJECT = _flag("subject", metavar="PROVIDER[/MODEL]")
_PORT = _flag("--port", metavar="P", help="the port to listen on (QUORUM_PORT)")

_VERBS: dict[str, tuple[Callable[[argparse.Namespace, Settings], int], str, tuple[_Flag, ...]]] = {
    "serve": (
        daemon.serve,
        "quorum serve --registry registry.yaml --port 8080",
        (
            _REGISTRY,
            _flag("--host", metavar="H", help="the address (QUORUM_HOST)"),
            _PORT,
            _flag("--workers", metavar="N", help="processes that share the port (QUORUM_WORKERS)"),
            _DATA_DIR,
        ),
    ),
    "demo": (daemon.demo, "quorum demo", (_REGISTRY, _PORT, _DATA_DIR)),
    "simulate": (
        daemon.simulate,
        "quorum simulate --port 9090 --weather storm.json",
        (
            _flag("--port", metavar="P", type=int, default=9090, help="the port (9090; 0 picks one)"),
            _flag("--weather", metavar="F", type=Path, help="a JSON file of weathers per provider"),
            _flag("--seed", metavar="N", type=int, default=0, help="makes answers and chances repeatable"),
        ),
    ),
    "ask": (
        asking.ask,
        'quorum ask "What is 17+25?" --tier cheap --strategy ranked-fallback',
        (
            _flag("question"),
            _flag("--model", default="auto", help="auto, a tier, a strategy, or provider/model"),
            _flag("--strategy", metavar="S"),
            _flag("--tier", metavar="T"),
            _flag("--council-size", metavar="N", type=int),
            _flag("--stream", action="store_true", help="show the answer as it comes"),
            _URL,
            _JSON,
        ),
    ),
    "check": (
        files.check,
        "quorum check registry.yaml --format github",
        (
            _flag("file", nargs="?", metavar="F"),
            _flag("--no-env", action="store_true", help="look up no variable"),
            _flag("--live", action="store_true", help="ask each provider, with its key, which models it has"),
            _flag("--format", choices=("text", "json", "github"), default="text"),
            _JSON,
        ),
    ),
    "diff": (
        files.diff,
        "quorum diff --running registry.yaml",
        (
            _flag("files", nargs="*", metavar="F"),
            _flag("--running", action="store_true", help="compare with the daemon's registry"),
            _URL,
            _JSON,
        ),
    ),
    "schema": (files.schema, "quorum schema > registry.schema.json", ()),
    "explain": (
        oncall.explain,
        "quorum explain --strategy ranked-fallback --tier cheap",
        (
            _flag("--strategy", metavar="S"),
            _flag("--tier", metavar="T"),
            _flag("--model", default="auto", help="auto, a tier, a strategy, or provider/model"),
            _flag("--council-size", metavar="N", type=int),
            _URL,
            _JSON,
        ),
    ),
    "weather": (
        weather.weather,
        "quorum weather --watch",
        (
            _flag("--watch", action="store_true", help="again every 2 s, until Ctrl-C"),
            _flag("--changes", action="store_true", help="what has changed, the newest first"),
            _flag("--since", metavar="AGE", default="1h", help="of the changes: 30m, 1h, 7d (1h)"),
            _URL,
            _JSON,
        ),
    ),
    "drain": (
        oncall.drain,
        'quorum drain groq --for 30m --reason "their status page says so"',
        (
            _SUBJECT,
            _flag("--for", metavar="SPAN", dest="for_s", type=_span, help="30m, 2h, 1d (until it is undrained)"),
            _flag("--reason", metavar="R", help="for whoever looks at the weather"),
            _URL,
            _JSON,
        ),
    ),
    "undrain": (oncall.undrain, "quorum undrain groq", (_SUBJECT, _URL, _JSON)),
    "votes": (
        asking.votes,
        "quorum votes --since 1h --outcome failed",
        (
            _flag("--since", metavar="AGE", default="1h", help="30m, 1h, 7d (1h)"),
            _flag("--provider", metavar="P"),
            _flag("--outcome", metavar="O", help="ok, failed, client_gone, refused, …"),
            _flag("--request", metavar="ID"),
            _flag("--limit", metavar="N", type=int, default=100, help="at most 1000 (100)"),
            _URL,
            _JSON,
        ),
    ),
    "reload": (files.reload, "quorum reload", (_URL, _JSON)),
    "env": (files.env, "quorum env", (_JSON,)),
    "db": (
        files.database,
        "quorum db url --json",
        (_flag("what", choices=("migrate", "status", "url")), _DATA_DIR, _JSON),
    ),
}
_SETTINGS_FLAGS = ("registry", "host", "workers", "data_dir", "url")


def _overrides(arguments: argparse.Namespace) -> dict[str, object]:
    given = {name: getattr(arguments, name, None) for name in _SETTINGS_FLAGS}
    if arguments.verb in ("serve", "demo"):
        given["port"] = arguments.port
    return given


class _Parser(argparse.ArgumentParser):
    """argparse, with a near miss named for a wrong word."""

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if wrong:
            near = difflib.get_close_matches(wrong[1], re.findall(r"[\w-]+", wrong[2]), n=1)
            message += f", did you mean '{near[0]}'?" if near else ""
        self.exit(USAGE, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    width = min(100, shutil.get_terminal_size().columns)
    examples = "\n".join(f"  {example}" for _, example, _ in _VERBS.values())
    parser = _Parser(
        prog="quorum",
        description="A router between services and LLM providers.",
        epilog=f"examples:\n{examples}",
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=width),
    )
    words = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, (run, example, flags) in _VERBS.items():
        verb = words.add_parser(name, help=run.__doc__, description=run.__doc__, epilog=f"example: {example}")
        verb.set_defaults(run=run, json=False)
        for flag in flags:
            verb.add_argument(*flag.names, **flag.options)
    return parser
