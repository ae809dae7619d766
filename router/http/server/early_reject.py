"""Rejects requests at the connection, before anything of them is parsed, while the daemon is overloaded."""

from __future__ import annotations

import itertools

import orjson

from router.core.clock import Clock
from router.core.ids import new_id
from router.http.errors import ApiError
from router.http.server.load_shedding import RETRY_AFTER_S, Gate
from router.observe.metrics import Metrics

GATED_PATHS = frozenset({"/v1/chat/completions"})  # what asks providers; operators' requests are never rejected
_GATED_LINES = frozenset(f"POST {path} HTTP/1.1".encode() for path in GATED_PATHS)


class OverloadReject:
    """The `EarlyReject` of a connection: asks the gate for a place, and has the refusals ready as bytes."""

    def __init__(self, gate: Gate, metrics: Metrics, clock: Clock) -> None:
        self._gate = gate
        self._metrics = metrics
        # No log or table has a row for a rejected request, so its id need only be unique.
        stem = new_id(clock)[:24]
        self._ids = (f"{stem}{number:012x}".encode() for number in itertools.count())

    def watches(self, line: bytes) -> bool:
        """Whether a request with this request line takes a place, and so may be rejected."""
        return line in _GATED_LINES

    def enter(self) -> bytes | None:
        """Takes a place for a request, to be given back by `leave`; else the whole response that rejects it."""
        if self._gate.enter():
            return None
        self._metrics.shed.inc()
        return _REFUSALS[self._gate.retry_after_s()].replace(_AN_ID, next(self._ids))

    def leave(self) -> None:
        """Gives a place back: the request has been answered, or its caller has gone."""
        self._gate.leave()


def overloaded(retry_after_s: int) -> ApiError:
    """The error of a request that is rejected since the daemon is overloaded."""
    message = "this daemon is overloaded; retry after the seconds in Retry-After"
    return ApiError(503, "overloaded", message, retry_after_s=retry_after_s)


def _refusal(request_id: str, error: ApiError) -> bytes:
    body = orjson.dumps(error.body(request_id))
    headers = {"Content-Type": "application/json", "Content-Length": len(body), "X-Request-Id": request_id}
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**headers, **error.headers()}.items())
    return f"HTTP/1.1 503 Service Unavailable\r\n{lines}\r\n".encode() + body


_AN_ID = b"00000000-0000-0000-0000-000000000000"
_REFUSALS = {seconds: _refusal(_AN_ID.decode(), overloaded(seconds)) for seconds in RETRY_AFTER_S}
"""Made in advance, by seconds to wait: under overload thousands are needed."""
