"""The HTTP server with bounds of its own: slow callers, too many connections, and malformed requests cost little.

It relies on internals of aiohttp 3.14 (`_request_count`, `_waiter`, `_handle`, `_make_request`), which is why
`pyproject.toml` pins that version; `tests/api/test_guard.py` holds the behaviour.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

from router.api.errors import ApiError, error_response

HEADER_TIMEOUT_S = 10.0
SEND_TIMEOUT_S = 60.0  # for the caller to take a response that is complete
IDLE_TIMEOUT_S = 75.0  # between two requests on one connection; above the keep-alive of common load balancers
MAX_CONNECTIONS = 8_000  # two sockets a request stay within a usual limit of 20,000 open files


class _Handler(RequestHandler):
    """A connection that ends when headers, once begun, do not arrive in time, or a response is not taken in time."""

    __slots__ = ("_header_timeout_s", "_header_timer", "_open_to_new", "_send_timeout_s")

    def __init__(self, manager: GuardServer, *, loop: asyncio.AbstractEventLoop, **kwargs: Any) -> None:
        super().__init__(manager, loop=loop, **kwargs)
        self._header_timeout_s = manager.header_timeout_s
        self._send_timeout_s = manager.send_timeout_s
        self._open_to_new = len(manager.connections) < manager.max_connections
        self._header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._open_to_new:
            self._arm()
        elif isinstance(transport, asyncio.Transport):
            transport.abort()

    def data_received(self, data: bytes) -> None:
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

    def connection_lost(self, exc: BaseException | None) -> None:
        self._disarm()
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

    def _arm(self) -> None:
        self._header_timer = self._loop.call_later(self._header_timeout_s, self._abort)

    def _disarm(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class GuardServer(web.Server):
    """aiohttp's server, with `_Handler` for each connection and a bound on their number."""

    def __init__(
        self, *args: Any, header_timeout_s: float, send_timeout_s: float, max_connections: int, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.header_timeout_s = header_timeout_s
        self.send_timeout_s = send_timeout_s
        self.max_connections = max_connections

    def __call__(self) -> RequestHandler:
        return _Handler(self, loop=self._loop, **self._kwargs)


class GuardRunner(web.AppRunner):
    """aiohttp's runner on a `GuardServer`. A caller's leaving cancels its handler, so that upstream calls end too."""

    __slots__ = ("_header_timeout_s", "_max_connections", "_send_timeout_s")

    def __init__(
        self,
        app: web.Application,
        *,
        header_timeout_s: float = HEADER_TIMEOUT_S,
        send_timeout_s: float = SEND_TIMEOUT_S,
        max_connections: int = MAX_CONNECTIONS,
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
            **self._kwargs,
        )
