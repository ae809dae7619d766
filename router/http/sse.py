"""Server-sent events towards one caller: begun late, kept alive, and ended where the caller does not read."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Mapping

from aiohttp import web

from router.core.sink import CallerGone

KEEPALIVE_S = 15.0  # shorter than the idle limits of common proxies
SLOW_CALLER_S = 30.0  # how long a caller may leave our write buffer full
_MAX_NOTES = 200  # of one request, between two writes
_KEEPALIVE = b": keepalive\n\n"


class EventStream:
    """A response of events that begins with the first write; until then the HTTP status is still free to choose.

    `headers` are those of the response, beside what makes it an event stream. They may be replaced until it begins.
    """

    def __init__(self, request: web.Request, headers: Mapping[str, str]) -> None:
        self.headers = headers
        self._request = request
        self._response: web.StreamResponse | None = None
        self._beginning = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._slow_at = math.inf  # when the caller will have left a delta in our write buffer for too long
        self._notes: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._beating: asyncio.Task[None] | None = None

    @property
    def response(self) -> web.StreamResponse | None:
        """The response, once bytes have gone out: from then on an error can only be an event."""
        return self._response

    async def write(self, data: bytes) -> None:
        """Sends whole events; waits while the write buffer is full, and raises `CallerGone` if nobody reads.

        How long it waits is bounded by the watch of `kept_alive`, since a limit of its own for each delta would be the
        larger part of what a delta costs.
        """
        self._slow_at = self._loop.time() + SLOW_CALLER_S
        try:
            await self._write(data)
        finally:
            self._slow_at = math.inf

    async def end(self, data: bytes) -> web.StreamResponse:
        """Sends the last events."""
        await self._write_in_time(data)
        assert self._response is not None
        return self._response

    def note(self, data: bytes) -> None:
        """Sends an event as soon as possible, before whatever is written next; beyond 200 that wait it is left out."""
        if len(self._notes) < _MAX_NOTES:
            self._notes.append(data)
            self._beat(b"")

    @contextlib.asynccontextmanager
    async def kept_alive(self) -> AsyncIterator[None]:
        """Sends a comment now and then while the body of the `with` works, so that no proxy takes waiting for death.

        It also hangs up on a caller who does not read. Both are timers, since a task for each of many thousand streams
        would be the larger part of what a stream costs.
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
        """Ends the connection of a caller who has gone or does not read."""
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
        with contextlib.suppress(CallerGone):  # whoever writes next finds out too
            await self._write_in_time(data)
            while self._notes:
                await self._write_in_time(b"")

    def _abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()

    async def _write(self, data: bytes) -> None:
        """Puts whole events into the write buffer, and waits if that is full; what is written meanwhile comes after."""
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
        async with self._beginning:  # by the first delta or a keep-alive comment, whichever comes first
            if self._response is None:
                response = web.StreamResponse(
                    headers={
                        "Content-Type": "text/event-stream; charset=utf-8",
                        "Cache-Control": "no-cache",
                        "X-Accel-Buffering": "no",
                        **self.headers,
                    }
                )
                await response.prepare(self._request)
                self._response = response
            return self._response
