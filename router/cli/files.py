"""The verbs about the registry and the stores: `check`, `diff`, `reload`, `schema`, `env`, `db`."""

from __future__ import annotations

import argparse
import asyncio
import json

from router.cli.client import Client
from router.cli.output import FINDINGS, GOOD, Findings, caller, show
from router.cli.tables import render
from router.core.registry import Registry
from router.core.settings import Settings, SettingsError, describe, environment
from router.core.text import printable
from router.registry.problems import Finding


def check(arguments: argparse.Namespace, settings: Settings) -> int:
    """validates a registry: file:line:col, what is wrong, did you mean; with --live also against its providers"""
    from router.registry import prices
    from router.registry.load import check as examine
    from router.registry.report import render as report

    if arguments.live and arguments.no_env:
        raise SettingsError("--live asks with the keys that --no-env does not look up: choose one")
    path = arguments.file or settings.registry
    checked = examine(path, env=None if arguments.no_env else environment(), advise=prices.findings)
    if arguments.live and checked.registry is not None:
        found = asyncio.run(_look(checked.registry))
        checked = examine(path, env=environment(), advise=lambda document: [*prices.findings(document), *found])
    print(printable(report(checked, "json" if arguments.json else arguments.format)))
    return GOOD if checked.registry is not None else FINDINGS


async def _look(registry: Registry) -> list[Finding]:
    from router.observe.masking import MASK
    from router.upstream.model_catalogue import look
    from router.upstream.transport import HttpTransport

    keys = (provider.api_key for provider in registry.providers.values())
    MASK.know(key.reveal() for key in keys if key is not None)
    transport = HttpTransport()
    try:
        return await look(registry, transport, MASK.clean_cut)
    finally:
        await transport.close()


def diff(arguments: argparse.Namespace, settings: Settings) -> int:
    """what a reload would change, in words: two files, or the running registry against a file"""
    from router.registry.diff import diff as changes

    if arguments.running:
        document = caller(settings).get("/v1/registry")["document"]
        old = _usable("the running registry", json.dumps(document).encode())
        new = arguments.files[0] if arguments.files else str(settings.registry)
    elif len(arguments.files) == 2:
        old, new = _usable(arguments.files[0]), arguments.files[1]
    else:
        raise SettingsError("name two files, or --running and at most one")
    lines = changes(old, _usable(new))
    return show(arguments, lines, lambda: print(printable("\n".join(lines)) or "nothing would change"))


def _usable(source: str, text: bytes | None = None) -> Registry:
    from router.registry.load import check as examine
    from router.registry.load import parse_registry
    from router.registry.report import render as report

    checked = examine(source, env=None) if text is None else parse_registry(text, source, env=None)
    if checked.registry is None:
        raise Findings(f"{source} cannot be used\n{report(checked)}")
    return checked.registry


def reload(arguments: argparse.Namespace, settings: Settings) -> int:
    """the daemon reads its registry again now, and says the result"""
    result = Client(settings.url, settings.api_key).post("/v1/reload", {})
    lines = [f"{result['status']}: registry {result['registry']}", *result["changes"]]
    return show(arguments, result, lambda: print(printable("\n".join(lines))))


def schema(_: argparse.Namespace, __: Settings) -> int:
    """the JSON Schema of registry.yaml, for editors"""
    from router.registry.schema import render_schema

    print(render_schema(), end="")
    return GOOD


def env(arguments: argparse.Namespace, settings: Settings) -> int:
    """every setting: name, default, current value (secrets hidden), meaning"""
    rows = describe(settings)
    return show(arguments, rows, lambda: print(render(rows, ("name", "default", "value", "meaning"))))


def database(arguments: argparse.Namespace, settings: Settings) -> int:
    """migrate: bring the schema up to date; status: which migrations are applied; url: the addresses in use"""
    from router.stores import admin
    from router.stores.errors import StoreError

    if arguments.what == "url":
        addresses = admin.addresses(settings.database_url, settings.redis_url, settings.data_dir)
        lines = [f"{name}={value}" for name, value in addresses.items()]
        return show(arguments, addresses, lambda: print("\n".join(lines)))
    try:
        rows = asyncio.run(
            admin.migrations(settings.database_url, settings.data_dir, apply=arguments.what == "migrate")
        )
    except StoreError as error:
        raise Findings(str(error)) from None
    return show(arguments, rows, lambda: print(render(rows, ("version", "name", "state", "applied_at"))))
