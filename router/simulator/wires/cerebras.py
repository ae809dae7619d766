"""Cerebras: errors at the top of the body, resets in fractional seconds, timings, and streams without `[DONE]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from router.simulator.conversation import Ask, Reply, thought_aloud
from router.simulator.weather import Fault
from router.simulator.wire import HEX, Incoming, Problem, Row, Stamp, sse
from router.simulator.wires.compatible import CompatibleWire, Fields, minute_headers, told_to_wait
from router.simulator.wires.openai_checks import (
    BOUNDS,
    COMMON,
    PHRASES,
    Body,
    Manners,
    Phrase,
    check_strict_schema,
    steps,
)
from router.simulator.words import names

TOKENS_PER_MINUTE = 1_000_000
INVALID, FORMAT = "invalid_request_error", "wrong_api_format"
# Any other parameter is an error, the penalties among them.
PARAMS = names(
    "model messages clear_thinking disable_reasoning logit_bias logprobs max_completion_tokens max_tokens min_tokens n "
    "parallel_tool_calls prediction reasoning_effort reasoning_format response_format seed service_tier stop stream "
    "stream_options temperature tool_choice tools top_logprobs top_p user"
)
MESSAGE = names("role content name tool_calls tool_call_id reasoning")
FAULTS: Mapping[Fault, Row] = MappingProxyType(
    {
        Fault.NO_KEY: Row(401, "Please provide an API key", INVALID, "missing_api_key", "api_key"),
        Fault.BAD_KEY: Row(401, "Wrong API Key", INVALID, "wrong_api_key", "api_key"),
        Fault.INVALID: Row(400, "{message}", INVALID),
        Fault.TOO_LARGE: Row(413, "Request entity too large", INVALID, "request_too_large", ""),
        Fault.RATE_LIMITED: Row(
            429,
            "Requests per minute limit exceeded - too many requests sent.",
            "too_many_requests_error",
            "request_quota_exceeded",
            "quota",
        ),
        Fault.QUOTA_DAY: Row(
            429,
            "Tokens per day limit exceeded - too many tokens processed.",
            "too_many_tokens_error",
            "token_quota_exceeded",
            "quota",
        ),
        Fault.OVERLOADED: Row(
            429,
            "We're experiencing high traffic right now! Please try again soon.",
            "too_many_requests_error",
            "queue_exceeded",
            "queue",
        ),
        Fault.BILLING: Row(402, "Payment required", "payment_required_error", "payment_required", ""),
        Fault.MODEL_GONE: Row(
            404,
            "Model {model} does not exist or you do not have access to it.",
            "not_found_error",
            "model_not_found",
            "model",
        ),
        Fault.NO_ACCESS: Row(403, "Your plan does not include model {model}.", "permission_error", "forbidden", ""),
        Fault.CONTEXT_LENGTH: Row(
            400,
            "Please reduce the length of the messages or completion. Current length is 70000 while limit is 65536",
            INVALID,
            "context_length_exceeded",
            "messages",
        ),
        Fault.SERVER_ERROR: Row(500, "Encountered a server error, please try again.", "server_error", "", ""),
        Fault.OUTAGE: Row(503, "Service temporarily unavailable, please try again.", "server_error", "", ""),
        Fault.TIMEOUT: Row(504, "The request timed out, please try again.", "server_error", "", ""),
    }
)
ALSO: Mapping[Fault, Row] = MappingProxyType({Fault.OVERLOADED: replace(FAULTS[Fault.OVERLOADED], status=503)})


def _check_message_fields(body: Body, manners: Manners) -> None:
    for at, message in enumerate(body["messages"]):
        for name in message.keys() - MESSAGE:
            raise manners.complain("unknown", f"messages[{at}].{message['role']}.{name}")


def dotted(param: str) -> str:
    """`messages[0].role` as `messages.0.role`, and a field of the body as `body.seed`."""
    way = [str(step) for step in steps(param)]
    return ".".join(way if len(way) > 1 else ["body", *way])


MANNERS = Manners(
    phrases=MappingProxyType(
        {
            **PHRASES,
            "json": Phrase("Failed to parse the request body as JSON", FORMAT),
            "model": Phrase("body.model: Field required", FORMAT),
            "missing": Phrase("{param}: Field required", FORMAT),
            "empty": Phrase("{param}: List should have at least 1 item", FORMAT),
            "type": Phrase("{param}: Input should be {expected}", FORMAT),
            "role": Phrase("{param}: Input tag '{value}' does not match any of the expected tags: {allowed}", FORMAT),
            "high": Phrase("{param}: Input should be less than or equal to {bound}", FORMAT),
            "low": Phrase("{param}: Input should be greater than or equal to {bound}", FORMAT),
            "unknown": Phrase("{param}: property '{param}' is unsupported", FORMAT),
            "strict_schema": Phrase(
                "Object fields require at least one of: 'properties' with 'additionalProperties' set to false", FORMAT
            ),
        }
    ),
    params=PARAMS,
    bounds=MappingProxyType({**BOUNDS, "temperature": (0, 1.5), "n": (1, 1)}),
    checks=(*COMMON, _check_message_fields, check_strict_schema),
    spelled=dotted,
)


@dataclass(frozen=True, slots=True)
class CerebrasWire(CompatibleWire):
    """The wire of api.cerebras.ai."""

    faults: Mapping[Fault, Row] = field(default_factory=lambda: FAULTS)
    also: Mapping[Fault, Row] = field(default_factory=lambda: ALSO)
    manners: Manners = MANNERS
    owner: str = "Cerebras"
    thoughts: str = "reasoning"

    def parse(self, incoming: Incoming) -> Ask:
        ask = CompatibleWire.parse(self, incoming)
        return replace(ask, thinks=False) if incoming.peek("disable_reasoning") is True else ask

    def error(self, row: Row, problem: Problem) -> Any:
        code, param = (problem.invalid.code, "validation_error") if problem.invalid else (row.code, row.param)
        return {"message": row.message.format_map(problem.words()), "type": row.kind, "param": param, "code": code}

    def retry_headers(self, problem: Problem) -> dict[str, str]:
        if problem.fault is Fault.OVERLOADED:
            return {"x-should-retry": "false"}
        if problem.fault is Fault.QUOTA_DAY:
            spent_s = problem.stamp.standing.day_resets_s
            return {"x-ratelimit-remaining-tokens-day": "0", "x-ratelimit-reset-tokens-day": f"{spent_s:.6f}"}
        return told_to_wait(problem, Fault.RATE_LIMITED)

    def stream_error(self, ask: Ask, problem: Problem) -> bytes:
        row = self.faults[problem.fault]
        return sse({"error": self.error(row, problem), "status_code": row.status})

    def headers(self, stamp: Stamp) -> dict[str, str]:
        standing = stamp.standing
        per_day = standing.quota.per_day
        return {
            "inference-id": stamp.uuid("request"),
            **minute_headers(stamp, "x-ratelimit-", "requests-minute"),
            "x-ratelimit-reset-requests-minute": f"{standing.minute_resets_s:.6f}",
            "x-ratelimit-limit-requests-day": str(per_day or 500_000),
            "x-ratelimit-remaining-requests-day": str(standing.left_day if per_day else 499_999),
            "x-ratelimit-reset-requests-day": f"{standing.day_resets_s:.6f}",
            "x-ratelimit-limit-tokens-minute": str(TOKENS_PER_MINUTE),
            "x-ratelimit-remaining-tokens-minute": str(TOKENS_PER_MINUTE - 1_000),
            "x-ratelimit-reset-tokens-minute": f"{standing.minute_resets_s:.6f}",
        }

    def answer_id(self, stamp: Stamp) -> str:
        return f"chatcmpl-{stamp.uuid()}"

    def head(self, kind: str, reply: Reply, stamp: Stamp) -> Fields:
        head = CompatibleWire.head(self, kind, reply, stamp)
        return head | {"system_fingerprint": f"fp_{stamp.ident(20, HEX, 'fingerprint')}"}

    def whole(self, ask: Ask, reply: Reply, stamp: Stamp) -> Any:
        return CompatibleWire.whole(self, ask, _shown(ask, reply), stamp) | {"time_info": _times(reply, stamp)}

    def message(self, ask: Ask, reply: Reply, stamp: Stamp) -> Fields:
        said = CompatibleWire.message(self, ask, reply, stamp)
        return said if said["content"] is not None else {key: said[key] for key in said if key != "content"}

    def usage(self, reply: Reply, stamp: Stamp) -> Fields:
        thought = {"reasoning_tokens": reply.reasoning_tokens}
        return CompatibleWire.usage(self, reply, stamp) | {
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": thought | {"accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
        }

    def frames(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
        return CompatibleWire.frames(self, ask, _shown(ask, reply), stamp)

    def opening(self) -> tuple[Fields, ...]:
        return ({"role": "assistant"},)

    def beside(self, at: int, finish: str | None, reply: Reply, stamp: Stamp) -> Fields:
        return {"usage": self.usage(reply, stamp), "time_info": _times(reply, stamp)} if finish else {}

    def ending(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
        yield from ()


def _shown(ask: Ask, reply: Reply) -> Reply:
    """The reply with its reasoning where `reasoning_format` puts it: in a field, inside the text, or nowhere."""
    if "reasoning_raw" in ask.asked and reply.reasoning:
        return thought_aloud(reply)
    return replace(reply, reasoning="") if "reasoning_hidden" in ask.asked else reply


def _times(reply: Reply, stamp: Stamp) -> dict[str, float]:
    spent_s = round((reply.output_tokens + reply.reasoning_tokens) / 2_000, 6)
    times = {"queue_time": 0.0002, "prompt_time": 0.003, "completion_time": spent_s}
    return times | {"total_time": round(sum(times.values()), 6), "created": stamp.wall}
