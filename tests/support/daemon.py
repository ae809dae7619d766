"""Daemons for tests: built as `quorum serve` builds them, on a free port, with real stores and scripted providers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from router.core.clock import Clock
from router.core.settings import load_settings
from router.daemon.app import Daemon
from router.observe import log
from router.registry.watch import Watcher
from tests.support.scripted import Scripted, scripted


@dataclass(frozen=True)
class Reply:
    """A response as a caller sees it."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def chunks(self) -> list[Any]:
        """The documents of a stream's `data:` events, without `[DONE]`."""
        lines = [line[6:] for line in self.body.decode().splitlines() if line.startswith("data: ")]
        return [json.loads(line) for line in lines if line != "[DONE]"]

    @property
    def done(self) -> bool:
        return self.body.endswith(b"data: [DONE]\n\n")

    @property
    def text(self) -> str:
        """The content of all chunks."""
        deltas = [choice["delta"] for chunk in self.chunks for choice in chunk.get("choices", ())]
        return "".join(delta.get("content") or "" for delta in deltas)

    @property
    def error(self) -> Any:
        return self.json["error"]


class Running:
    """A daemon under test and a caller of it."""

    def __init__(self, daemon: Daemon, session: aiohttp.ClientSession, registry: Path) -> None:
        self.daemon = daemon
        self.url = daemon.url
        self.session = session
        self.registry = registry

    async def get(self, path: str) -> Reply:
        async with self.session.get(self.url + path) as response:
            return Reply(response.status, response.headers, await response.read())

    async def post(self, path: str, document: Any, headers: Mapping[str, str] | None = None) -> Reply:
        async with self.session.post(self.url + path, json=document, headers=headers) as response:
            return Reply(response.status, response.headers, await response.read())

    async def chat(self, text: str = "hello", *, headers: Mapping[str, str] | None = None, **fields: Any) -> Reply:
        document = {"model": "auto", "messages": [{"role": "user", "content": text}], **fields}
        return await self.post("/v1/chat/completions", document, headers)

    async def recorded(self, reply: Reply) -> Any:
        """The vote log's account of a request."""
        found = await self.get(f"/v1/requests/{reply.headers['X-Request-Id']}")
        assert found.status == 200, found.body
        return found.json


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def providers() -> AsyncIterator[Callable[[int], Awaitable[list[Scripted]]]]:
    """Starts so many scripted providers."""
    async with AsyncExitStack() as stack:

        async def start(number: int) -> list[Scripted]:
            return [await stack.enter_async_context(scripted()) for _ in range(number)]

        yield start


_OF_POSTGRES = (
    "router.stores.opening._GRACE_S",
    "router.http.admin.votes.FLUSH_S",
    "router.http.admin.changes.FLUSH_S",
)


@pytest.fixture
async def start_daemon(
    tmp_path: Path, pg_dsn: str, redis_url: str, patience_s: float | None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Start]:
    """Starts a daemon on a registry text; `env` adds or replaces settings and keys.

    Its clock is that of the test's loop. What it does by itself now and then does not come in the midst of a test: its
    first regular probe is due after a minute, and its registry is only read again when it is told to.
    """
    log.configure("info", "json")
    monkeypatch.setattr("router.daemon.guarding._spread", lambda: 0.0)
    monkeypatch.setattr("router.daemon.app.Watcher", partial(Watcher, poll_s=3600.0))
    async with AsyncExitStack() as stack:

        async def start(registry: str, env: Mapping[str, str] | None = None) -> Running:
            path = tmp_path / "registry.yaml"
            path.write_text(registry)
            settings = {
                "QUORUM_REGISTRY": str(path),
                "QUORUM_DATA_DIR": str(tmp_path / "data"),
                "DATABASE_URL": pg_dsn,
                "REDIS_URL": redis_url,
                "QUORUM_PORT": "0",
                "QUORUM_DRAIN_TIMEOUT": "1s",
                **(env or {}),
            }
            (tmp_path / "data").mkdir(exist_ok=True)
            if patience_s is not None:
                monkeypatch.setattr("router.http.server.load_shedding.PATIENCE_S", patience_s)
            for name in _OF_POSTGRES if patience_s is not None and settings["DATABASE_URL"] == pg_dsn else ():
                monkeypatch.setattr(name, patience_s)
            daemon = Daemon(load_settings(settings), Clock(monotonic=asyncio.get_running_loop().time))
            await stack.enter_async_context(daemon.running({"KEY": "sk-scripted-key", **settings}))
            callers = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
            session = await stack.enter_async_context(callers)
            return Running(daemon, session, path)

        yield start


def registry_for(providers: Sequence[Scripted], *, tier: str = "", strategies: str = "{}", **seat: str) -> str:
    """A registry with one seat per scripted provider, `p1` first: all in tier cheap, ranked as given.

    `tier` adds to the tier's settings, `seat` (p1='supports: [tools]') to a model's.
    """
    entries = "".join(
        f"  p{number}:\n"
        f"    adapter: compatible\n"
        f"    base_url: {provider.url}/v1\n"
        f"    api_key: ${{KEY}}\n"
        f"    models:\n"
        f"      m{number}: {{tier: cheap, rank: {number}, price: {{input: 1, output: 2}}"
        f"{', ' + seat[f'p{number}'] if f'p{number}' in seat else ''}}}\n"
        for number, provider in enumerate(providers, 1)
    )
    return (
        "version: 1\n"
        "defaults: {strategy: single-query, tier: cheap}\n"
        f"tiers:\n  cheap: {{council_size: 3, first_token: 5s, total: 10s{', ' + tier if tier else ''}}}\n"
        f"strategies: {strategies}\n"
        f"providers:\n{entries}"
    )
