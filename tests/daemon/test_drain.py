"""Graceful shutdown: requests in flight may end, and those that cannot get an error."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from router.core.settings import load_settings
from router.daemon.app import Daemon
from tests.support.daemon import Reply, registry_for
from tests.support.rim import LIMIT_S, Providers, until
from tests.support.scripted import HANG, stream


@pytest.fixture
def env(tmp_path: Path, pg_dsn: str, redis_url: str) -> Mapping[str, str]:
    return {
        "QUORUM_REGISTRY": str(tmp_path / "registry.yaml"),
        "QUORUM_DATA_DIR": str(tmp_path),
        "DATABASE_URL": pg_dsn,
        "REDIS_URL": redis_url,
        "QUORUM_PORT": "0",
        "KEY": "sk-scripted-key",
    }


async def ask(url: str, streamed: bool) -> Reply:
    document = {"messages": [{"role": "user", "content": "hello"}], "stream": streamed}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/v1/chat/completions", json=document) as response,
    ):
        return Reply(response.status, response.headers, await response.read())


async def test_requests_in_flight_end_well_and_new_ones_are_turned_away(
    env: Mapping[str, str], providers: Providers
) -> None:
    (one,) = await providers(1)
    go_on = asyncio.Event()
    one.then(replace(stream("a", "b"), hold=go_on))
    Path(env["QUORUM_REGISTRY"]).write_text(registry_for([one]))
    daemon = Daemon(load_settings({**env, "QUORUM_DRAIN_TIMEOUT": "30s"}))

    async with daemon.running(env):
        url = daemon.url
        asking = asyncio.create_task(ask(url, streamed=True))
        await asyncio.wait_for(one.asked.wait(), LIMIT_S)

        async def meanwhile() -> tuple[Reply, int]:
            async with aiohttp.ClientSession() as session:
                while (await session.get(f"{url}/readyz")).status == 200:
                    await asyncio.sleep(0.01)
                status = (await session.get(f"{url}/readyz")).status
            refused = await ask(url, streamed=False)
            go_on.set()
            return refused, status

        watching = asyncio.create_task(meanwhile())
    refused, ready = await watching
    reply = await asking

    assert (reply.status, reply.text, reply.done) == (200, "ab", True)
    assert ready == 503
    assert (refused.status, refused.error["code"]) == (503, "draining")


async def test_what_cannot_end_in_time_is_told_so(env: Mapping[str, str], providers: Providers) -> None:
    one, two = await providers(2)
    half = stream("half", finish=None, end="stay")
    one.then(half)
    two.then(HANG)
    Path(env["QUORUM_REGISTRY"]).write_text(registry_for([one, two]))
    daemon = Daemon(load_settings({**env, "QUORUM_DRAIN_TIMEOUT": "100ms"}))

    async with daemon.running(env):
        streaming = asyncio.create_task(ask(daemon.url, streamed=True))
        document = {"model": "p2/m2", "messages": [{"role": "user", "content": "hello"}]}
        session = aiohttp.ClientSession()
        whole = asyncio.create_task(session.post(f"{daemon.url}/v1/chat/completions", json=document))
        await asyncio.wait_for(asyncio.gather(one.asked.wait(), two.asked.wait()), LIMIT_S)
        await until(lambda: one.said_bytes == sum(map(len, half.pieces)))
    streamed, answered = await streaming, await whole

    assert streamed.status == 200
    assert streamed.text == "half"
    assert streamed.chunks[-1]["error"]["code"] == "draining"
    assert not streamed.done
    assert answered.status == 503
    assert (await answered.json())["error"]["code"] == "draining"
    await session.close()
    await asyncio.wait_for(asyncio.gather(one.gone.wait(), two.gone.wait()), LIMIT_S)
