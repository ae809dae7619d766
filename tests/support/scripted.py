"""A scripted provider on a real port: it plays the next step of its script for each request."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

End = Literal["close", "cut", "reset", "stay"]
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Step:
    """One response: the pieces of its body, then a clean end, a cut or reset socket, or silence.

    `every_s` is the pause before each piece, `hold` an event that the first one waits for; `raw` replaces the whole
    response and need not be HTTP.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Iterable[bytes] = ()
    end: End = "close"
    answer_at_all: bool = True
    every_s: float = 0.0
    raw: bytes | None = None
    hold: asyncio.Event | None = None


def whole(text: str, *, model: str = "scripted-1", **fields: Any) -> Step:
    """A plain `chat.completion`."""
    document = {
        "id": "c1",
        "object": "chat.completion",
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        **fields,
    }
    return Step(headers={"Content-Type": "application/json"}, pieces=[json.dumps(document).encode()])


def error(status: int, message: str = "no", *, code: str | None = None, **headers: str) -> Step:
    """An error in OpenAI's form; header names are written with underscores."""
    body = json.dumps({"error": {"message": message, "type": code or "error", "code": code}}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Step(status, {"Content-Type": "application/json", **named}, [body])


def chunk(delta: Mapping[str, Any], finish: str | None = None, **fields: Any) -> bytes:
    """One event of a stream in OpenAI's form."""
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return event({"id": "c1", "model": "scripted-1", "choices": choices, **fields})


def event(document: Mapping[str, Any]) -> bytes:
    """One `data:` event."""
    return b"data: " + json.dumps(document).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
USAGE = event({"id": "c1", "choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}})


def stream(*texts: str, finish: str | None = "stop", tail: Sequence[bytes] = (USAGE, DONE), end: End = "close") -> Step:
    """A stream with one content event per text."""
    said = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": text}) for text in texts)]
    last = [] if finish is None else [chunk({}, finish), *tail]
    return Step(headers={"Content-Type": "text/event-stream"}, pieces=[*said, *last], end=end)


HANG = Step(answer_at_all=False)
"""Reads the request and never answers."""


class Scripted:
    """A provider under a test's control.

    `seen` holds the bodies of requests, `said_bytes` counts the bytes sent in all answers; `gone` is set when a caller
    has disconnected.
    """

    def __init__(self) -> None:
        self.url = ""
        self.steps: list[Step] = []
        self.seen: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.connections: set[Any] = set()
        self.said_bytes = 0
        self.asked = asyncio.Event()
        self.gone = asyncio.Event()

    def then(self, *steps: Step) -> Scripted:
        """Adds steps; the last one repeats."""
        self.steps += steps
        return self

    async def answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self.seen.append(json.loads(raw) if raw else {})
        self.headers.append(request.headers)
        self.connections.add(request.transport)
        self.asked.set()
        step = self.steps[min(len(self.seen), len(self.steps)) - 1]
        try:
            return await self._play(step, request)
        except asyncio.CancelledError:
            self.gone.set()
            raise

    async def _play(self, step: Step, request: web.Request) -> web.StreamResponse:
        if not step.answer_at_all:
            await asyncio.Event().wait()
        transport = request.transport
        assert transport is not None
        response = web.StreamResponse(status=step.status, headers=step.headers)
        if step.raw is None:
            await response.prepare(request)
        else:
            transport.write(step.raw)
        if step.hold is not None:
            await step.hold.wait()
        for piece in step.pieces:
            if step.every_s:
                await asyncio.sleep(step.every_s)
            await response.write(piece)
            self.said_bytes += len(piece)
        if step.end == "stay":
            await asyncio.Event().wait()
        if step.end == "reset":
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        if step.end in ("cut", "reset"):
            transport.abort()
        elif step.raw is not None:
            transport.close()
        return response


@asynccontextmanager
async def scripted() -> AsyncIterator[Scripted]:
    """Starts a scripted provider on a free port."""
    provider = Scripted()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", provider.answer)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    provider.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield provider
    finally:
        await runner.cleanup()
