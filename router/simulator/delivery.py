"""How the bytes of an answer are delivered: at once, late, in half, replaced by others, or not at all."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NoReturn

from aiohttp import web

from router.simulator.weather import Flow, Spell

GARBAGE_PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\n"
    b"<body><center><h1>502 Bad Gateway</h1></center></body></html>\n"
)
RST_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Clock:
    """The simulator's time: a monotonic clock, Unix time, and a sleep, all in seconds; tests hand in their own."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer in `parts`; `length` is its Content-Length, None for a stream.

    `alarm` is the error that takes the place of its second half under `error-in-stream`.
    """

    status: int
    content_type: str
    parts: Sequence[bytes]
    length: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    alarm: bytes = b""

    @classmethod
    def whole(cls, status: int, body: bytes, headers: Mapping[str, str], alarm: bytes = b"") -> Answer:
        """An answer of one JSON document, in two parts so that half of it can be sent."""
        half = len(body) // 2
        return cls(status, "application/json", (body[:half], body[half:]), len(body), headers, alarm)

    @property
    def first_half(self) -> Sequence[bytes]:
        """The parts sent before a fault in the middle."""
        return self.parts[: max(1, len(self.parts) // 2)]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One answer to one caller under one weather; `pace_s` is the pause in seconds between the parts of a stream."""

    request: web.Request
    answer: Answer
    spell: Spell
    clock: Clock
    pace_s: float = 0.0

    async def send(self) -> web.StreamResponse:
        """Sends the answer as the weather says; it ends early only if the caller leaves or the server stops."""
        return await FLOWS[self.spell.kind.flow](self)

    async def opened(self) -> web.StreamResponse:
        """The response, its headers sent."""
        answer = self.answer
        response = web.StreamResponse(
            status=answer.status, headers={**answer.headers, "Content-Type": answer.content_type}
        )
        response.content_length = answer.length
        await response.prepare(self.request)
        return response

    async def write(self, response: web.StreamResponse, parts: Iterable[bytes]) -> None:
        """Sends the parts one by one at the simulator's pace."""
        for part in parts:
            await response.write(part)
            if self.pace_s and self.answer.length is None:
                await self.clock.sleep(self.pace_s)


async def _steady(delivery: Delivery) -> web.StreamResponse:
    response = await delivery.opened()
    await delivery.write(response, delivery.answer.parts)
    await response.write_eof()
    return response


async def _slow(delivery: Delivery) -> web.StreamResponse:
    await delivery.clock.sleep(delivery.spell.delay_s)
    return await _steady(delivery)


async def _slow_first_token(delivery: Delivery) -> web.StreamResponse:
    response = await delivery.opened()
    await delivery.clock.sleep(delivery.spell.delay_s)
    await delivery.write(response, delivery.answer.parts)
    await response.write_eof()
    return response


async def _stall(delivery: Delivery) -> web.StreamResponse:
    response = await delivery.opened()
    await delivery.write(response, delivery.answer.first_half)
    await forever()


async def _cut(delivery: Delivery) -> web.StreamResponse:
    """Ends too early: a stream cleanly, a whole answer by closing the connection short of its Content-Length."""
    response = await delivery.opened()
    await delivery.write(response, delivery.answer.first_half)
    if delivery.answer.length is not None and delivery.request.transport is not None:
        delivery.request.transport.close()
        return response
    await response.write_eof()
    return response


async def _half_json(delivery: Delivery) -> web.StreamResponse:
    """Ends inside the JSON: a whole answer with a Content-Length that fits, a stream in the middle of a line."""
    answer = delivery.answer
    torn = answer.parts[len(answer.first_half) :][:1]
    kept = b"".join([*answer.first_half, *(part[: len(part) // 2 + 1] for part in torn)])
    length = None if answer.length is None else len(kept)
    return await _steady(replace(delivery, answer=replace(answer, parts=(kept,), length=length)))


async def _error_in_stream(delivery: Delivery) -> web.StreamResponse:
    """Sends an error event after half of a stream, or an error body with status 200 for a whole answer."""
    answer = delivery.answer
    whole = answer.length is not None
    parts = (answer.alarm,) if whole else (*answer.first_half, answer.alarm)
    length = len(answer.alarm) if whole else None
    return await _steady(replace(delivery, answer=replace(answer, parts=parts, length=length)))


async def _garbage(delivery: Delivery) -> web.StreamResponse:
    page = Answer(200, "text/html; charset=utf-8", (GARBAGE_PAGE,), len(GARBAGE_PAGE))
    return await _steady(replace(delivery, answer=page))


async def forever() -> NoReturn:
    """Waits until the caller leaves or the server stops."""
    await asyncio.Event().wait()
    raise AssertionError("nobody sets this event")


def reset(request: web.Request) -> web.StreamResponse:
    """Resets the connection (TCP RST, by a linger time of 0) instead of answering."""
    transport = request.transport
    if transport is not None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
        transport.abort()
    return web.Response(status=500)


FLOWS: Mapping[Flow, Callable[[Delivery], Awaitable[web.StreamResponse]]] = MappingProxyType(
    {
        Flow.STEADY: _steady,
        Flow.SLOW: _slow,
        Flow.SLOW_FIRST_TOKEN: _slow_first_token,
        Flow.STALL: _stall,
        Flow.CUT: _cut,
        Flow.HALF_JSON: _half_json,
        Flow.GARBAGE: _garbage,
        Flow.ERROR_IN_STREAM: _error_in_stream,
    }
)
