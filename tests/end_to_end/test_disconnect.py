"""Callers that disconnect or do not read: the provider call ends at once, the log records it, and nothing leaks."""

from __future__ import annotations

import asyncio
import gc
import itertools
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.daemon import Running, Start
from tests.support.rim import LIMIT_S, Providers, caller, chat_body, http, seats, until
from tests.support.scripted import HANG, Step, chunk, stream

SSE = {"Content-Type": "text/event-stream"}
FLOOD = Step(headers=SSE, pieces=itertools.repeat(chunk({"content": "x" * 32_000})))


async def inflight(quorum: Running) -> list[float]:
    """Requests in the daemon, and attempts at each provider."""
    page = (await quorum.get("/metrics")).body.decode()
    requests = next(line for line in page.splitlines() if line.startswith("quorum_inflight_requests "))
    weather = (await quorum.get("/v1/weather")).json["providers"]
    return [float(requests.split()[1]), *(provider["inflight"] for provider in weather)]


async def idle(quorum: Running, limit_s: float = LIMIT_S) -> None:
    """Waits until nothing is in flight any more."""
    async with asyncio.timeout(limit_s):
        while any(await inflight(quorum)):
            await asyncio.sleep(0.005)


async def gone(quorum: Running) -> Any:
    """The one request of the log whose caller left, with its votes."""
    (vote,) = (await quorum.get("/v1/votes?outcome=client_gone")).json["data"]
    return (await quorum.get(f"/v1/requests/{vote['request_id']}")).json


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
async def test_a_caller_who_leaves_before_the_first_byte_ends_the_call(
    start_daemon: Start, providers: Providers, streaming: bool
) -> None:
    one, two = await providers(2)
    one.then(HANG)
    quorum = await start_daemon(seats([one, two]))

    async with caller(quorum.url) as (_, writer):
        writer.write(http(chat_body(stream=streaming)))
        await asyncio.wait_for(one.asked.wait(), LIMIT_S)
        assert await inflight(quorum) == [1, 1, 0]

    await asyncio.wait_for(one.gone.wait(), LIMIT_S)
    await idle(quorum)
    logged = await gone(quorum)
    assert (logged["outcome"], logged["http_status"], logged["error_type"]) == ("client_gone", 499, "cancelled")
    (vote,) = logged["votes"]
    assert (vote["outcome"], vote["error_type"], vote["sent"]) == ("client_gone", "cancelled", True)
    assert two.seen == []


async def test_a_caller_who_leaves_in_mid_stream_ends_even_a_silent_call(
    start_daemon: Start, providers: Providers
) -> None:
    one, two = await providers(2)
    one.then(stream("Hello", finish=None, end="stay"))
    quorum = await start_daemon(seats([one, two]))

    async with caller(quorum.url) as (reader, writer):
        writer.write(http(chat_body(stream=True)))
        assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b"Hello"), LIMIT_S)

    await asyncio.wait_for(one.gone.wait(), LIMIT_S)
    await idle(quorum)
    logged = await gone(quorum)
    assert (logged["outcome"], logged["stream"], logged["first_token_ms"]) == ("client_gone", True, None)
    (vote,) = logged["votes"]
    assert (vote["outcome"], vote["http_status"], vote["usage_estimated"]) == ("client_gone", 200, True)
    assert vote["first_token_ms"] > 0
    assert two.seen == []


async def test_a_caller_who_leaves_between_two_seats_costs_no_third_call(
    start_daemon: Start, providers: Providers
) -> None:
    one, two, three = await providers(3)
    one.then(Step(500, pieces=[b"{}"]))
    two.then(Step(headers=SSE, pieces=[b": wait\n\n"], end="stay"))
    quorum = await start_daemon(seats([one, two, three]))

    async with caller(quorum.url) as (_, writer):
        writer.write(http(chat_body(stream=True)))
        await asyncio.wait_for(two.asked.wait(), LIMIT_S)

    await asyncio.wait_for(two.gone.wait(), LIMIT_S)
    await idle(quorum)
    outcomes = [vote["outcome"] for vote in (await gone(quorum))["votes"]]
    assert outcomes == ["failed", "client_gone"]
    assert three.seen == []


async def test_starting_and_leaving_two_hundred_times_leaves_nothing_behind(
    start_daemon: Start, providers: Providers
) -> None:
    (one,) = await providers(1)
    one.then(stream("Hello", finish=None, end="stay"))
    quorum = await start_daemon(seats([one]))
    process = psutil.Process()

    async def start_and_leave() -> None:
        async with caller(quorum.url) as (reader, writer):
            writer.write(http(chat_body(stream=True)))
            await asyncio.wait_for(reader.readuntil(b"Hello"), LIMIT_S)

    await start_and_leave()
    await idle(quorum)
    sockets, tasks = len(process.net_connections("tcp")), len(asyncio.all_tasks())
    for _ in range(10):
        await asyncio.gather(*(start_and_leave() for _ in range(20)))

    await idle(quorum)
    await until(lambda: len(process.net_connections("tcp")) <= sockets and len(asyncio.all_tasks()) <= tasks)
    assert len(one.seen) == 201
    assert len((await quorum.get("/v1/votes?outcome=client_gone&limit=1000")).json["data"]) == 201


def kernel_bytes() -> int:
    """What the system's own buffers may hold of a stream through two sockets; it lets them grow by itself."""
    limits = [Path(f"/proc/sys/net/ipv4/tcp_{side}mem") for side in "rw"]
    return sum(2 * int(limit.read_text().split()[2]) for limit in limits if limit.exists())


async def test_a_caller_who_does_not_read_holds_up_the_provider_and_is_then_cut_off(
    start_daemon: Start, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.http.sse.SLOW_CALLER_S", 0.5)
    (one,) = await providers(1)
    one.then(FLOOD)
    quorum = await start_daemon(seats([one], idle="300ms"))
    gc.collect()
    process = psutil.Process()
    rss = process.memory_info().rss

    async with caller(quorum.url, receive_buffer=4096) as (_, writer):
        writer.write(http(chat_body(stream=True)))
        await asyncio.wait_for(one.gone.wait(), LIMIT_S)
        grown = process.memory_info().rss - rss

    assert one.said_bytes < 16 * 2**20 + kernel_bytes(), "the provider was not held up"
    assert grown < 16 * 2**20, "what it says went into our memory"
    await idle(quorum)
    logged = await gone(quorum)
    assert logged["outcome"] == "client_gone"
    assert [(vote["outcome"], vote["error_type"]) for vote in logged["votes"]] == [("client_gone", "cancelled")]


async def test_a_deadline_that_a_caller_slept_through_is_not_the_provider_s_failure(
    start_daemon: Start, providers: Providers
) -> None:
    (one,) = await providers(1)
    one.then(FLOOD)
    quorum = await start_daemon(seats([one], idle="300ms"))

    async with caller(quorum.url, receive_buffer=4096) as (_, writer):
        writer.write(http(chat_body(stream=True, quorum={"timeout_ms": 600})))
        await asyncio.wait_for(one.gone.wait(), LIMIT_S)

    await idle(quorum)
    vote = (await gone(quorum))["votes"][0]
    assert (vote["outcome"], vote["error_type"]) == ("client_gone", "cancelled")
    assert 500 < vote["duration_ms"] < 20_000  # the deadline, and not how long callers may be slow


async def test_a_caller_who_leaves_while_sending_is_forgotten(start_daemon: Start, providers: Providers) -> None:
    (one,) = await providers(1)
    quorum = await start_daemon(seats([one]))

    async with caller(quorum.url) as (_, writer):
        writer.write(http(chat_body(), headers={"Content-Length": "1000"}))
        async with asyncio.timeout(LIMIT_S):
            while (await inflight(quorum))[0] != 1:
                await asyncio.sleep(0.005)

    await idle(quorum)
    assert one.seen == []
