"""A streamed answer as OpenAI's server-sent events: nothing is sent before there is something to say."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from adapters.types import Delta, ToolCall, ToolCallDelta
from router.core.registry import Seat
from router.core.sink import CallerGone
from router.http.errors import ApiError
from router.http.openai.completion import completion_id, tool_call
from router.http.openai.reasoning_details import sealed

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
        self._beginning = asyncio.Lock()
        self._spoken = False
        self._loop = asyncio.get_running_loop()
        self._slow_at = math.inf  # when the caller will have left a delta in our write buffer for too long
        self._notes: list[Mapping[str, Any]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
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
        chunk = self._chunk([{"index": 0, "delta": wire, "logprobs": None, "finish_reason": None}])
        self._slow_at = self._loop.time() + SLOW_CALLER_S
        try:
            await self._write(_event(chunk))
        finally:
            self._slow_at = math.inf
        return True

    async def finish(
        self, finish_reason: str, usage: Mapping[str, Any] | None, quorum: Mapping[str, Any]
    ) -> web.StreamResponse:
        """The last chunks: finish reason, usage if it was asked for, the `quorum` object in the last one, `[DONE]`."""
        delta = {} if self._spoken else {"role": "assistant", "content": ""}
        last = self._chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}])
        if usage is None:
            chunks = _event({**last, "quorum": quorum})
        else:
            chunks = _event(last) + _event({**self._chunk([]), "usage": usage, "quorum": quorum})
        return await self._end(chunks + b"data: [DONE]\n\n")

    async def fail(self, error: ApiError, request_id: str) -> web.StreamResponse:
        """An error after the first byte: an event, and no `[DONE]`."""
        return await self._end(_event(error.body(request_id)))

    def note(self, event: Mapping[str, Any]) -> None:
        """Shows a stage of the decision as soon as possible, before whatever is delivered next."""
        if len(self._notes) < _MAX_NOTES:
            self._notes.append(event)
            self._beat(b"")

    @contextlib.asynccontextmanager
    async def kept_alive(self) -> AsyncIterator[None]:
        """Sends a comment now and then while the body of the `with` works, so that no proxy takes waiting for death.

        It also hangs up on a caller who does not read. Timers, since a task for each of many thousand streams, or a
        limit for each of their deltas, would be the larger part of what a stream costs.
        """
        self._rearm()
        self._look()
        try:
            yield
        finally:
            for timer in (self._timer, self._watch):
                if timer is not None:
                    timer.cancel()
            if self._beating is not None:
                await asyncio.wait([self._beating])

    def _look(self) -> None:
        left_s = self._slow_at - self._loop.time()
        if left_s <= 0:
            self._abort()
        else:
            self._watch = self._loop.call_later(min(left_s, SLOW_CALLER_S), self._look)

    def _rearm(self) -> None:
        self._timer = self._loop.call_later(KEEPALIVE_S, self._on_timer)

    def _on_timer(self) -> None:
        self._beat(_KEEPALIVE)
        self._rearm()

    def _beat(self, data: bytes) -> None:
        if self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(self._keep_alive(data))

    async def _keep_alive(self, data: bytes) -> None:
        with contextlib.suppress(CallerGone):  # whoever delivers next finds out too
            await self._write_in_time(data)
            while self._notes:
                await self._write_in_time(b"")

    def hang_up(self) -> web.StreamResponse:
        """Ends the connection of a caller who has gone or does not read."""
        self._abort()
        return self._response or web.Response(status=499)

    def _abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {**self._head, "model": self._speaker[1], "choices": choices}

    async def _write(self, data: bytes) -> None:
        """Puts whole events into the write buffer, and waits if that is full; whoever writes meanwhile comes after."""
        try:
            response = await self._begin() if self._response is None else self._response
            await response.write(self._noted_bytes() + data if self._notes else data)
        except ConnectionError:
            raise CallerGone from None

    async def _write_in_time(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(SLOW_CALLER_S):
                await self._write(data)
        except TimeoutError:
            raise CallerGone from None

    async def _begin(self) -> web.StreamResponse:
        async with self._beginning:  # by the first delta or a keep-alive comment, whichever comes first
            if self._response is None:
                response = web.StreamResponse(
                    headers={
                        "Content-Type": "text/event-stream; charset=utf-8",
                        "Cache-Control": "no-cache",
                        "X-Accel-Buffering": "no",
                        **self._headers(*self._speaker),
                    }
                )
                await response.prepare(self._request)
                self._response = response
            return self._response

    def _noted_bytes(self) -> bytes:
        notes, self._notes = self._notes, []
        return b"".join(_event({**self._chunk([]), "quorum": {"event": note}}) for note in notes)

    async def _end(self, data: bytes) -> web.StreamResponse:
        await self._write_in_time(data)
        assert self._response is not None
        return self._response


def _event(document: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(document) + b"\n\n"


def _tool_call(piece: ToolCallDelta) -> dict[str, Any]:
    """A call's first piece names it, the later ones only add to its arguments."""
    if not piece.name:
        return {"index": piece.index, "function": {"arguments": piece.arguments}}
    whole = ToolCall(piece.id, piece.name, piece.arguments, piece.signature)
    return {"index": piece.index, **tool_call(whole)}
