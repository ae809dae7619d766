"""The HTTP server against slow, numerous or malformed callers: little cost, our own errors, no stack traces logged."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from router.core.clock import SYSTEM_CLOCK
from router.http.body import MAX_BODY_BYTES, read_json_body
from router.http.middleware import errors_to_responses, identify
from router.http.server.connection import BoundedRunner
from tests.support.daemon import Start
from tests.support.rim import (
    LIMIT_S,
    Caller,
    Providers,
    answer,
    caller,
    chat_body,
    closed,
    http,
    log_text,
    seats,
    until,
)
from tests.support.scripted import whole

GET = http(line="GET /echo HTTP/1.1")


async def echo(request: web.Request) -> web.Response:
    """The body as it came; a GET is answered with `alive`."""
    if request.method == "GET":
        return web.json_response("alive")
    return web.json_response((await read_json_body(request, timeout_s=0.2)).decode())


@asynccontextmanager
async def guarded(
    handler: Handler = echo,
    *,
    header_timeout_s: float = 0.2,
    send_timeout_s: float = 0.2,
    max_connections: int = 100,
) -> AsyncIterator[str]:
    """The URL of a guarded server whose bounds a test can wait for."""
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[identify(SYSTEM_CLOCK), errors_to_responses])
    app.add_routes([web.route("*", "/echo", handler)])
    runner = BoundedRunner(
        app,
        header_timeout_s=header_timeout_s,
        send_timeout_s=send_timeout_s,
        max_connections=max_connections,
        shutdown_timeout_s=0.1,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def alive(caller: Caller) -> bool:
    reader, writer = caller
    writer.write(GET)
    return await answer(reader) == (200, "alive")


# --- slow callers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said", [b"", b"GET /ec", GET[:-2], GET + GET[:-2]], ids=["nothing", "a word", "all", "second"]
)
async def test_headers_that_never_end_cost_the_connection(said: bytes) -> None:
    loop = asyncio.get_running_loop()
    async with guarded() as url, caller(url) as slow, caller(url) as normal:
        began = loop.time()
        assert await alive(normal)
        slow[1].write(said[: len(GET)])
        if len(said) > len(GET):
            assert (await answer(slow[0]))[0] == 200
            slow[1].write(said[len(GET) :])

        assert await closed(slow[0]) == b""

        assert 0.15 < loop.time() - began < 1.5
        assert await alive(normal), "a connection that waits between two requests is left alone"


async def test_a_header_drip_does_not_buy_time() -> None:
    loop = asyncio.get_running_loop()

    async def drip(writer: asyncio.StreamWriter) -> None:
        for number in range(1000):
            writer.write(b"X-%d: x\r\n" % number)
            await asyncio.sleep(0.05)

    async with guarded() as url, caller(url) as (reader, writer):
        began = loop.time()
        writer.write(GET[:-2])
        dripping = asyncio.create_task(drip(writer))
        await closed(reader)
        dripping.cancel()
        await asyncio.wait([dripping])
    assert loop.time() - began < 1


async def test_a_body_that_never_ends_is_408_in_time() -> None:
    async with guarded() as url, caller(url) as slow, caller(url) as normal:
        assert await alive(normal)
        slow[1].write(http(b'{"a"', line="POST /echo HTTP/1.1", headers={"Content-Length": "100"}))

        status, body = await answer(slow[0])

        assert (status, body["error"]["code"]) == (408, "request_timeout")
        assert await alive(normal)


async def test_a_caller_who_does_not_take_its_answer_loses_the_connection() -> None:
    served: list[web.BaseRequest] = []

    async def flood(request: web.Request) -> web.Response:
        served.append(request)
        return web.Response(body=bytes(32 * 2**20))

    async with guarded(flood) as url, caller(url, receive_buffer=4096) as (_, writer):
        writer.write(GET)
        await until(lambda: bool(served))
        assert served[0].transport is not None
        await until(lambda: served[0].transport is None)


async def test_connections_beyond_the_bound_are_closed_and_make_room_again() -> None:
    async with guarded(max_connections=2, header_timeout_s=5) as url:
        async with caller(url) as one, caller(url) as two:
            assert await alive(one)
            assert await alive(two)
            assert not await welcome(url)
            assert await alive(one)
        async with asyncio.timeout(LIMIT_S):
            while not await welcome(url):
                await asyncio.sleep(0.01)


async def test_two_thousand_idle_callers_and_two_hundred_slow_ones_hold_nobody_up() -> None:
    loop = asyncio.get_running_loop()
    took_s: list[float] = []

    async def slowly(caller: Caller) -> float:
        began = loop.time()
        caller[1].write(GET[:-2])
        ending = asyncio.create_task(closed(caller[0]))
        while not ending.done():
            caller[1].write(b"X: x\r\n")
            await asyncio.wait([ending], timeout=0.2)
        assert await ending == b""
        return loop.time() - began

    async with guarded(header_timeout_s=1.5, max_connections=3_000) as url, AsyncExitStack() as stack:
        idle = []
        for _ in range(20):
            batch = [await stack.enter_async_context(caller(url)) for _ in range(100)]
            assert all(await asyncio.gather(*map(alive, batch)))
            idle += batch
        normal = idle[0]
        slow = [await stack.enter_async_context(caller(url)) for _ in range(200)]
        dripping = [asyncio.create_task(slowly(one)) for one in slow]
        while not all(task.done() for task in dripping):
            began = loop.time()
            assert await alive(normal)
            took_s.append(loop.time() - began)
            await asyncio.sleep(0.01)

        assert sorted(took_s)[int(len(took_s) * 0.95)] < 0.5
        assert all(task.result() < 8 for task in dripping)
        assert all(await asyncio.gather(*map(alive, idle))), "who waits between two requests is left alone"


async def welcome(url: str) -> bool:
    """True if a new connection is served."""
    async with caller(url) as newcomer:
        try:
            return await alive(newcomer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return False


# --- malformed requests, at the daemon itself -------------------------------------------------------------------------

CL = {"Content-Length": "2"}
MALFORMED = {
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.7\r\n\r\n",
    "no version": b"GET /livez\r\n\r\n",
    "an odd version": http(line="GET /livez HTTP/9.9"),
    "an odd method": http(line="G@T /livez HTTP/1.1"),
    "a space in a header's name": http(line="GET /livez HTTP/1.1", headers={"X Y": "z"}),
    "a bare line feed in a value": http(line="GET /livez HTTP/1.1", headers={"X": "a\nb"}),
    "a NUL in a value": http(line="GET /livez HTTP/1.1", headers={"X": "a\0b"}),
    "a length and chunks": http(b"0\r\n\r\n", headers={**CL, "Transfer-Encoding": "chunked"}),
    "two lengths": http(b"{}", headers={**CL, "content-length": "3"}),
    "an odd length": http(headers={"Content-Length": "2x"}),
    "a negative length": http(headers={"Content-Length": "-2"}),
    "odd chunks": http(b"zz\r\n{}\r\n", headers={"Transfer-Encoding": "chunked"}),
    "an unknown transfer encoding": http(b"{}", headers={"Transfer-Encoding": "zip"}),
    "a 9 KiB header": http(line="GET /livez HTTP/1.1", headers={"X": "x" * 9 * 1024}),
    "a 9 KiB path": http(line=f"GET /{'x' * 9 * 1024} HTTP/1.1"),
    "very many headers": http(line="GET /livez HTTP/1.1", headers={f"X-{n}": "x" for n in range(500)}),
    "an empty host": http(line="GET /livez HTTP/1.1", headers={"Host": ""}),
    "a path in the host": http(line="GET /livez HTTP/1.1", headers={"Host": "x/admin?"}),
    "a space in the host": http(line="GET /livez HTTP/1.1", headers={"Host": "a b"}),
    "a user in the host": http(line="GET /livez HTTP/1.1", headers={"Host": "me@quorum"}),
    "a long port": http(line="GET /livez HTTP/1.1", headers={"Host": "x:999999"}),
}


async def test_malformed_requests_get_400_in_our_form_and_no_stack_in_the_log(
    start_daemon: Start, providers: Providers
) -> None:
    quorum = await start_daemon(seats(await providers(1)))
    log = log_text()

    for case, said in MALFORMED.items():
        async with caller(quorum.url) as (reader, writer):
            writer.write(said)
            status, body = await answer(reader)
        assert (status, set(body)) == (400, {"error"}), case
        error = body["error"]
        assert (error["type"], error["code"]) in BAD, case
        assert error["message"], case
        assert "\n" not in error["message"], case

    assert '"code":"bad_http"' in log.getvalue()
    assert '"level":"error"' not in log.getvalue()
    assert "Traceback" not in log.getvalue()


BAD = {("invalid_request_error", "bad_http"), ("invalid_request_error", "invalid_body")}


ODD_BUT_CLEAR: Mapping[str, tuple[bytes, int]] = {
    "a port that cannot be": (http(line="GET /livez HTTP/1.1", headers={"Host": "x:99999"}), 200),
    "an address as host": (http(line="GET /livez HTTP/1.1", headers={"Host": "[::1]:8080"}), 200),
    "the absolute form": (http(line="GET http://elsewhere/livez HTTP/1.1"), 200),
    "dots in the path": (http(line="GET /v1/../metrics HTTP/1.1"), 404),
    "escaped dots": (http(line="GET /v1/%2e%2e/metrics HTTP/1.1"), 404),
    "two slashes": (http(line="GET //livez HTTP/1.1"), 404),
    "an escaped slash": (http(line="GET /%2flivez HTTP/1.1"), 404),
    "a NUL in the path": (http(line="GET /livez%00 HTTP/1.1"), 404),
    "not UTF-8": (http(line="GET /%ff%fe HTTP/1.1"), 404),
    "another method": (http(line="DELETE /livez HTTP/1.1"), 405),
    "a GET of the chat": (http(line="GET /v1/chat/completions HTTP/1.1"), 405),
    "no content type": (http(b"{}", headers={"Content-Type": ""}), 415),
    "a form": (http(b"a=b", headers={"Content-Type": "application/x-www-form-urlencoded"}), 415),
    "half JSON": (http(b'{"model":'), 400),
    "no body": (http(headers={"Content-Length": "0"}), 400),
    "not the gzip it says": (http(b"{}", headers={"Content-Encoding": "gzip"}), 400),
    "a gzip bomb": (http(gzip.compress(bytes(64 * 2**20)), headers={"Content-Encoding": "gzip"}), 413),
    "too long": (http(b"[" + b" " * MAX_BODY_BYTES), 413),
}


async def test_odd_requests_get_the_status_they_deserve_and_never_500(
    start_daemon: Start, providers: Providers
) -> None:
    quorum = await start_daemon(seats(await providers(1)))
    log = log_text()

    for case, (said, expected) in ODD_BUT_CLEAR.items():
        async with caller(quorum.url) as (reader, writer):
            writer.write(said)
            status, body = await answer(reader)
        assert status == expected, (case, body)
        assert status == 200 or body["error"]["message"], case
    rejected = sum(status != 200 for _, status in ODD_BUT_CLEAR.values())
    assert log.getvalue().count('"outcome":"rejected"') == rejected
    assert '"level":"error"' not in log.getvalue()


async def test_pipelined_requests_are_each_answered_once_and_in_order() -> None:
    async with guarded() as url, caller(url) as (reader, writer):
        bodies = [f'{{"number": {number}}}' for number in range(1000)]
        writer.write(b"".join(http(body.encode(), line="POST /echo HTTP/1.1") for body in bodies))
        assert [(await answer(reader))[1] for _ in bodies] == bodies
        assert await alive((reader, writer))


async def test_after_a_malformed_request_nothing_more_is_taken_from_the_connection() -> None:
    async with guarded() as url, caller(url) as (reader, writer):
        smuggled = http(b"{}", line="POST /echo HTTP/1.1", headers={**CL, "Transfer-Encoding": "chunked"})
        assert await alive((reader, writer))
        writer.write(smuggled + GET)
        assert (await answer(reader))[0] == 400
        assert await closed(reader) == b""


def chunked(body: bytes) -> bytes:
    return b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("pack", "header"),
    [(chunked, {"Transfer-Encoding": "chunked"}), (gzip.compress, {"Content-Encoding": "gzip"})],
    ids=["chunks", "gzip"],
)
async def test_a_body_may_come_in_chunks_or_compressed(
    start_daemon: Start, providers: Providers, pack: Callable[[bytes], bytes], header: Mapping[str, str]
) -> None:
    (one,) = await providers(1)
    one.then(whole("hello"))
    quorum = await start_daemon(seats([one]))

    async with caller(quorum.url) as (reader, writer):
        writer.write(http(pack(chat_body()), headers=header))
        status, body = await answer(reader)

    assert (status, body["choices"][0]["message"]["content"]) == (200, "hello")
    assert json.loads(chat_body())["messages"] == one.seen[0]["messages"]
