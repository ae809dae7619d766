"""Rejects requests at the connection, before they are parsed, while the daemon is overloaded."""

from __future__ import annotations

import itertools

import orjson

from router.core.clock import Clock
from router.core.ids import new_id
from router.http.errors import ApiError
from router.http.server.load_shedding import RETRY_AFTER_S, Gate
from router.observe.metrics import Metrics

GATED_PATHS = frozenset({"/v1/chat/completions"})  # requests that call providers; operators' are never rejected
_GATED_LINES = frozenset(f"POST {path} HTTP/1.1".encode() for path in GATED_PATHS)


class OverloadReject:
    """The `EarlyReject` that asks the load-shedding gate; its rejections are prebuilt bytes."""

    def __init__(self, gate: Gate, metrics: Metrics, clock: Clock) -> None:
        self._gate = gate
        self._metrics = metrics
        # A rejected request has no row in any log or table, so its id only has to be unique: counting suffices.
        stem = new_id(clock)[:24]
        self._ids = (f"{stem}{number:012x}".encode() for number in itertools.count())

    def watches(self, line: bytes) -> bool:
        """Whether this request line (without CRLF) is subject to admission control."""
        return line in _GATED_LINES

    def enter(self) -> bytes | None:
        """Reserves an in-flight slot, to be freed by `leave`; without a free slot, returns the rejecting response."""
        if self._gate.enter():
            return None
        self._metrics.shed.inc()
        return _REJECTIONS[self._gate.retry_after_s()].replace(_AN_ID, next(self._ids))

    def leave(self) -> None:
        """Frees the slot: the request has been answered, or its caller has disconnected."""
        self._gate.leave()


def overloaded(retry_after_s: int) -> ApiError:
    """The error of a request that is rejected because the daemon is overloaded."""
    message = "the daemon is overloaded; retry after the number of seconds in the Retry-After header"
    return ApiError(503, "overloaded", message, retry_after_s=retry_after_s)


def _rejection(request_id: str, error: ApiError) -> bytes:
    body = orjson.dumps(error.body(request_id))
    headers = {"Content-Type": "application/json", "Content-Length": len(body), "X-Request-Id": request_id}
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**headers, **error.headers()}.items())
    return f"HTTP/1.1 503 Service Unavailable\r\n{lines}\r\n".encode() + body


_AN_ID = b"00000000-0000-0000-0000-000000000000"
_REJECTIONS = {seconds: _rejection(_AN_ID.decode(), overloaded(seconds)) for seconds in RETRY_AFTER_S}
"""Complete responses by `Retry-After` seconds, built in advance since an overload needs thousands of them."""
