"""Middlewares, outermost first: request id, error responses, admission control."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import structlog
from aiohttp import HttpVersion10, web
from aiohttp.typedefs import Handler, Middleware

from router.core.clock import Clock
from router.core.ids import new_id
from router.core.tasks import CancelReason, cancel
from router.http.errors import REQUEST_ID, ApiError, error_response
from router.http.server.connection import entered
from router.http.server.early_reject import GATED_PATHS, overloaded
from router.http.server.load_shedding import Gate
from router.observe.metrics import Metrics

# Rejections that get no log line each, since an overload has no time for that: the gate logs when it begins and ends
# shedding, and the daemon when it stops.
_LOGGED_TOGETHER = frozenset({"overloaded", "draining"})
_LAST_WORDS_S = 2.0  # for cancelled requests to send their error response
_SAFE_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")


def identify(clock: Clock) -> Middleware:
    """Assigns each request a new id; a caller's `X-Request-Id` is ignored, since ids must be unique in the vote log."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        request_id = request[REQUEST_ID] = new_id(clock)
        response = await handler(request)
        if not response.prepared:
            response.headers.setdefault("X-Request-Id", request_id)
        return response

    return middleware


@web.middleware
async def errors_to_responses(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns exceptions into error responses, in this one place. An unexpected one is logged and becomes a 500."""
    request_id = request[REQUEST_ID]
    try:
        # A missing or invalid Host gets a 400 (RFC 9112, section 3.2). HTTP/1.0, which old load balancers use for
        # their health checks, has no Host.
        host = request.headers.get("Host", "unnamed" if request.version == HttpVersion10 else "")
        if not _SAFE_HOST.fullmatch(host):
            raise ApiError(400, "bad_http", "the Host header must be a host name with an optional port")
        return await handler(request)
    except ApiError as error:
        failure = error
    except web.HTTPException as error:
        failure = _from_aiohttp(error, request)
    except ConnectionError:
        raise
    except Exception:
        structlog.get_logger().exception("request_bug", request_id=request_id, route=_route(request))
        message = "internal error: a bug in the router stopped this request; it is in the log under the request_id"
        failure = ApiError(500, "internal_error", message)
    if failure.code not in _LOGGED_TOGETHER:
        told = {"status": failure.status, "code": failure.code, "route": _route(request)}
        structlog.get_logger().info("request", request_id=request_id, outcome="rejected", **told)
    return error_response(failure, request_id)


class Admission:
    """Admits POST requests: none while `draining`, else as many at once as the gate has slots for."""

    def __init__(self, metrics: Metrics, gate: Gate | None = None) -> None:
        self._metrics = metrics
        self._gate = gate
        self._working: set[asyncio.Task[Any]] = set()
        self.draining = False

    @property
    def inflight(self) -> int:
        """The number of POST requests in flight."""
        return len(self._working)

    async def drain(self, timeout_s: float) -> None:
        """Graceful shutdown: waits up to `timeout_s` seconds for the requests in flight, then cancels the rest."""
        self.draining = True
        if self._working:
            await asyncio.wait(self._working, timeout=timeout_s)
        if self._working:
            for task in self._working:
                cancel(task, CancelReason.SHUTDOWN)
            await asyncio.wait(self._working, timeout=_LAST_WORDS_S)

    def middleware(self) -> Middleware:
        """The middleware; GET requests always pass, so that health and metrics answer under overload."""

        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.method != "POST":
                return await handler(request)
            task = asyncio.current_task()  # this request's; aiohttp's `request.task` belongs to the connection
            assert task is not None
            self._admit(request, task)
            self._working.add(task)
            task.add_done_callback(self._working.discard)
            return await handler(request)

        return middleware

    def _admit(self, request: web.Request, task: asyncio.Task[Any]) -> None:
        if self.draining:
            self._metrics.shed.inc()
            raise ApiError(503, "draining", "the daemon is shutting down; retry the request", retry_after_s=1)
        gate = self._gate
        if gate is None or request.path not in GATED_PATHS or entered(request):
            return
        if not gate.enter():
            self._metrics.shed.inc()
            raise overloaded(gate.retry_after_s())
        task.add_done_callback(lambda _: gate.leave())


def _from_aiohttp(error: web.HTTPException, request: web.Request) -> ApiError:
    match error:
        case web.HTTPNotFound():
            return ApiError(404, "not_found", f"there is no endpoint at {request.path[:80]!r}")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods - {"HEAD", "OPTIONS"}))
            return ApiError(405, "method_not_allowed", f"{request.path[:80]!r} takes {allowed}, not {error.method}")
        case web.HTTPRequestEntityTooLarge():
            return ApiError(413, "request_too_large", "the body is too large")
        case _:
            return ApiError(error.status, "bad_http", error.reason)


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource else "unknown"
