"""How a request is turned away at the connection, before anything of it is parsed, while there is too much to do."""

from __future__ import annotations

import itertools

import orjson

from router.core.clock import Clock
from router.core.ids import new_id
from router.http.errors import ApiError
from router.http.server.load_shedding import RETRY_AFTER_S, Gate
from router.observe.metrics import Telemetry

GATED_PATHS = frozenset({"/v1/chat/completions"})  # what asks providers; who looks after the daemon is always let in
_GATED_LINES = frozenset(f"POST {path} HTTP/1.1".encode() for path in GATED_PATHS)


class GateDoor:
    """The `Door` of `router.http.server.connection` before a gate."""

    def __init__(self, gate: Gate, telemetry: Telemetry, clock: Clock) -> None:
        self._gate = gate
        self._telemetry = telemetry
        # No log or table knows a request that was turned away, so its id need only be like no other.
        stem = new_id(clock)[:24]
        self._ids = (f"{stem}{number:012x}".encode() for number in itertools.count())

    def watches(self, line: bytes) -> bool:
        """Whether a request that begins with this line has to enter."""
        return line in _GATED_LINES

    def enter(self) -> bytes | None:
        """Lets a request in, which has to leave at its end; or gives the whole response that turns it away."""
        if self._gate.enter():
            return None
        self._telemetry.shed.inc()
        return _REFUSALS[self._gate.retry_after_s()].replace(_AN_ID, next(self._ids))

    def leave(self) -> None:
        """A request that entered has been answered, or its caller has gone."""
        self._gate.leave()


def overloaded(retry_after_s: int) -> ApiError:
    """What a caller is told who is turned away."""
    message = "this daemon has more to do than it can, ask again in a moment"
    return ApiError(503, "overloaded", message, retry_after_s=retry_after_s)


def _refusal(request_id: str, error: ApiError) -> bytes:
    body = orjson.dumps(error.body(request_id))
    headers = {"Content-Type": "application/json", "Content-Length": len(body), "X-Request-Id": request_id}
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**headers, **error.headers()}.items())
    return f"HTTP/1.1 503 Service Unavailable\r\n{lines}\r\n".encode() + body


_AN_ID = b"00000000-0000-0000-0000-000000000000"
_REFUSALS = {seconds: _refusal(_AN_ID.decode(), overloaded(seconds)) for seconds in RETRY_AFTER_S}
"""Made in advance: where one is needed, very many are."""
