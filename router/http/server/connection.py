"""One HTTP/1.1 connection under limits: slow headers (slowloris), slow readers, connections, malformed requests.

aiohttp has none of these limits and no hook for them. So this module relies on internals of aiohttp 3.14
(`_connections`, `_request_count`, `_waiter`, `_next_keepalive_close_time`, `_handle`, `_make_request`);
`pyproject.toml` pins that version, and `tests/http/server/test_connection.py` checks the behaviour.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

from router.http.errors import ApiError, error_response
from router.http.server.delayed_reject import DELAY_S, DelayedRejects
from router.http.server.framing import Framing

HEADER_TIMEOUT_S = 10.0  # from the first byte of the headers to the last; a slowloris client never sends the last
SEND_TIMEOUT_S = 60.0  # for the caller to read a complete response; as long as nginx's default `send_timeout`
IDLE_TIMEOUT_S = 75.0  # keep-alive; above the 60 s of common load balancers, so that no request meets a closing socket
MAX_CONNECTIONS = 8_000  # two sockets a request, its caller's and a provider's, fit a usual limit of 20,000 open files
_DELAY_UNTIL_FULL = 0.5  # above this share, connections kept for a delayed rejection would take the places of others
_MAX_UNREAD_BYTES = 64 * 1024  # of rejections that a caller does not read, before its connection is aborted


class EarlyReject(Protocol):
    """Admission control at the connection: a request is rejected on its head, before parsing it or reading its body."""

    def watches(self, line: bytes) -> bool:
        """Whether this request line (without CRLF) is subject to admission control."""

    def enter(self) -> bytes | None:
        """Reserves an in-flight slot, to be freed by `leave`; without a free slot, returns the rejecting response."""

    def leave(self) -> None:
        """Frees the slot: the request has been answered, or its caller has disconnected."""


class _Handler(RequestHandler):
    """A connection that is aborted when its caller is too slow to send headers or to read a response."""

    __slots__ = (
        "_answered",
        "_delayed",
        "_early_reject",
        "_framing",
        "_header_timeout_s",
        "_header_timer",
        "_open_to_new",
        "_rejected",
        "_send_timeout_s",
        "_server",
        "entered",
    )

    def __init__(self, manager: BoundedServer, *, loop: asyncio.AbstractEventLoop, **kwargs: Any) -> None:
        super().__init__(manager, loop=loop, **kwargs)
        self._header_timeout_s = manager.header_timeout_s
        self._send_timeout_s = manager.send_timeout_s
        self._open_to_new = manager.fullness < 1
        self._header_timer: asyncio.TimerHandle | None = None
        self._early_reject = manager.early_reject
        self._framing = Framing()
        self._answered = 0
        self._server = manager
        self._delayed: bytes | None = None  # a rejection that waits for its delay
        self._rejected = False  # the current request was rejected; its remaining bytes are dropped as they arrive
        self.entered = False  # the current request holds an in-flight slot

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._open_to_new:
            self._arm()
        else:
            self._abort()

    def data_received(self, data: bytes) -> None:
        if data and self._early_reject and self._framing.plain and not self._close:
            data = self._admit(self._early_reject, data)
            if not data:
                return
        before = self._request_count
        super().data_received(data)
        if self._request_count > before:
            self._disarm()
        elif self._header_timer is None and self._waiter is not None and not self._waiter.done():
            self._arm()  # the connection was idle, so these bytes begin the next request

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Sends the rest of a response; aborts the connection if the caller does not read it in time."""
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
        """Answers an unparsable request with our error object; a stack trace each would let any client fill the log."""
        if request.writer.output_size > 0:
            raise ConnectionError("the response has already begun, so no error response can be sent")
        if exc is not None and status >= 500:
            structlog.get_logger().error("connection_bug", error=f"{type(exc).__name__}: {exc}")
        reason = (message or "").strip().splitlines()
        said = f": {reason[0][:200]}" if reason else ""
        self.force_close_after_response()
        return error_response(ApiError(status, "bad_http", f"not an HTTP request this server accepts{said}"), "")

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """Logs unexpected exceptions; a body that contradicts its encoding headers has been answered with a 400."""
        if not isinstance(kwargs.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **kwargs)

    def force_close_after_response(self) -> None:
        """Closes the connection after the current response, whatever pipelined requests follow."""
        self.keep_alive(False)
        self._close = True

    def _admit(self, reject: EarlyReject, data: bytes) -> bytes:
        """Returns the bytes left to parse; dropping those of a rejected request costs a fiftieth of parsing them."""
        if self._rejected:
            data = self._framing.skip(data)
            self._end_rejection_if_all_came()
        if data:
            self._send_rejection()  # further bytes begin another request, whose response must follow this one
        # Responses go out in the order of their requests (RFC 9112, section 9.3.2): while an earlier one is due, a
        # rejection written here would overtake it, so the request is left to the middleware.
        if not data or not self._framing.begins(data) or self._answered < self._request_count:
            return data
        if not reject.watches(data[: data.index(b"\r")]):
            return data
        rejection = reject.enter()
        self.entered = rejection is None
        if rejection is None:
            return data
        self._reject(rejection)
        return b""

    def _reject(self, rejection: bytes) -> None:
        self._rejected = True
        self._end_rejection_if_all_came()
        if self._rejected and self._header_timer is None:
            self._arm()  # bounds the arrival of the rest of the request too
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        self._delayed = rejection
        if self._server.delayed_rejects is None or self._server.fullness > _DELAY_UNTIL_FULL:
            self._send_rejection()
        else:
            self._server.delayed_rejects.add(self._send_rejection)

    def _send_rejection(self) -> None:
        rejection, self._delayed = self._delayed, None
        if rejection is not None and self.transport is not None:
            self.transport.write(rejection)
            if self.transport.get_write_buffer_size() > _MAX_UNREAD_BYTES:
                self._abort()

    def _end_rejection_if_all_came(self) -> None:
        if self._framing.ended:
            self._rejected = False
            self._disarm()

    def _leave(self) -> None:
        if self._early_reject and self.entered:
            self.entered = False
            self._early_reject.leave()

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
    """Whether the connection already holds an in-flight slot for this request, so that no second one is reserved."""
    return isinstance(request.protocol, _Handler) and request.protocol.entered


class BoundedServer(web.Server):
    """aiohttp's server with a `_Handler` for each connection and a limit on open connections."""

    def __init__(
        self,
        *args: Any,
        header_timeout_s: float,
        send_timeout_s: float,
        max_connections: int,
        early_reject: EarlyReject | None,
        reject_delay_s: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.early_reject = early_reject
        self.delayed_rejects = DelayedRejects(reject_delay_s) if reject_delay_s else None
        self.header_timeout_s = header_timeout_s
        self.send_timeout_s = send_timeout_s
        self.max_connections = max_connections

    @property
    def fullness(self) -> float:
        """Open connections as a share of `max_connections`, 0 to 1."""
        return len(self._connections) / self.max_connections

    def pre_shutdown(self) -> None:
        """Sends every delayed rejection, then closes idle connections."""
        if self.delayed_rejects is not None:
            self.delayed_rejects.run_all()
        super().pre_shutdown()

    def __call__(self) -> RequestHandler:
        return _Handler(self, loop=self._loop, **self._kwargs)


class BoundedRunner(web.AppRunner):
    """aiohttp's runner for a `BoundedServer`.

    A disconnect cancels the handler, so that the calls to providers end with it. There is no access log: each request
    has its own structured line.
    """

    __slots__ = ("_early_reject", "_header_timeout_s", "_max_connections", "_reject_delay_s", "_send_timeout_s")

    def __init__(
        self,
        app: web.Application,
        *,
        header_timeout_s: float = HEADER_TIMEOUT_S,
        send_timeout_s: float = SEND_TIMEOUT_S,
        max_connections: int = MAX_CONNECTIONS,
        early_reject: EarlyReject | None = None,
        reject_delay_s: float = DELAY_S,
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
        self._early_reject = early_reject
        self._reject_delay_s = reject_delay_s

    async def _make_server(self) -> web.Server:
        app = self._app
        loop = asyncio.get_running_loop()
        app._set_loop(loop)
        app.on_startup.freeze()
        await app.startup()
        app.freeze()
        return BoundedServer(
            app._handle,
            request_factory=app._make_request,
            loop=loop,
            header_timeout_s=self._header_timeout_s,
            send_timeout_s=self._send_timeout_s,
            max_connections=self._max_connections,
            early_reject=self._early_reject,
            reject_delay_s=self._reject_delay_s,
            **self._kwargs,
        )
