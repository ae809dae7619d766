"""Middlewares, in the order in which a request passes them: an id, the one place for errors, admission."""

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

# The gate logs these in two lines, and a daemon that stops says so: under overload there is no time for a line each.
_TOLD_TOGETHER = frozenset({"overloaded", "draining"})
_LAST_WORDS_S = 2.0  # for telling the callers of cancelled requests why
_SAFE_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")


def identify(clock: Clock) -> Middleware:
    """Gives each request an id of ours; an id that a caller sends is never used."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        request_id = request[REQUEST_ID] = new_id(clock)
        response = await handler(request)
        if not response.prepared:
            response.headers.setdefault("X-Request-Id", request_id)
        return response

    return middleware


@web.middleware
async def tell_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns exceptions into responses, in this one place. An unforeseen one is a 500 whose id stands in the log."""
    request_id = request[REQUEST_ID]
    try:
        # Old probes of load balancers speak HTTP/1.0, which knows no Host.
        host = request.headers.get("Host", "unnamed" if request.version == HttpVersion10 else "")
        if not _SAFE_HOST.fullmatch(host):
            raise ApiError(400, "bad_http", "the Host header must be a host name, with a port if there is one")
        return await handler(request)
    except ApiError as error:
        failure = error
    except web.HTTPException as error:
        failure = _from_aiohttp(error, request)
    except ConnectionError:
        raise
    except Exception:
        structlog.get_logger().exception("request_bug", request_id=request_id, route=_route(request))
        failure = ApiError(500, "internal_error", "a bug of ours stopped this request, it has been logged")
    if failure.code not in _TOLD_TOGETHER:
        told = {"status": failure.status, "code": failure.code, "route": _route(request)}
        structlog.get_logger().info("request", request_id=request_id, outcome="rejected", **told)
    return error_response(failure, request_id)


class Admission:
    """Admits requests: none while the daemon is `draining`, else as many at once as the gate has places for."""

    def __init__(self, metrics: Metrics, gate: Gate | None = None) -> None:
        self._metrics = metrics
        self._gate = gate
        self._working: set[asyncio.Task[Any]] = set()
        self.draining = False

    @property
    def inflight(self) -> int:
        """How many requests are being answered now."""
        return len(self._working)

    async def drain(self, timeout_s: float) -> None:
        """Lets the requests in flight end, and cancels those that have not by then."""
        self.draining = True
        if self._working:
            await asyncio.wait(self._working, timeout=timeout_s)
        if self._working:
            for task in self._working:
                cancel(task, CancelReason.SHUTDOWN)
            await asyncio.wait(self._working, timeout=_LAST_WORDS_S)

    def middleware(self) -> Middleware:
        """The middleware; GET requests about the daemon itself are always admitted."""

        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.method != "POST":
                return await handler(request)
            task = asyncio.current_task()  # that of this request; aiohttp's `request.task` is the connection's
            assert task is not None
            self._let_in(request, task)
            self._working.add(task)
            task.add_done_callback(self._working.discard)
            return await handler(request)

        return middleware

    def _let_in(self, request: web.Request, task: asyncio.Task[Any]) -> None:
        if self.draining:
            self._metrics.shed.inc()
            raise ApiError(503, "draining", "this daemon is stopping, ask again", retry_after_s=1)
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
            return ApiError(404, "not_found", f"there is nothing at {request.path[:80]!r}")
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
