"""The HTTP server with bounds of its own: slow callers, too many connections, and malformed requests cost little.

It relies on internals of aiohttp 3.14 (`_connections`, `_request_count`, `_waiter`, `_next_keepalive_close_time`,
`_handle`, `_make_request`), which is why `pyproject.toml` pins that version;
`tests/http/server/test_connection.py` holds the behaviour.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

from router.http.errors import ApiError, error_response
from router.http.server.delayed_reject import HOLD_S, Holding
from router.http.server.framing import Framing

HEADER_TIMEOUT_S = 10.0
SEND_TIMEOUT_S = 60.0  # for the caller to take a response that is complete
IDLE_TIMEOUT_S = 75.0  # between two requests on one connection; above the keep-alive of common load balancers
MAX_CONNECTIONS = 8_000  # two sockets a request stay within a usual limit of 20,000 open files
_HOLD_UNTIL_FULL = 0.5  # beyond this those who wait for a refusal might soon take the places of others
_MAX_UNTAKEN_BYTES = 64 * 1024  # of refusals that their caller does not read


class Door(Protocol):
    """Who decides of a request when its head has come, before anything of it is parsed."""

    def watches(self, line: bytes) -> bool:
        """Whether a request that begins with this line has to enter."""

    def enter(self) -> bytes | None:
        """Lets a request in, which has to leave at its end; or gives the whole response that turns it away."""

    def leave(self) -> None:
        """A request that entered has been answered, or its caller has gone."""


class _Handler(RequestHandler):
    """A connection that ends when headers, once begun, do not arrive in time, or a response is not taken in time."""

    __slots__ = (
        "_answered",
        "_door",
        "_framing",
        "_header_timeout_s",
        "_header_timer",
        "_held",
        "_open_to_new",
        "_refused",
        "_send_timeout_s",
        "_server",
        "entered",
    )

    def __init__(self, manager: GuardServer, *, loop: asyncio.AbstractEventLoop, **kwargs: Any) -> None:
        super().__init__(manager, loop=loop, **kwargs)
        self._header_timeout_s = manager.header_timeout_s
        self._send_timeout_s = manager.send_timeout_s
        self._open_to_new = manager.fullness < 1
        self._header_timer: asyncio.TimerHandle | None = None
        self._door = manager.door
        self._framing = Framing()
        self._answered = 0
        self._server = manager
        self._held: bytes | None = None  # a refusal that has not been told yet
        self._refused = False  # the request under way was turned away, and the rest of it is dropped when it comes
        self.entered = False  # the request under way came in by the door

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._open_to_new:
            self._arm()
        else:
            self._abort()

    def data_received(self, data: bytes) -> None:
        if data and self._door and self._framing.plain and not self._close:
            data = self._let_in(self._door, data)
            if not data:
                return
        before = self._request_count
        super().data_received(data)
        if self._request_count > before:
            self._disarm()
        elif self._header_timer is None and self._waiter is not None and not self._waiter.done():
            self._arm()  # no request is being served: this is the beginning of the next one

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Sends what is left of a response; a caller who does not take it in time loses the connection."""
        timer = self._loop.call_later(self._send_timeout_s, self._abort)
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            timer.cancel()
            self._answered += 1
            self._leave()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._disarm()
        self._leave()
        super().connection_lost(exc)

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """What aiohttp could not parse gets our error object and no stack in the log: anyone can send it at will."""
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun, an error cannot follow it")
        if exc is not None and status >= 500:
            structlog.get_logger().error("connection_bug", error=f"{type(exc).__name__}: {exc}")
        reason = (message or "").strip().splitlines()
        said = f": {reason[0][:200]}" if reason else ""
        self.force_close_after_response()
        return error_response(ApiError(status, "bad_http", f"not an HTTP request this server accepts{said}"), "")

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """Logs what nobody foresaw; a body that is not what its headers say has been answered and is no news."""
        if not isinstance(kwargs.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **kwargs)

    def force_close_after_response(self) -> None:
        """No further request is taken from this connection."""
        self.keep_alive(False)
        self._close = True

    def _let_in(self, door: Door, data: bytes) -> bytes:
        """What is left to read of these bytes without a request that is turned away, at a fiftieth of its cost."""
        if self._refused:
            data = self._framing.skip(data)
            self._end_refusal_if_all_came()
        if data:
            self._tell_refusal()  # before anything else is answered
        # A refusal must not overtake an answer: all requests before it have to be answered.
        if not data or not self._framing.begins(data) or self._answered < self._request_count:
            return data
        if not door.watches(data[: data.index(b"\r")]):
            return data
        refusal = door.enter()
        self.entered = refusal is None
        if refusal is None:
            return data
        self._refuse(refusal)
        return b""

    def _refuse(self, refusal: bytes) -> None:
        self._refused = True
        self._end_refusal_if_all_came()
        if self._refused and self._header_timer is None:
            self._arm()
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        self._held = refusal
        if self._server.holding is None or self._server.fullness > _HOLD_UNTIL_FULL:
            self._tell_refusal()
        else:
            self._server.holding.hold(self._tell_refusal)

    def _tell_refusal(self) -> None:
        refusal, self._held = self._held, None
        if refusal is not None and self.transport is not None:
            self.transport.write(refusal)
            if self.transport.get_write_buffer_size() > _MAX_UNTAKEN_BYTES:
                self._abort()

    def _end_refusal_if_all_came(self) -> None:
        if self._framing.ended:
            self._refused = False
            self._disarm()

    def _leave(self) -> None:
        if self._door and self.entered:
            self.entered = False
            self._door.leave()

    def _arm(self) -> None:
        self._header_timer = self._loop.call_later(self._header_timeout_s, self._abort)

    def _disarm(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


def entered(request: web.Request) -> bool:
    """Whether the request came in by the connection's door, so that it need not be asked again."""
    return isinstance(request.protocol, _Handler) and request.protocol.entered


class GuardServer(web.Server):
    """aiohttp's server, with `_Handler` for each connection and a bound on their number."""

    def __init__(
        self,
        *args: Any,
        header_timeout_s: float,
        send_timeout_s: float,
        max_connections: int,
        door: Door | None,
        hold_s: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.door = door
        self.holding = Holding(hold_s) if hold_s else None
        self.header_timeout_s = header_timeout_s
        self.send_timeout_s = send_timeout_s
        self.max_connections = max_connections

    @property
    def fullness(self) -> float:
        """The share of all connections there may be that are open."""
        return len(self._connections) / self.max_connections

    def pre_shutdown(self) -> None:
        """Ends idle connections; nobody leaves without the refusal that was held back."""
        if self.holding is not None:
            self.holding.say_all()
        super().pre_shutdown()

    def __call__(self) -> RequestHandler:
        return _Handler(self, loop=self._loop, **self._kwargs)


class GuardRunner(web.AppRunner):
    """aiohttp's runner on a `GuardServer`. A caller's leaving cancels its handler, so that upstream calls end too."""

    __slots__ = ("_door", "_header_timeout_s", "_hold_s", "_max_connections", "_send_timeout_s")

    def __init__(
        self,
        app: web.Application,
        *,
        header_timeout_s: float = HEADER_TIMEOUT_S,
        send_timeout_s: float = SEND_TIMEOUT_S,
        max_connections: int = MAX_CONNECTIONS,
        door: Door | None = None,
        hold_s: float = HOLD_S,
        shutdown_timeout_s: float = 5.0,
    ) -> None:
        super().__init__(
            app,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=IDLE_TIMEOUT_S,
            shutdown_timeout=shutdown_timeout_s,
        )
        self._header_timeout_s = header_timeout_s
        self._send_timeout_s = send_timeout_s
        self._max_connections = max_connections
        self._door = door
        self._hold_s = hold_s

    async def _make_server(self) -> web.Server:
        app = self._app
        loop = asyncio.get_running_loop()
        app._set_loop(loop)
        app.on_startup.freeze()
        await app.startup()
        app.freeze()
        return GuardServer(
            app._handle,
            request_factory=app._make_request,
            loop=loop,
            header_timeout_s=self._header_timeout_s,
            send_timeout_s=self._send_timeout_s,
            max_connections=self._max_connections,
            door=self._door,
            hold_s=self._hold_s,
            **self._kwargs,
        )
