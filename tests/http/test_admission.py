"""Admission control: which requests are rejected under overload, at what cost, and with a readable error."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvloop
from aiohttp import web

from router.core.clock import SYSTEM_CLOCK
from router.core.events import SheddingChanged
from router.http.body import read_json_body
from router.http.middleware import Admission, errors_to_responses, identify
from router.http.server.connection import BoundedRunner
from router.http.server.early_reject import OverloadReject
from router.http.server.framing import Framing, request_bytes
from router.http.server.load_shedding import Gate
from router.observe.metrics import Metrics
from tests.support.rim import LIMIT_S, Caller, answer, caller, chat_body, closed, http, log_text, until

CHAT = http(chat_body())
HEALTH = http(line="GET /healthz HTTP/1.1")
RELOAD = http(b"{}", line="POST /v1/reload HTTP/1.1")


@dataclass
class Served:
    """A server with the daemon's gate; chats wait for `go_on`, and `bodies` holds those that were read."""

    gate: Gate
    metrics: Metrics
    url: str = ""
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    bodies: list[bytes] = field(default_factory=list)
    told: list[SheddingChanged] = field(default_factory=list)
    connections: Callable[[], list[Any]] = list

    @property
    def inside(self) -> int:
        inside: int = self.gate.state()["inflight"]
        return inside

    @property
    def shed(self) -> float:
        return self.metrics.registry.get_sample_value("quorum_shed_total") or 0.0

    async def chat(self, request: web.Request) -> web.Response:
        self.bodies.append(await read_json_body(request, timeout_s=1))
        await self.go_on.wait()
        return web.json_response("answered")

    async def other(self, _: web.Request) -> web.Response:
        return web.json_response("alive")


@asynccontextmanager
async def serving(
    max_inflight: int, *, header_timeout_s: float = 5.0, max_connections: int = 100, reject_delay_s: float = 0.0
) -> AsyncIterator[Served]:
    told: list[SheddingChanged] = []
    gate = Gate(
        SYSTEM_CLOCK, random.Random(7), memory_share=lambda: 0.0, publish=told.append, max_inflight=max_inflight
    )
    served = Served(gate, Metrics(), told=told)
    admission = Admission(served.metrics, gate)
    app = web.Application(middlewares=[identify(SYSTEM_CLOCK), errors_to_responses, admission.middleware()])
    app.add_routes([web.post("/v1/chat/completions", served.chat)])
    app.add_routes([web.get("/healthz", served.other), web.post("/v1/reload", served.other)])
    runner = BoundedRunner(
        app,
        header_timeout_s=header_timeout_s,
        max_connections=max_connections,
        early_reject=OverloadReject(gate, served.metrics, SYSTEM_CLOCK),
        reject_delay_s=reject_delay_s,
        shutdown_timeout_s=0.1,
    )
    await runner.setup()
    try:
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)  # so that what nobody reads is soon too much
        await web.SockSite(runner, listening).start()
        served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        assert runner.server is not None
        server = runner.server
        served.connections = lambda: list(server.connections)
        yield served
    finally:
        await runner.cleanup()


async def refused(caller: Caller) -> dict[str, str]:
    """Reads a refusal, which must be complete; returns its headers."""
    head = (await asyncio.wait_for(caller[0].readuntil(b"\r\n\r\n"), LIMIT_S)).decode()
    lines = head.rstrip().split("\r\n")
    assert lines[0] == "HTTP/1.1 503 Service Unavailable"
    headers = dict(line.split(": ", 1) for line in lines[1:])
    error = json.loads(await caller[0].readexactly(int(headers["Content-Length"])))["error"]
    assert (error["code"], error["type"]) == ("overloaded", "server_error")
    assert error["request_id"] == headers["X-Request-Id"]
    assert headers["Retry-After"] in "12345"
    return headers


# --- at the door ------------------------------------------------------------------------------------------------------


async def test_who_is_turned_away_is_told_when_to_come_again_and_keeps_the_connection() -> None:
    async with serving(1) as served, caller(served.url) as one, caller(served.url) as two:
        log = log_text()
        one[1].write(CHAT)
        await until(lambda: bool(served.bodies))
        ids = set()
        for _ in range(20):
            two[1].write(CHAT)
            ids.add((await refused(two))["X-Request-Id"])
        two[1].write(HEALTH)
        assert await answer(two[0]) == (200, "alive")
        served.go_on.set()
        assert await answer(one[0]) == (200, "answered")
        two[1].write(CHAT)
        assert await answer(two[0]) == (200, "answered")

        assert (len(ids), served.shed, len(served.bodies), served.inside) == (20, 20, 2, 0)
        assert [(episode.reason, episode.lasted_s) for episode in served.told] == [("full", None)]
        assert log.getvalue() == "", "a line for each refusal is work as well"


@pytest.mark.parametrize("request_", [HEALTH, RELOAD], ids=["a probe", "an administrator"])
async def test_who_looks_after_the_daemon_is_always_let_in(request_: bytes) -> None:
    async with serving(0) as served, caller(served.url) as one:
        one[1].write(request_)
        assert await answer(one[0]) == (200, "alive")
        assert served.shed == 0


async def test_a_body_that_follows_its_head_is_dropped_unread() -> None:
    body = chat_body(user="x" * 300_000)
    message = http(body)
    async with serving(0) as served, caller(served.url) as one:
        one[1].write(message[: -len(body)])
        await refused(one)
        for start in range(0, len(body), 100_000):
            one[1].write(body[start : start + 100_000])
            await one[1].drain()
        for request in (message, CHAT):
            one[1].write(request)
            await refused(one)
        one[1].write(HEALTH)
        assert await answer(one[0]) == (200, "alive")
        assert (served.bodies, served.shed) == ([], 3)


async def test_a_body_that_was_refused_and_never_comes_costs_the_connection() -> None:
    async with serving(0, header_timeout_s=0.2) as served, caller(served.url) as slow, caller(served.url) as normal:
        normal[1].write(CHAT)
        await refused(normal)
        slow[1].write(CHAT[:-1])
        await refused(slow)
        assert await closed(slow[0]) == b""
        normal[1].write(HEALTH)
        assert await answer(normal[0]) == (200, "alive")


ODD = {
    "chunked": http(b"2\r\n{}\r\n0\r\n\r\n", headers={"Transfer-Encoding": "chunked"}),
    "two at once": CHAT + CHAT,
    "will close": http(chat_body(), headers={"Connection": "close"}),
    "an odd name": http(chat_body(), headers={"X-Content-Length": "1"}),
}


@pytest.mark.parametrize("said", ODD.values(), ids=ODD)
async def test_what_only_a_parser_can_read_is_turned_away_too(said: bytes) -> None:
    async with serving(0) as served, caller(served.url) as one:
        one[1].write(said)
        for _ in range(1 + (said == CHAT + CHAT)):
            status, body = await answer(one[0])
            assert (status, body["error"]["code"]) == (503, "overloaded")
        assert (served.bodies, served.inside) == ([], 0)


async def test_a_refusal_does_not_overtake_an_answer() -> None:
    async with serving(1) as served, caller(served.url) as one:
        one[1].write(CHAT)
        await until(lambda: bool(served.bodies))
        one[1].write(CHAT)
        await asyncio.sleep(0.05)
        served.go_on.set()
        assert await answer(one[0]) == (200, "answered")
        assert (await answer(one[0]))[0] == 200


async def test_the_next_request_may_come_with_the_end_of_a_refused_one() -> None:
    async with serving(0) as served, caller(served.url) as one:
        one[1].write(CHAT[:-1])
        await refused(one)
        one[1].write(CHAT[-1:] + RELOAD)
        assert await answer(one[0]) == (200, "alive")
        one[1].write(CHAT[:-9])
        await refused(one)
        one[1].write(CHAT[-9:] + CHAT)
        await refused(one)
        assert served.shed == 3


async def test_a_caller_who_does_not_read_refusals_loses_the_connection() -> None:
    async with serving(0) as served, caller(served.url, receive_buffer=4096) as (_, writer):
        await until(lambda: bool(served.connections()))
        async with asyncio.timeout(LIMIT_S):
            while served.connections():
                before = served.shed
                writer.write(CHAT)
                while served.shed == before and served.connections():
                    await asyncio.sleep(0)


@pytest.mark.parametrize("said", [CHAT, CHAT[:-5], CHAT + CHAT[:-5]], ids=["answered", "half a body", "a second one"])
async def test_a_caller_who_leaves_gives_back_the_place(said: bytes) -> None:
    async with serving(2) as served:
        async with caller(served.url) as (_, writer):
            writer.write(said)
            await until(lambda: served.inside >= 1)
        await until(lambda: served.inside == 0)


def test_connections_beyond_the_bound_are_closed_on_the_loop_of_production() -> None:
    async def scenario() -> None:
        async with serving(1, max_connections=1) as served, caller(served.url) as one, caller(served.url) as two:
            one[1].write(HEALTH)
            assert await answer(one[0]) == (200, "alive")
            assert await closed(two[0]) == b""

    uvloop.run(scenario())


# --- refusals that are held -------------------------------------------------------------------------------------------


async def test_a_refusal_is_told_after_a_moment_and_health_at_once() -> None:
    async with serving(0, reject_delay_s=0.3) as served, caller(served.url) as one, caller(served.url) as two:
        began = asyncio.get_running_loop().time()
        one[1].write(CHAT)
        await until(lambda: served.shed == 1)
        two[1].write(HEALTH)
        assert await answer(two[0]) == (200, "alive")
        await refused(one)
        assert asyncio.get_running_loop().time() - began >= 0.3


@pytest.mark.parametrize("next_", [HEALTH, CHAT[:-1], CHAT + CHAT], ids=["a probe", "another", "two at once"])
async def test_a_held_refusal_comes_before_whatever_is_asked_next(next_: bytes) -> None:
    async with serving(0, reject_delay_s=3600) as served, caller(served.url) as one:
        for part in (CHAT[:-20], CHAT[-20:]):
            one[1].write(part)
            await until(lambda: served.shed == 1)
        one[1].write(next_)
        await refused(one)
        if next_ == HEALTH:
            assert await answer(one[0]) == (200, "alive")


async def test_where_many_are_connected_nobody_is_held() -> None:
    async with serving(0, reject_delay_s=3600, max_connections=1) as served, caller(served.url) as one:
        one[1].write(CHAT)
        await refused(one)


async def test_a_server_that_stops_tells_every_refusal_that_it_holds() -> None:
    async with AsyncExitStack() as stack:
        async with serving(0, reject_delay_s=3600) as served:
            callers = [await stack.enter_async_context(caller(served.url)) for _ in range(3)]
            for one in callers:
                one[1].write(CHAT)
            await until(lambda: served.shed == 3)
        for one in callers:
            await refused(one)


async def test_a_caller_who_left_is_not_told() -> None:
    async with serving(0, reject_delay_s=0.05) as served:
        async with caller(served.url) as one:
            one[1].write(CHAT)
            await until(lambda: served.shed == 1)
        async with caller(served.url) as two:
            two[1].write(CHAT)
            await refused(two)


# --- where a request ends ---------------------------------------------------------------------------------------------

PLAIN = {
    "a GET": (HEALTH, len(HEALTH)),
    "a body": (CHAT, len(CHAT)),
    "half a body": (CHAT[:-9], len(CHAT)),
    "a name in capitals": (b"POST / HTTP/1.1\r\nCONTENT-LENGTH:3\r\n\r\n{}\n", 40),
    "spaces": (b"POST / HTTP/1.1\r\ncontent-length: \t 3 \r\nX: y\r\n\r\n", 50),
}
UNCLEAR = {
    "half a head": CHAT[:40],
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
    "two lengths in one": b"POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\n",
    "a signed length": b"POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n",
    "a folded length": b"POST / HTTP/1.1\r\nContent-Length:\r\n 3\r\n\r\n",
    "a space before the colon": b"POST / HTTP/1.1\r\nContent-Length : 3\r\n\r\n",
    "a bare line feed": b"POST / HTTP/1.1\nContent-Length: 3\r\n\r\n",
    "chunks": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
    "a question first": b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    "another protocol": b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
}


@pytest.mark.parametrize(("data", "size"), PLAIN.values(), ids=PLAIN)
def test_the_end_of_a_plain_request_is_known_from_its_head(data: bytes, size: int) -> None:
    assert request_bytes(data) == size


@pytest.mark.parametrize("data", UNCLEAR.values(), ids=UNCLEAR)
def test_what_could_be_read_in_two_ways_is_not_read(data: bytes) -> None:
    assert request_bytes(data) is None
    framing = Framing()
    assert not framing.begins(data)
    assert not framing.plain


def test_requests_are_followed_however_their_bodies_are_cut() -> None:
    for cut in range(len(CHAT) - len(chat_body()), len(CHAT) + 1):
        framing = Framing()
        for _ in range(3):
            assert framing.begins(CHAT[:cut])
            assert cut == len(CHAT) or not framing.begins(CHAT[cut:])
            assert framing.ended
            assert framing.plain


def test_a_beginning_that_comes_with_an_end_is_not_taken_for_one() -> None:
    framing = Framing()
    assert framing.begins(CHAT[:-1])
    assert not framing.begins(CHAT[-1:] + CHAT)
    assert not framing.plain
