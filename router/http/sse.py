"""Server-sent events to one caller (HTML Standard, section 9.2): started late, kept alive, ended for slow readers."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Mapping

from aiohttp import web

from router.core.sink import CallerGone

KEEPALIVE_S = 15.0  # as the standard advises (section 9.2.7): proxies drop silent connections
SLOW_CALLER_S = 30.0  # how long a caller may leave our write buffer full: backpressure must not hold a provider forever
_MAX_NOTES = 200  # pending stage events of one request; more are dropped, since they only explain the answer
_KEEPALIVE = b": keepalive\n\n"


class EventStream:
    """An event stream that starts with its first write, so that an error before it still has its own HTTP status.

    `headers` are the response's further headers; they may be replaced until the stream starts.
    """

    def __init__(self, request: web.Request, headers: Mapping[str, str]) -> None:
        self.headers = headers
        self._request = request
        self._response: web.StreamResponse | None = None
        self._beginning = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._slow_at = math.inf  # monotonic time at which the pending write will have waited too long
        self._notes: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._beating: asyncio.Task[None] | None = None

    @property
    def response(self) -> web.StreamResponse | None:
        """The response, once bytes have been sent: from then on an error can only be sent as an event."""
        return self._response

    async def write(self, data: bytes) -> None:
        """Sends whole events; waits while the write buffer is full (backpressure).

        Raises `CallerGone` if the caller has disconnected. A timer of `kept_alive` bounds the wait: a timeout for each
        delta would be the larger part of a delta's cost.
        """
        self._slow_at = self._loop.time() + SLOW_CALLER_S
        try:
            await self._write(data)
        finally:
            self._slow_at = math.inf

    async def end(self, data: bytes) -> web.StreamResponse:
        """Sends the last events; raises `CallerGone` if the caller has disconnected or does not read."""
        await self._write_in_time(data)
        assert self._response is not None
        return self._response

    def note(self, data: bytes) -> None:
        """Sends an event as soon as possible, ahead of the next write; drops it if 200 are pending already."""
        if len(self._notes) < _MAX_NOTES:
            self._notes.append(data)
            self._beat(b"")

    @contextlib.asynccontextmanager
    async def kept_alive(self) -> AsyncIterator[None]:
        """Sends keep-alive comments inside the block, and aborts the connection of a caller that does not read.

        Both are timers: a task for each of many thousand streams would be the larger part of a stream's cost.
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

    def hang_up(self) -> web.StreamResponse:
        """Aborts the connection of a caller that has disconnected or does not read; 499 is nginx's code for that."""
        self._abort()
        return self._response or web.Response(status=499)

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
        with contextlib.suppress(CallerGone):  # the next write raises it again, where it can be handled
            await self._write_in_time(data)
            while self._notes:
                await self._write_in_time(b"")

    def _abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()

    async def _write(self, data: bytes) -> None:
        """Puts whole events into the write buffer, pending stage events first, and waits while the buffer is full."""
        try:
            response = await self._begin() if self._response is None else self._response
            if self._notes:
                notes, self._notes = self._notes, []
                data = b"".join(notes) + data
            await response.write(data)
        except ConnectionError:
            raise CallerGone from None

    async def _write_in_time(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(SLOW_CALLER_S):
                await self._write(data)
        except TimeoutError:
            raise CallerGone from None

    async def _begin(self) -> web.StreamResponse:
        async with self._beginning:  # a delta and a keep-alive comment may both try to start the stream
            if self._response is None:
                response = web.StreamResponse(
                    headers={
                        "Content-Type": "text/event-stream; charset=utf-8",
                        "Cache-Control": "no-cache",
                        "X-Accel-Buffering": "no",  # nginx would otherwise hold events back to fill its buffer
                        **self.headers,
                    }
                )
                await response.prepare(self._request)
                self._response = response
            return self._response
