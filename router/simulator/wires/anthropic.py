"""Anthropic's Messages API: content blocks, named events, and a version header that it demands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from types import MappingProxyType
from typing import Any

import orjson

from router.simulator.conversation import Ask, Reply, pieces
from router.simulator.weather import Fault
from router.simulator.wire import Incoming, Invalid, Problem, Refusal, Row, Stamp, sse
from router.simulator.wires.anthropic_request import read
from router.simulator.wires.anthropic_thinking import sign

STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "stop_sequence": "stop_sequence",
    "content_filter": "refusal",
    "nothing": "end_turn",
}
TOKENS_PER_MINUTE = 2_000_000
RETRIED = (Fault.RATE_LIMITED, Fault.SERVER_ERROR, Fault.OVERLOADED, Fault.OUTAGE)
FAULTS: Mapping[Fault, Row] = MappingProxyType(
    {
        Fault.NO_KEY: Row(401, "x-api-key header is required", "authentication_error"),
        Fault.BAD_KEY: Row(401, "invalid x-api-key", "authentication_error"),
        Fault.INVALID: Row(400, "{message}", "invalid_request_error"),
        Fault.TOO_LARGE: Row(413, "Request exceeds the maximum size", "request_too_large"),
        Fault.RATE_LIMITED: Row(
            429,
            "This request would exceed your organization's rate limit of {limit} requests per minute.",
            "rate_limit_error",
        ),
        Fault.QUOTA_DAY: Row(
            429,
            "You have reached your API usage limits: your organization has crossed its monthly API usage threshold, "
            "set based on your organization's API tier. You will regain access on {month} at 00:00 UTC.",
            "rate_limit_error",
            "enforced_spend_limit_reached",
        ),
        Fault.BILLING: Row(
            400,
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or "
            "purchase credits.",
            "invalid_request_error",
        ),
        Fault.MODEL_GONE: Row(404, "model: {model}", "not_found_error"),
        Fault.CONTEXT_LENGTH: Row(400, "prompt is too long: 214000 tokens > 200000 maximum", "invalid_request_error"),
        Fault.SERVER_ERROR: Row(500, "Internal server error", "api_error"),
        Fault.OVERLOADED: Row(529, "Overloaded", "overloaded_error"),
        Fault.OUTAGE: Row(503, "Service unavailable", "api_error"),
        Fault.TIMEOUT: Row(504, "The request timed out while it was processed", "timeout_error"),
        Fault.NO_ACCESS: Row(403, "Your account does not have access to model {model}.", "permission_error"),
    }
)


@dataclass(frozen=True, slots=True)
class AnthropicWire:
    """The wire of api.anthropic.com."""

    def key(self, incoming: Incoming) -> str | None:
        return incoming.headers.get("x-api-key")

    def model(self, incoming: Incoming) -> str:
        model = incoming.peek("model")
        return model if isinstance(model, str) else ""

    def parse(self, incoming: Incoming) -> Ask:
        if not incoming.headers.get("anthropic-version"):
            raise Invalid("anthropic-version: header is required")
        return read(incoming.body)

    def stream_type(self, ask: Ask) -> str:
        return "text/event-stream; charset=utf-8"

    def refuse(self, problem: Problem) -> Refusal | None:
        row = FAULTS.get(problem.fault)
        if row is None:
            return None
        headers = self.headers(problem.stamp) | {"x-should-retry": "true" if problem.fault in RETRIED else "false"}
        if problem.fault is Fault.RATE_LIMITED and problem.retry_after_s is not None:
            headers["retry-after"] = str(ceil(problem.retry_after_s))
        return Refusal(row.status, self._error(row, problem) | {"request_id": _request_id(problem.stamp)}, headers)

    def _error(self, row: Row, problem: Problem) -> dict[str, Any]:
        month = datetime.fromtimestamp(problem.stamp.wall, UTC).replace(day=28) + timedelta(days=7)
        message = row.message.format_map(problem.words() | {"month": f"{month:%Y-%m}-01"})
        details = {"details": {"error_code": row.code}} if row.code else {}
        return {"type": "error", "error": {"type": row.kind, "message": message, **details}}

    def stream_error(self, ask: Ask, problem: Problem) -> bytes:
        return sse(self._error(FAULTS[Fault.OVERLOADED], problem), event="error")

    def headers(self, stamp: Stamp) -> dict[str, str]:
        standing = stamp.standing
        limit = standing.quota.per_minute
        reset = datetime.fromtimestamp(stamp.wall + standing.minute_resets_s, UTC)
        full = datetime.fromtimestamp(stamp.wall, UTC)
        headers = {
            "request-id": _request_id(stamp),
            "anthropic-ratelimit-requests-limit": str(limit or 10_000),
            "anthropic-ratelimit-requests-remaining": str(standing.left_minute if limit else 9_999),
            "anthropic-ratelimit-requests-reset": f"{reset:%Y-%m-%dT%H:%M:%SZ}",
        }
        for kind in ("input-tokens", "output-tokens", "tokens"):
            headers[f"anthropic-ratelimit-{kind}-limit"] = str(TOKENS_PER_MINUTE)
            headers[f"anthropic-ratelimit-{kind}-remaining"] = str(TOKENS_PER_MINUTE)
            headers[f"anthropic-ratelimit-{kind}-reset"] = f"{full:%Y-%m-%dT%H:%M:%SZ}"
        return headers

    def models(self, names: Sequence[str], stamp: Stamp) -> Any:
        made = "2026-01-01T00:00:00Z"
        listed = [{"type": "model", "id": name, "display_name": name, "created_at": made} for name in names]
        first, last = (names[0], names[-1]) if names else (None, None)
        return {"data": listed, "has_more": False, "first_id": first, "last_id": last}

    def whole(self, ask: Ask, reply: Reply, stamp: Stamp) -> Any:
        ends = {"stop_reason": STOP_REASONS[reply.finish], "stop_sequence": reply.stop_sequence, "stop_details": None}
        content = [block for block, _ in _blocks(reply, stamp)]
        return _head(reply, stamp) | {"content": content} | ends | {"usage": _usage(reply)}

    def frames(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
        for at, event in enumerate(self._events(reply, stamp)):
            yield sse(_padded(event, stamp, at), event=event["type"])
            if at == 1:
                yield sse('{"type": "ping"}', event="ping")

    def _events(self, reply: Reply, stamp: Stamp) -> Iterator[dict[str, Any]]:
        begun: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None}
        usage = _usage(reply) | {"output_tokens": 1}
        yield {"type": "message_start", "message": _head(reply, stamp) | begun | {"usage": usage}}
        for index, (block, deltas) in enumerate(_blocks(reply, stamp)):
            blank = {"text": "", "thinking": "", "signature": "", "input": {}}
            opened = {key: blank.get(key, value) for key, value in block.items()}
            yield {"type": "content_block_start", "index": index, "content_block": opened}
            for delta in deltas:
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}
        ends = {"stop_reason": STOP_REASONS[reply.finish], "stop_sequence": reply.stop_sequence, "stop_details": None}
        counted = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
        usage = {key: value for key, value in _usage(reply).items() if key in counted}
        yield {"type": "message_delta", "delta": ends, "usage": usage}
        yield {"type": "message_stop"}


def _request_id(stamp: Stamp) -> str:
    return f"req_01{stamp.ident(22, what='request')}"


def _head(reply: Reply, stamp: Stamp) -> dict[str, Any]:
    return {"model": reply.model, "id": f"msg_01{stamp.ident(22)}", "type": "message", "role": "assistant"}


def _usage(reply: Reply) -> dict[str, Any]:
    return {
        "input_tokens": reply.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": reply.output_tokens + reply.reasoning_tokens,
        "service_tier": "standard",
        "inference_geo": "not_available",
    }


def _blocks(reply: Reply, stamp: Stamp) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The content blocks of a reply, each whole and as the deltas of a stream."""
    if reply.reasoning:
        signature = sign(reply.reasoning)
        thought = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(reply.reasoning)]
        signed = [{"type": "signature_delta", "signature": signature}]
        yield {"type": "thinking", "thinking": reply.reasoning, "signature": signature}, thought + signed
    if reply.text:
        yield (
            {"type": "text", "text": reply.text},
            [{"type": "text_delta", "text": piece} for piece in pieces(reply.text)],
        )
    for at, call in enumerate(reply.calls):
        whole = {"type": "tool_use", "id": f"toolu_01{stamp.ident(22, what=('call', at))}", "name": call.name}
        parts = ["", *pieces(call.json)]
        yield whole | {"input": call.arguments}, [{"type": "input_json_delta", "partial_json": part} for part in parts]


def _padded(event: dict[str, Any], stamp: Stamp, at: int) -> str:
    """The event as JSON with spaces before its last brace: the real API pads its lines so."""
    spaces = " " * (ord(stamp.ident(1, what=("padding", at))) % 16)
    return orjson.dumps(event).decode()[:-1] + spaces + "}"
