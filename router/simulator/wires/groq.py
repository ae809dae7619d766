"""Groq: OpenAI's format with reasoning in a field or in the text, timings in the usage, and its own errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from math import ceil
from types import MappingProxyType
from typing import Any

from router.simulator.conversation import Ask, Call, Reply, pieces, thought_aloud
from router.simulator.limits import DAY_S
from router.simulator.weather import Fault
from router.simulator.wire import Incoming, Invalid, Problem, Row, Stamp, go_duration, sse
from router.simulator.wires.openai import FINISH, PARAMS, OpenAIWire
from router.simulator.wires.openai_checks import PHRASES, Manners, Phrase
from router.simulator.words import names

RAW_MODELS = ("*qwen3*", "*deepseek-r1*")  # their reasoning comes inside the text unless the caller asks otherwise
REQUESTS_PER_DAY = 500_000
TOKENS_PER_MINUTE = 250_000
INVALID = "invalid_request_error"
RATE = (
    "Rate limit reached for model `{model}` in organization `org_simulated` service tier `on_demand` on requests per "
    "{window}: Limit {limit}, Used {limit}, Requested 1. Please try again in {wait}."
)
FAULTS: Mapping[Fault, Row] = MappingProxyType(
    {
        Fault.NO_KEY: Row(401, "Invalid API Key", INVALID, "invalid_api_key"),
        Fault.BAD_KEY: Row(401, "Invalid API Key", INVALID, "invalid_api_key"),
        Fault.INVALID: Row(400, "{message}", INVALID),
        Fault.TOO_LARGE: Row(413, "Request Entity Too Large", INVALID, "request_too_large"),
        Fault.RATE_LIMITED: Row(429, RATE.replace("{window}", "minute (RPM)"), "requests", "rate_limit_exceeded"),
        Fault.QUOTA_DAY: Row(
            429,
            RATE.replace("{window}", "day (RPD)").replace("{limit}", "{day_limit}"),
            "requests",
            "rate_limit_exceeded",
        ),
        Fault.BILLING: Row(
            402, "Your organization has an unpaid balance. Please update your billing details.", INVALID
        ),
        Fault.MODEL_GONE: Row(
            400,
            "The model `{model}` has been decommissioned and is no longer supported. Please refer to "
            "https://console.groq.com/docs/deprecations for a recommendation on which model to use instead.",
            INVALID,
            "model_decommissioned",
        ),
        Fault.CONTEXT_LENGTH: Row(
            400,
            "Please reduce the length of the messages or completion.",
            INVALID,
            "context_length_exceeded",
            "messages",
        ),
        Fault.SERVER_ERROR: Row(500, "Internal Server Error", "internal_server_error"),
        Fault.OVERLOADED: Row(498, "Flex tier capacity exceeded", "capacity_exceeded", "capacity_exceeded"),
        Fault.OUTAGE: Row(503, "Service Unavailable", "internal_server_error"),
        Fault.TIMEOUT: Row(504, "Gateway Timeout", "internal_server_error"),
        Fault.NO_ACCESS: Row(
            403,
            "The model `{model}` is blocked at the organization level. Please have the org admin enable this model.",
            "permissions_error",
            "model_permission_blocked_org",
        ),
    }
)
MANNERS = Manners(
    phrases=MappingProxyType(
        {
            **PHRASES,
            "json": Phrase("could not parse request body as JSON"),
            "model": Phrase("'model' : property 'model' is missing"),
            "missing": Phrase("'{param}' : property '{param}' is missing"),
            "empty": Phrase("'{param}' : minimum number of items is 1"),
            "role": Phrase("'{param}' : discriminator property 'role' has invalid value"),
            "high": Phrase("'{param}' : number must be at most {bound}"),
            "low": Phrase("'{param}' : number must be at least {bound}"),
            "unknown": Phrase("property '{param}' is unsupported"),
        }
    ),
    params=PARAMS | names("reasoning_format include_reasoning search_settings documents citation_options"),
)


@dataclass(frozen=True, slots=True)
class GroqWire(OpenAIWire):
    """The wire of api.groq.com."""

    faults: Mapping[Fault, Row] = field(default_factory=lambda: FAULTS)
    manners: Manners = MANNERS
    owner: str = "Groq"

    def parse(self, incoming: Incoming) -> Ask:
        ask = OpenAIWire.parse(self, incoming)
        if "reasoning_raw" in ask.asked and (ask.functions or ask.form != "text"):
            raise Invalid("`reasoning_format` `raw` is not supported with tools or JSON mode", param="reasoning_format")
        return ask

    def stream_type(self, ask: Ask) -> str:
        return "text/event-stream"

    def error(self, row: Row, problem: Problem) -> Any:
        body = OpenAIWire.error(self, row, problem)["error"]
        return {"error": {key: value for key, value in body.items() if value is not None}}

    def retry_headers(self, problem: Problem) -> dict[str, str]:
        limited = problem.fault in (Fault.RATE_LIMITED, Fault.QUOTA_DAY) and problem.retry_after_s is not None
        return {"retry-after": str(ceil(problem.retry_after_s or 0))} if limited else {}

    def stream_error(self, ask: Ask, problem: Problem) -> bytes:
        body = self.error(self.faults[problem.fault], problem)["error"]
        return sse({"error": body | {"status_code": self.faults[problem.fault].status}}, event="error")

    def headers(self, stamp: Stamp) -> dict[str, str]:
        per_day = stamp.standing.quota.per_day
        limit = per_day or REQUESTS_PER_DAY
        return {
            "x-request-id": self._request_id(stamp),
            "x-groq-region": "sim",
            "x-ratelimit-limit-requests": str(limit),
            "x-ratelimit-limit-tokens": str(TOKENS_PER_MINUTE),
            "x-ratelimit-remaining-requests": str(stamp.standing.left_day if per_day else limit - 1),
            "x-ratelimit-remaining-tokens": str(TOKENS_PER_MINUTE - 1_000),
            "x-ratelimit-reset-requests": go_duration(DAY_S / limit),
            "x-ratelimit-reset-tokens": "130ms",
        }

    def whole(self, ask: Ask, reply: Reply, stamp: Stamp) -> Any:
        body = OpenAIWire.whole(self, ask, _shown(ask, reply), stamp)
        return body | {"usage_breakdown": None, "x_groq": {"id": self._request_id(stamp)}}

    def head(self, kind: str, reply: Reply, stamp: Stamp) -> dict[str, Any]:
        head = OpenAIWire.head(self, kind, reply, stamp)
        if kind == "chat.completion.chunk":
            return {key: value for key, value in head.items() if key != "service_tier"}
        return head | {"service_tier": "on_demand"}

    def answer_id(self, stamp: Stamp) -> str:
        return f"chatcmpl-{stamp.uuid()}"

    def message(self, ask: Ask, reply: Reply, stamp: Stamp) -> dict[str, Any]:
        calls = [self.call(call, at, stamp) for at, call in enumerate(reply.calls)]
        said = {"role": "assistant"} | ({"tool_calls": calls} if calls else {"content": reply.text})
        return said | ({"reasoning": reply.reasoning} if reply.reasoning else {})

    def call_id(self, call: Call, at: int, stamp: Stamp) -> str:
        return stamp.ident(9, "abcdefghijklmnopqrstuvwxyz0123456789", ("call", at))

    def usage(self, reply: Reply, stamp: Stamp) -> dict[str, Any]:
        output = reply.output_tokens + reply.reasoning_tokens
        usage: dict[str, Any] = {
            "queue_time": 0.012,
            "prompt_tokens": reply.input_tokens,
            "prompt_time": 0.002,
            "completion_tokens": output,
            "completion_time": round(output / 1000, 6),
            "total_tokens": reply.input_tokens + output,
            "total_time": round(0.002 + output / 1000, 6),
        }
        details = {"completion_tokens_details": {"reasoning_tokens": reply.reasoning_tokens}}
        return usage | (details if reply.reasoning_tokens else {})

    def frames(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
        head = self.head("chat.completion.chunk", reply, stamp)
        for at, (delta, finish) in enumerate(self.deltas(ask, _shown(ask, reply), stamp)):
            chunk = head | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}
            yield sse(chunk | self._extras(at, finish, reply, stamp))
        yield sse("[DONE]")

    def _extras(self, at: int, finish: str | None, reply: Reply, stamp: Stamp) -> dict[str, Any]:
        """Groq's own fields of a chunk: the first has the request id, the last the usage, twice."""
        request = {"id": self._request_id(stamp)}
        if finish:
            usage = self.usage(reply, stamp)
            return {"x_groq": request | {"usage": usage}, "usage": usage}
        return {"x_groq": request | {"seed": stamp.ordinal}} if at == 0 else {}

    def deltas(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[tuple[dict[str, Any], str | None]]:
        if reply.finish == "nothing":
            return
        yield {"role": "assistant", "content": None if reply.calls else ""}, None
        for piece in pieces(reply.reasoning):
            yield {"reasoning": piece, "channel": "analysis"}, None
        for at, call in enumerate(reply.calls):
            yield {"tool_calls": [{**self.call(call, at, stamp), "index": at}]}, None
        for piece in pieces(reply.text):
            yield {"content": piece}, None
        yield {}, FINISH.get(reply.finish, reply.finish)

    def _request_id(self, stamp: Stamp) -> str:
        return f"req_{stamp.ident(26, '0123456789abcdefghjkmnpqrstvwxyz', 'request')}"


def _shown(ask: Ask, reply: Reply) -> Reply:
    """The reply with its reasoning where `reasoning_format` puts it: in a field, inside the text, or nowhere."""
    raw_by_name = any(fnmatch(ask.model.lower(), pattern) for pattern in RAW_MODELS)
    plain = not ask.functions and ask.form == "text"
    raw = "reasoning_raw" in ask.asked or (raw_by_name and plain and "reasoning_default" in ask.asked)
    if raw and reply.reasoning:
        return thought_aloud(reply)
    return replace(reply, reasoning="") if "reasoning_hidden" in ask.asked else reply
