"""A streamed answer as OpenAI's server-sent events: nothing is sent before there is something to say."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from adapters.types import Delta, ToolCall, ToolCallDelta
from router.api.errors import ApiError
from router.api.reasoning_details import sealed
from router.api.reply import completion_id, tool_call
from router.exchange import CallerGone
from router.registry.model import Seat

KEEPALIVE_S = 15.0  # shorter than the idle limits of common proxies
SLOW_CALLER_S = 30.0  # how long a caller may leave our write buffer full
_MAX_NOTES = 200  # of one request, between two writes
_KEEPALIVE = b": keepalive\n\n"


class AnswerStream:
    """One answer on its way out. It begins with the first content; until then the HTTP status is still free to choose.

    `headers` is asked once, at the beginning, for what is known by then of who answers: the seat and its model's name.
    """

    def __init__(
        self,
        request: web.Request,
        request_id: str,
        created: int,
        *,
        headers: Callable[[Seat | None, str | None], Mapping[str, str]],
        include_reasoning: bool,
    ) -> None:
        self._request = request
        self._head = {"id": completion_id(request_id), "object": "chat.completion.chunk", "created": created}
        self._headers = headers
        self._speaker: tuple[Seat | None, str | None] = (None, None)
        self._include_reasoning = include_reasoning
        self._response: web.StreamResponse | None = None
        self._writing = asyncio.Lock()  # the keep-alive comment may come between two deltas, never inside one
        self._spoken = False
        self._notes: list[Mapping[str, Any]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._beating: asyncio.Task[None] | None = None

    @property
    def begun(self) -> bool:
        """True when bytes have gone out, so that an error can only be an event."""
        return self._response is not None

    async def deliver(self, delta: Delta, seat: Seat, response_model: str | None) -> bool:
        """Sends what the caller may see of a delta, True if that is anything; raises `CallerGone` if nobody reads."""
        self._speaker = (seat, response_model or seat.model.id)
        wire: dict[str, Any] = {}
        if delta.text:
            wire["content"] = delta.text
        if delta.refusal:
            wire["refusal"] = delta.refusal
        if delta.reasoning and self._include_reasoning:
            wire["reasoning_content"] = delta.reasoning
        if delta.tool_call:
            wire["tool_calls"] = [_tool_call(delta.tool_call)]
        if delta.reasoning_details:
            wire["reasoning_details"] = sealed(delta.reasoning_details)
        if not wire:
            return False
        if not self._spoken:
            self._spoken = True
            wire = {"role": "assistant", "content": None if delta.tool_call else "", **wire}
        await self._send(self._chunk([{"index": 0, "delta": wire, "logprobs": None, "finish_reason": None}]))
        return True

    async def finish(
        self, finish_reason: str, usage: Mapping[str, Any] | None, quorum: Mapping[str, Any]
    ) -> web.StreamResponse:
        """The last chunks: finish reason, usage if it was asked for, the `quorum` object in the last one, `[DONE]`."""
        delta = {} if self._spoken else {"role": "assistant", "content": ""}
        last = self._chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}])
        if usage is None:
            await self._send({**last, "quorum": quorum})
        else:
            await self._send(last)
            await self._send({**self._chunk([]), "usage": usage, "quorum": quorum})
        return await self._end(b"data: [DONE]\n\n")

    async def fail(self, error: ApiError, request_id: str) -> web.StreamResponse:
        """An error after the first byte: an event, and no `[DONE]`."""
        return await self._end(b"data: " + orjson.dumps(error.body(request_id)) + b"\n\n")

    def note(self, event: Mapping[str, Any]) -> None:
        """Shows a stage of the decision as soon as possible, before whatever is delivered next."""
        if len(self._notes) < _MAX_NOTES:
            self._notes.append(event)
            self._beat(b"")

    @contextlib.asynccontextmanager
    async def kept_alive(self) -> AsyncIterator[None]:
        """Sends a comment now and then while the body of the `with` works, so that no proxy takes waiting for death.

        A timer, since a task for each of many thousand streams would be the larger part of what a stream costs.
        """
        self._rearm()
        try:
            yield
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if self._beating is not None:
                await asyncio.wait([self._beating])

    def _rearm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(KEEPALIVE_S, self._on_timer)

    def _on_timer(self) -> None:
        self._beat(_KEEPALIVE)
        self._rearm()

    def _beat(self, data: bytes) -> None:
        if self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(self._keep_alive(data))

    async def _keep_alive(self, data: bytes) -> None:
        with contextlib.suppress(CallerGone):  # whoever delivers next finds out too
            await self._write(data)
            while self._notes:
                await self._write(b"")

    def hang_up(self) -> web.StreamResponse:
        """Ends the connection of a caller who has gone or does not read."""
        if self._request.transport is not None:
            self._request.transport.abort()
        return self._response or web.Response(status=499)

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {**self._head, "model": self._speaker[1], "choices": choices}

    async def _send(self, document: Mapping[str, Any]) -> None:
        await self._write(b"data: " + orjson.dumps(document) + b"\n\n")

    async def _write(self, data: bytes) -> None:
        try:
            async with self._writing, asyncio.timeout(SLOW_CALLER_S):
                if self._response is None:
                    self._response = web.StreamResponse(
                        headers={
                            "Content-Type": "text/event-stream; charset=utf-8",
                            "Cache-Control": "no-cache",
                            "X-Accel-Buffering": "no",
                            **self._headers(*self._speaker),
                        }
                    )
                    await self._response.prepare(self._request)
                await self._response.write(self._noted_bytes() + data)
        except (ConnectionError, TimeoutError):
            raise CallerGone from None

    def _noted_bytes(self) -> bytes:
        notes, self._notes = self._notes, []
        return b"".join(
            b"data: " + orjson.dumps({**self._chunk([]), "quorum": {"event": note}}) + b"\n\n" for note in notes
        )

    async def _end(self, data: bytes) -> web.StreamResponse:
        await self._write(data)
        assert self._response is not None
        return self._response


def _tool_call(piece: ToolCallDelta) -> dict[str, Any]:
    """A call's first piece names it, the later ones only add to its arguments."""
    if not piece.name:
        return {"index": piece.index, "function": {"arguments": piece.arguments}}
    whole = ToolCall(piece.id, piece.name, piece.arguments, piece.signature)
    return {"index": piece.index, **tool_call(whole)}
