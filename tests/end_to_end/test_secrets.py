"""No secret leaves the process: canary values replace all secrets, every failure is forced, every output is searched.

Some providers repeat the key that they refuse; that is how most keys have leaked into logs elsewhere.
"""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

from adapters import ADAPTERS
from router.core.settings import describe, load_settings
from router.observe import log
from router.registry.load import load_registry
from tests.support.daemon import Reply, Running, Start
from tests.support.scripted import Step, chunk, error, event, scripted, stream, whole
from tests.support.small_registry import asking

# Not of a form that a pattern for well-known keys would recognise, and with characters that encodings change.
DATABASE_PASSWORD = "canary+database/pass=word"
REDIS_PASSWORD = "canary+redis/pass=word"


def canary(name: str) -> str:
    return f"canary+{name}/key=of&this"


def forms(secret: str) -> set[str]:
    return {secret, quote(secret), quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("=")}


def page(text: str, status: int = 200) -> Step:
    return Step(status, {"Content-Type": "text/html"}, [text.encode()])


def refusals(key: str) -> dict[str, Step]:
    """What a provider that repeats our key may do with it."""
    in_base64, encoded = base64.b64encode(key.encode()).decode(), quote(key, safe="")
    return {
        "auth": error(401, f"Incorrect API key provided: {key}.", code="invalid_api_key"),
        "server": error(500, f"panic: header 'Bearer {key}'"),
        "limited": error(429, f"too many calls with {in_base64}", retry_after="1"),
        "gone": error(404, f"no model for ?key={encoded}", code="model_not_found"),
        "billing": error(402, f"no credits left for {key}"),
        "invalid": error(400, f"cannot parse {key}"),
        "context": error(400, f"maximum context length with {key}", code="context_length_exceeded"),
        "code": error(500, "see the code", code=key),
        "cut": error(500, "x" * 490 + key),
        "html": page(f"<html>{key}</html>"),
        "bad-gateway": page(f"<html>{key}</html>", 502),
        "half-json": page('{"choices": [{"message": {"content": "' + key),
        "error-in-200": Step(headers={"Content-Type": "application/json"}, pieces=[b'{"error": "%s"}' % key.encode()]),
        "redirect": Step(302, {"Location": f"http://127.0.0.1:1/?key={encoded}"}),
        "stream-error": stream_of(event({"error": {"message": f"bad {key}"}})),
        "late-error": stream_of(chunk({"content": "Hel"}), event({"error": {"message": f"bad {key}", "code": 500}})),
        "stream-garbage": stream_of(b"data: {" + key.encode() + b"\n\n"),
    }


SUCCESS = (whole("fine"), stream("fine"), whole("fine"))


def stream_of(*pieces: bytes) -> Step:
    return Step(headers={"Content-Type": "text/event-stream"}, pieces=pieces)


NAMES = ("success", *refusals(""), "refused")
SECRETS = [*map(canary, NAMES), "canary+cut", DATABASE_PASSWORD, REDIS_PASSWORD]  # the cut one also in half
ENV = {name.upper().replace("-", "_") + "_KEY": canary(name) for name in NAMES}


def registry_text(urls: dict[str, str]) -> str:
    providers = "".join(
        f"  {name}:\n    adapter: compatible\n    base_url: {url}/v1\n"
        f"    api_key: ${{{name.upper().replace('-', '_')}_KEY}}\n    models:\n      m: {{tier: cheap, rank: 1}}\n"
        for name, url in urls.items()
    )
    head = "version: 1\ndefaults: {strategy: single-query, tier: cheap}\ntiers: {cheap: {}}\n"
    return f"{head}providers:\n{providers}"


@pytest.fixture
async def urls() -> AsyncIterator[dict[str, str]]:
    """A provider for each thing that can happen, by its name; the last one refuses connections."""
    async with AsyncExitStack() as stack:
        servers = {name: await stack.enter_async_context(scripted()) for name in NAMES[:-1]}
        for name, server in servers.items():
            server.then(*SUCCESS if name == "success" else [refusals(canary(name))[name]])
        yield {**{name: server.url for name, server in servers.items()}, "refused": "http://127.0.0.1:1"}


async def force_everything(quorum: Running) -> list[Reply]:
    """Asks every provider, whole and streamed, and then everybody at once; all that the callers saw."""
    explain = {"explain": True}
    alone = [
        await quorum.chat(model=f"{name}/m", stream=streamed, quorum=explain)
        for streamed in (False, True)
        for name in NAMES
    ]
    return [*alone, await quorum.chat(model="ranked-fallback", quorum=explain)]


async def everything_stored(dsn: str) -> str:
    """Every value of every table, as text."""
    connection = await asyncpg.connect(dsn)
    tables = await connection.fetch(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'quorum' AND table_type = 'BASE TABLE'"
    )
    rows = [row for table in tables for row in await connection.fetch(f"SELECT * FROM quorum.{table[0]}")]
    await connection.close()
    values = [value for row in rows for value in row.values()]
    return "\n".join(value.decode("latin-1") if isinstance(value, bytes) else str(value) for value in values)


def assert_clean(sinks: dict[str, str]) -> None:
    for sink, text in sinks.items():
        assert text, f"{sink} is empty: nothing was swept"
        found = [secret for secret in SECRETS for form in forms(secret) if form in text]
        assert not found, f"{sink} holds {found}"


async def test_no_failure_of_any_provider_leaks_a_key(
    start_daemon: Start, urls: dict[str, str], pg_dsn: str, tmp_path: Path
) -> None:
    written = io.StringIO()
    log.configure("debug", "json", written)
    dsn = pg_dsn.replace("//quorum@", f"//quorum:{quote(DATABASE_PASSWORD, safe='')}@")
    assert dsn != pg_dsn
    redis_url = f"redis://:{quote(REDIS_PASSWORD, safe='')}@127.0.0.1:1/0"
    quorum = await start_daemon(registry_text(urls), {**ENV, "DATABASE_URL": dsn, "REDIS_URL": redis_url})

    replies = await force_everything(quorum)
    recorded = [(await quorum.recorded(reply)) for reply in replies]
    quorum.registry.write_text(registry_text(urls).replace("${AUTH_KEY}", canary("auth")))
    refused = await quorum.post("/v1/reload", {})
    told = {
        path: await quorum.get(path) for path in ("/metrics", "/healthz", "/v1/weather", "/v1/votes", "/v1/registry")
    }

    assert [reply.status for reply in replies].count(200) >= 3
    assert {vote["error_type"] for request in recorded for vote in request["votes"]} >= {
        None, "auth", "server_error", "rate_limited", "model_gone", "billing", "invalid_request", "context_length",
        "bad_response", "connection",
    }  # fmt: skip
    assert (refused.status, refused.json["status"]) == (422, "failed")
    files = [file for file in (tmp_path / "data").rglob("*") if file.is_file()]
    assert_clean(
        {
            "the callers' answers": "\n".join(reply.body.decode() + str(reply.headers) for reply in replies),
            "the recorded requests": str(recorded),
            "the refused registry": refused.body.decode(),
            "Postgres": await everything_stored(pg_dsn),
            "the log": written.getvalue(),
            "the data folder": "\n".join(["files:", *(file.read_bytes().decode("latin-1") for file in files)]),
            **{path: reply.body.decode() for path, reply in told.items()},
        }
    )
    # The sentences themselves are still there for whoever reads them.
    assert "Incorrect API key provided: ***" in written.getvalue() + str(recorded)


def test_nothing_shows_a_secret_when_printed(urls: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "registry.yaml").write_text(registry_text(urls))
    registry = load_registry(tmp_path / "registry.yaml", env=ENV)
    settings = load_settings({"DATABASE_URL": f"postgres://u:{DATABASE_PASSWORD}@h/d", "REDIS_URL": REDIS_PASSWORD})
    seat = registry.seats["success/m"]
    request = ADAPTERS["compatible"].build_request(seat.target, asking(), stream=False)
    assert canary("success") in str(request.headers)
    shown = (registry, seat, seat.target, seat.provider, request, settings, describe(settings))
    assert_clean({type(value).__name__: f"{value!r} {value!s} {value}" for value in shown})
