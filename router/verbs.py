"""What the verbs of the command line do; each takes its arguments and the settings, and returns the exit status."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable
from typing import Any

from router.client import Client
from router.registry.model import Registry
from router.settings import Settings, SettingsError, describe, environment
from router.table import render

GOOD, FINDINGS = 0, 1
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


class Findings(Exception):
    """A verb found what it looked for: something is wrong. The message is for a person."""


# --- the daemon -------------------------------------------------------------------------------------------------------


def serve(_: argparse.Namespace, settings: Settings) -> int:
    """the daemon; prints one line with the URL when ready"""
    from router.registry.problems import RegistryError
    from router.serving import serve as run
    from router.workers import serve_many

    try:
        (run if settings.workers == 1 else serve_many)(
            settings, environment(), lambda url: print(f"quorum is ready at {url}", flush=True)
        )
    except RegistryError as error:
        raise Findings(f"the registry cannot be used\n{error}") from None
    return GOOD


def demo(_: argparse.Namespace, settings: Settings) -> int:
    """simulator and daemon together, ready to try without any key"""
    from router.demo import DEMO_KEY
    from router.demo import demo as run
    from router.registry.problems import RegistryError

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
        raise Findings(f"the registry cannot be used\n{error}") from None
    return GOOD


def simulate(arguments: argparse.Namespace, _: Settings) -> int:
    """the simulated providers alone, for rehearsing an outage"""
    from router.demo import simulate as run
    from router.simulator import WeatherError

    def announce(url: str) -> None:
        print(f"simulated providers are ready at {url}", flush=True)

    try:
        run(arguments.port, arguments.weather, arguments.seed, announce)
    except WeatherError as error:
        raise Findings(str(error)) from None
    except OSError as error:
        raise Findings(f"cannot listen on port {arguments.port}: {error.strerror}") from None
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
    print(_printable(message["content"] or json.dumps(message.get("tool_calls"))), end="")
    _print_votes(answer["quorum"])


def _print_votes(quorum: Any) -> None:
    cost = quorum["cost_usd"]
    print(f"\n\n{render(quorum['votes'], _VOTE_COLUMNS)}")
    spent = "" if cost is None else f", {cost:.6f} USD"
    print(f"\n{quorum['strategy']} in {quorum['tier']}, {quorum['attempts']} attempt(s){spent}")
    print(f"request {quorum['request_id']}")


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
    from router.registry import prices
    from router.registry.load import check as examine
    from router.registry.report import render as report

    path = arguments.file or settings.registry
    checked = examine(path, env=None if arguments.no_env else environment(), advise=prices.findings)
    print(report(checked, "json" if arguments.json else arguments.format))
    return GOOD if checked.registry is not None else FINDINGS


def diff(arguments: argparse.Namespace, settings: Settings) -> int:
    """what a reload would change, in words: two files, or the running registry against a file"""
    from router.registry.diff import diff as changes

    if arguments.running:
        document = Client(settings.url, settings.api_key).get("/v1/registry")["document"]
        old = _usable("the running registry", json.dumps(document).encode())
        new = arguments.files[0] if arguments.files else str(settings.registry)
    elif len(arguments.files) == 2:
        old, new = _usable(arguments.files[0]), arguments.files[1]
    else:
        raise SettingsError("name two files, or --running and at most one")
    lines = changes(old, _usable(new))
    return _show(arguments, lines, lambda: print("\n".join(lines) or "nothing would change"))


def _usable(source: str, text: bytes | None = None) -> Registry:
    from router.registry.load import check as examine
    from router.registry.load import parse_registry
    from router.registry.report import render as report

    checked = examine(source, env=None) if text is None else parse_registry(text, source, env=None)
    if checked.registry is None:
        raise Findings(f"{source} cannot be used\n{report(checked)}")
    return checked.registry


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
        raise Findings(str(error)) from None
    return _show(arguments, rows, lambda: print(render(rows, ("version", "name", "state", "applied_at"))))


def _show(arguments: argparse.Namespace, document: Any, human: Callable[[], None]) -> int:
    if arguments.json:
        print(json.dumps(document, default=str))
    else:
        human()
    return GOOD
