"""The command `quorum`: one verb, one function. Exit 0 is good, 1 means findings, 2 a wrong use of the command."""

from __future__ import annotations

import argparse
import asyncio
import difflib
import json
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from router import log
from router.client import Client, ClientError
from router.settings import Settings, SettingsError, describe, environment, load_settings
from router.table import render

GOOD, FINDINGS, USAGE = 0, 1, 2
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


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        settings = load_settings(environment(), **_overrides(arguments))
        log.configure(settings.log_level, settings.log_format)
        return int(arguments.run(arguments, settings))
    except (SettingsError, ClientError, _Findings) as error:
        print(f"quorum {arguments.verb}: {error}", file=sys.stderr)
        return USAGE if isinstance(error, SettingsError) else FINDINGS
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # somebody closed the pager
        sys.stderr.close()
        return FINDINGS


class _Findings(Exception):
    """A verb found what it looked for: something is wrong. The message is for a person."""


# --- the daemon -------------------------------------------------------------------------------------------------------


def serve(_: argparse.Namespace, settings: Settings) -> int:
    """the daemon; prints one line with the URL when ready"""
    from router.registry.problems import RegistryError
    from router.serving import serve as run

    try:
        run(settings, environment(), lambda url: print(f"quorum is ready at {url}", flush=True))
    except RegistryError as error:
        raise _Findings(f"the registry cannot be used\n{error}") from None
    return GOOD


def demo(_: argparse.Namespace, settings: Settings) -> int:
    """simulator and daemon together, ready to try without any key"""
    from router.registry.problems import RegistryError
    from router.serving import DEMO_KEY
    from router.serving import demo as run

    def announce(url: str, simulator: str) -> None:
        body = '{"model": "cheap", "messages": [{"role": "user", "content": "What is 17+25?"}]}'
        print(
            f"\nQuorum is ready: twelve simulated providers at {simulator}, nothing leaves this machine.\n\n"
            f"  base URL  {url}/v1\n  API key   {DEMO_KEY} (the demo accepts any)\n\nTry it:\n\n"
            f"  curl -s {url}/v1/chat/completions -H 'Authorization: Bearer {DEMO_KEY}' "
            f"-H 'Content-Type: application/json' -d '{body}'\n\n"
            f"Ctrl-C ends everything.\n",
            flush=True,
        )

    try:
        run(settings, announce)
    except RegistryError as error:
        raise _Findings(f"the registry cannot be used\n{error}") from None
    return GOOD


def simulate(arguments: argparse.Namespace, _: Settings) -> int:
    """the simulated providers alone, for rehearsing an outage"""
    from router.serving import simulate as run
    from router.simulator import WeatherError

    def announce(url: str) -> None:
        print(f"simulated providers are ready at {url}", flush=True)

    try:
        run(arguments.port, arguments.weather, arguments.seed, announce)
    except WeatherError as error:
        raise _Findings(str(error)) from None
    except OSError as error:
        raise _Findings(f"cannot listen on port {arguments.port}: {error.strerror}") from None
    return GOOD


# --- a running daemon -------------------------------------------------------------------------------------------------


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
        return _show(arguments, answer, lambda: _print_answer(answer))
    chunks = []
    for chunk in client.stream("/v1/chat/completions", document):
        chunks.append(chunk)
        if not arguments.json:
            print(_said(chunk), end="", flush=True)
    return _show(arguments, chunks, lambda: _print_votes(chunks[-1]["quorum"]))


def _print_answer(answer: Any) -> None:
    message = answer["choices"][0]["message"]
    print(_printable(message["content"] or json.dumps(message.get("tool_calls"))))
    _print_votes(answer["quorum"])


def _print_votes(quorum: Any) -> None:
    cost = quorum["cost_usd"]
    print(f"\n\n{render(quorum['votes'], _VOTE_COLUMNS)}")
    spent = "" if cost is None else f", {cost:.6f} USD"
    print(
        f"\n{quorum['strategy']} in {quorum['tier']}, {quorum['attempts']} attempt(s){spent}, request {quorum['request_id']}"
    )


def _said(chunk: Any) -> str:
    return _printable("".join(choice["delta"].get("content") or "" for choice in chunk["choices"]))


def _printable(text: str) -> str:
    """Model output without the control characters that could drive a terminal."""
    return "".join(char for char in text if char.isprintable() or char in "\n\t")


def weather(arguments: argparse.Namespace, settings: Settings) -> int:
    """every provider and model: state, why, until when"""
    report = Client(settings.url, settings.api_key).get("/v1/weather")
    rows = [
        {"provider": provider["provider"], **model, "tiers": " ".join(model["tiers"])}
        for provider in report["providers"]
        for model in provider["models"]
    ]
    return _show(
        arguments, report, lambda: print(render(rows, ("provider", "model", "tiers", "state", "until", "reason")))
    )


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
    return _show(arguments, rows, lambda: print(render(rows, _LOG_COLUMNS) if rows else "no votes"))


def reload(arguments: argparse.Namespace, settings: Settings) -> int:
    """the daemon reads its registry again now, and says the result"""
    result = Client(settings.url, settings.api_key).post("/v1/reload", {})
    lines = [f"{result['status']}: registry {result['registry']}", *result["changes"]]
    return _show(arguments, result, lambda: print("\n".join(lines)))


# --- files and stores -------------------------------------------------------------------------------------------------


def check(arguments: argparse.Namespace, settings: Settings) -> int:
    """validates a registry: file:line:col, what is wrong, did you mean"""
    from router.registry.load import check as examine
    from router.registry.report import render as report

    path = arguments.file or settings.registry
    checked = examine(path, env=None if arguments.no_env else environment())
    print(report(checked, "json" if arguments.json else arguments.format))
    return GOOD if checked.registry is not None else FINDINGS


def schema(_: argparse.Namespace, __: Settings) -> int:
    """the JSON Schema of registry.yaml, for editors"""
    from router.registry.schema import render_schema

    print(render_schema(), end="")
    return GOOD


def env(arguments: argparse.Namespace, settings: Settings) -> int:
    """every setting: name, default, current value (secrets hidden), meaning"""
    rows = describe(settings)
    return _show(arguments, rows, lambda: print(render(rows, ("name", "default", "value", "meaning"))))


def database(arguments: argparse.Namespace, settings: Settings) -> int:
    """migrate: bring the schema up to date; status: which migrations are applied; url: the addresses in use"""
    from router.stores import admin
    from router.stores.errors import StoreError

    if arguments.what == "url":
        addresses = admin.addresses(settings.database_url, settings.redis_url, settings.data_dir)
        lines = [f"{name}={value}" for name, value in addresses.items()]
        return _show(arguments, addresses, lambda: print("\n".join(lines)))
    try:
        rows = asyncio.run(
            admin.migrations(settings.database_url, settings.data_dir, apply=arguments.what == "migrate")
        )
    except StoreError as error:
        raise _Findings(str(error)) from None
    return _show(arguments, rows, lambda: print(render(rows, ("version", "name", "state", "applied_at"))))


def _show(arguments: argparse.Namespace, document: Any, human: Callable[[], None]) -> int:
    if arguments.json:
        print(json.dumps(document, default=str))
    else:
        human()
    return GOOD


# --- the words of the command line ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Flag:
    """One flag or argument, as argparse takes it."""

    names: tuple[str, ...]
    options: dict[str, Any]


def _flag(*names: str, **options: Any) -> _Flag:
    return _Flag(names, options)


_JSON = _flag("--json", action="store_true", help="for machines")
_URL = _flag("--url", help="the daemon (QUORUM_URL)")
_DATA_DIR = _flag("--data-dir", metavar="D", help="where embedded stores live (QUORUM_DATA_DIR)")
_REGISTRY = _flag("--registry", metavar="F", help="the registry (QUORUM_REGISTRY)")
_PORT = _flag("--port", metavar="P", help="the port to listen on (QUORUM_PORT)")

_VERBS: dict[str, tuple[Callable[[argparse.Namespace, Settings], int], str, tuple[_Flag, ...]]] = {
    "serve": (
        serve,
        "quorum serve --registry registry.yaml --port 8080",
        (_REGISTRY, _flag("--host", metavar="H", help="the address (QUORUM_HOST)"), _PORT, _DATA_DIR),
    ),
    "demo": (demo, "quorum demo", (_REGISTRY, _PORT, _DATA_DIR)),
    "simulate": (
        simulate,
        "quorum simulate --port 9090 --weather storm.json",
        (
            _flag("--port", metavar="P", type=int, default=9090, help="the port (9090; 0 picks one)"),
            _flag("--weather", metavar="F", type=Path, help="a JSON file of weathers per provider"),
            _flag("--seed", metavar="N", type=int, default=0, help="makes answers and chances repeatable"),
        ),
    ),
    "ask": (
        ask,
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
        check,
        "quorum check registry.yaml --format github",
        (
            _flag("file", nargs="?", metavar="F"),
            _flag("--no-env", action="store_true", help="look up no variable"),
            _flag("--format", choices=("text", "json", "github"), default="text"),
            _JSON,
        ),
    ),
    "schema": (schema, "quorum schema > registry.schema.json", ()),
    "weather": (weather, "quorum weather", (_URL, _JSON)),
    "votes": (
        votes,
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
    "reload": (reload, "quorum reload", (_URL, _JSON)),
    "env": (env, "quorum env", (_JSON,)),
    "db": (
        database,
        "quorum db url --json",
        (_flag("what", choices=("migrate", "status", "url")), _DATA_DIR, _JSON),
    ),
}
_SETTINGS_FLAGS = ("registry", "host", "data_dir", "url")


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
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, (run, example, flags) in _VERBS.items():
        verb = verbs.add_parser(name, help=run.__doc__, description=run.__doc__, epilog=f"example: {example}")
        verb.set_defaults(run=run, json=False)
        for flag in flags:
            verb.add_argument(*flag.names, **flag.options)
    return parser
