"""A load generator in its own process, which prints what its callers saw; and a provider that answers at once.

python -m tests.support.crowd URL SECONDS              closed loop: each caller asks again when answered
python -m tests.support.crowd URL SECONDS RATE         open loop: RATE requests a second, answered or not
python -m tests.support.crowd provider                 the provider, until its standard input ends; prints its URL
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, cast

import uvloop

from tests.support.rim import chat_body, http
from tests.support.scripted import whole

CLOSED_CALLERS = 64
OPEN_CONNECTIONS = 2_000
GOOD_S = 1.0  # the provider answers at once, so a slower answer than this is useless to its caller
_TICK_S = 0.004
ASK = http(chat_body(model="auto"))


class Provider(asyncio.Protocol):
    """Answers every request with the same words, as cheaply as Python can."""

    body = b"".join(whole("hello").pieces)
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports are not subclasses
        self._read = b""

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, rest = self._read.partition(b"\r\n\r\n")
        if end and len(rest) >= _length(head):
            self._read = b""
            self._transport.write(self.answer)


class Crowd:
    """The outcomes of all callers since the last report, and the callers that are free to ask."""

    def __init__(self) -> None:
        self.free: list[Caller] = []
        self.again = False
        self.forget()

    def forget(self) -> None:
        self.took_s: dict[int, list[float]] = {}
        self.untold = 0  # rejections without Retry-After
        self.broken = 0  # requests that got no answer
        self.unasked = 0  # requests for which no caller was free

    def seen(self, status: int, took_s: float, told_when: bool) -> None:
        self.took_s.setdefault(status, []).append(took_s)
        self.untold += status == 503 and not told_when

    def told(self, seconds: float) -> dict[str, Any]:
        good = sum(took_s < GOOD_S for took_s in self.took_s.get(200, ()))
        return {
            "good": good / seconds,
            "rate": {status: len(all_s) / seconds for status, all_s in self.took_s.items()},
            "median_s": {status: percentile(all_s, 0.5) for status, all_s in self.took_s.items()},
            "p95_s": {status: percentile(all_s, 0.95) for status, all_s in self.took_s.items()},
            "untold": self.untold,
            "broken": self.broken,
            "unasked": self.unasked,
        }


class Caller(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._asked = 0.0
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports are not subclasses
        self._crowd.free.append(self)

    def ask(self) -> None:
        self._asked = time.perf_counter()
        self._transport.write(ASK)

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, rest = self._read.partition(b"\r\n\r\n")
        if not end or len(rest) < _length(head):
            return
        self._read = b""
        self._crowd.seen(int(head[9:12]), time.perf_counter() - self._asked, b"\r\nRetry-After: " in head)
        self._asked = 0.0
        if self._crowd.again:
            self.ask()
        else:
            self._crowd.free.append(self)

    def connection_lost(self, _: Exception | None) -> None:
        self._crowd.broken += bool(self._asked)


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])


async def crowd(url: str, seconds: float, rate: float | None) -> None:
    """Prints one line of JSON per second: the outcomes of that second."""
    crowd, loop = Crowd(), asyncio.get_running_loop()
    host, port = url.removeprefix("http://").split(":")
    for _ in range(OPEN_CONNECTIONS if rate else CLOSED_CALLERS):
        await loop.create_connection(lambda: Caller(crowd), host, int(port))
    crowd.again = rate is None
    for caller in crowd.free if crowd.again else ():
        caller.ask()
    began = told = loop.time()
    asked = 0
    while (now := loop.time()) < began + seconds:
        for _ in range(int((now - began) * (rate or 0)) - asked):
            asked += 1
            if crowd.free:
                crowd.free.pop().ask()
            else:
                crowd.unasked += 1
        if now - told >= 1:
            print(json.dumps(crowd.told(now - told)), flush=True)
            crowd.forget()
            told = now
        await asyncio.sleep(_TICK_S)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def provider() -> None:
    """Serves until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Provider, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["provider"]:
            uvloop.run(provider())
        case [url, seconds, *rate]:
            uvloop.run(crowd(url, float(seconds), float(rate[0]) if rate else None))
