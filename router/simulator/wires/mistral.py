"""Mistral: a closed list of parameters, reasoning as parts of the content, padded chunks, and two shapes of a 422."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from router.simulator.conversation import Ask, Call, Reply, pieces
from router.simulator.weather import Fault
from router.simulator.wire import HEX, Incoming, Invalid, Problem, Row, Stamp
from router.simulator.wires.compatible import CompatibleWire, Fields, minute_headers
from router.simulator.wires.openai_checks import BOUNDS, COMMON, PHRASES, Body, Manners, Phrase, steps
from router.simulator.words import names

TOKENS_PER_MINUTE = 500_000
PADDING = "abcdefghijklmnopqrstuvwxyz0123456789"
TOOL_ID = re.compile(r"[a-zA-Z0-9]{9}")
EFFORTS = ("high", "none")
INVALID = "invalid_request_error"
PARAMS = names(
    "model messages frequency_penalty guardrails max_tokens metadata n parallel_tool_calls prediction presence_penalty "
    "prompt_cache_key prompt_mode random_seed reasoning_effort response_format safe_prompt stop stream temperature "
    "tool_choice tools top_p"
)
MESSAGE: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "system": names("role content"),
        "user": names("role content"),
        "assistant": names("role content tool_calls prefix"),
        "tool": names("role content tool_call_id name"),
    }
)
FAULTS: Mapping[Fault, Row] = MappingProxyType(
    {
        Fault.NO_KEY: Row(401, "Unauthorized"),
        Fault.BAD_KEY: Row(401, "Invalid API Key"),
        Fault.INVALID: Row(422, "{message}", INVALID),
        Fault.TOO_LARGE: Row(413, "Request body too large", INVALID),
        Fault.RATE_LIMITED: Row(429, "Rate limit exceeded", "rate_limited", "1300"),
        Fault.QUOTA_DAY: Row(429, "Monthly token limit exceeded", "rate_limited", "1300"),
        Fault.OVERLOADED: Row(
            429, "Service tier capacity exceeded for this model.", "service_tier_capacity_exceeded", "3505"
        ),
        Fault.BILLING: Row(402, "Payment required", "payment_required", "1400"),
        Fault.MODEL_GONE: Row(400, "Invalid model: {model}", "invalid_model", "1500"),
        Fault.NO_ACCESS: Row(429, "Rate limit exceeded", "rate_limited", "1300"),
        Fault.CONTEXT_LENGTH: Row(
            400,
            "Prompt contains 300000 tokens and 0 draft tokens, too large for model with 262144 maximum context length",
            INVALID,
            "3051",
        ),
        Fault.SERVER_ERROR: Row(500, "Internal server error", "internal_server_error", "1000"),
        Fault.OUTAGE: Row(503, "Service unavailable.", "unreachable_backend", "1100"),
        Fault.TIMEOUT: Row(504, "The upstream request timed out.", "unreachable_backend", "1100"),
    }
)
# The types of its codes for a request that is refused as a whole and not for one field.
TYPES = {"3230": "invalid_request_message_order", "3280": "invalid_function_call"}

TELLING: Mapping[Fault, Mapping[str, str]] = MappingProxyType(
    {
        Fault.RATE_LIMITED: {"x-ratelimit-remaining-req-minute": "0"},
        Fault.QUOTA_DAY: {
            "x-ratelimit-limit-tokens-month": "1000000000",
            "x-ratelimit-remaining-tokens-month": "0",
        },
        Fault.NO_ACCESS: {"x-ratelimit-limit-req-minute": "0", "x-ratelimit-remaining-req-minute": "0"},
    }
)


def _check_forbidden(body: Body, manners: Manners) -> None:
    options = body.get("stream_options")
    for name, value in options.items() if isinstance(options, dict) else ():
        raise manners.complain("unknown", f"stream_options.{name}", value=value)


def _check_message_fields(body: Body, manners: Manners) -> None:
    for at, message in enumerate(body["messages"]):
        role = message["role"]
        if role not in MESSAGE:
            raise manners.complain(
                "role", f"messages[{at}]", value=role, allowed="'system', 'user', 'assistant', 'tool'"
            )
        for name in sorted(message.keys() - MESSAGE[role]):
            raise manners.complain("unknown", f"messages[{at}].{role}.{name}", value=message[name])


def _check_tool_ids(body: Body, manners: Manners) -> None:
    for message in body["messages"]:
        for ident in (*(call.get("id") for call in message.get("tool_calls") or ()), message.get("tool_call_id")):
            if ident is not None and not TOOL_ID.fullmatch(ident):
                raise manners.complain("tool_id", value=ident)


def _check_last_message(body: Body, manners: Manners) -> None:
    last = body["messages"][-1]
    if last["role"] not in ("user", "tool") and not last.get("prefix"):
        raise manners.complain("last", value=last["role"])


def _check_choices(body: Body, manners: Manners) -> None:
    effort = body.get("reasoning_effort")
    if effort is not None and effort not in EFFORTS:
        raise manners.complain("effort", "reasoning_effort", value=effort)


MANNERS = Manners(
    phrases=MappingProxyType(
        {
            **PHRASES,
            "json": Phrase("JSON decode error", "json_invalid", 422),
            "model": Phrase("Field required", "missing", 422),
            "missing": Phrase("Field required", "missing", 422),
            "empty": Phrase("List should have at least 1 item after validation, not 0", "too_short", 422),
            "type": Phrase("Input should be {expected}", "invalid_type", 422),
            "role": Phrase(
                "Input tag '{value}' found using 'role' does not match any of the expected tags: {allowed}",
                "union_tag_invalid",
                422,
            ),
            "high": Phrase("Input should be less than or equal to {bound}", "less_than_equal", 422),
            "low": Phrase("Input should be greater than or equal to {bound}", "greater_than_equal", 422),
            "unknown": Phrase("Extra inputs are not permitted", "extra_forbidden", 422),
            "effort": Phrase("Input should be 'high' or 'none'", "enum", 422),
            "orphan": Phrase("Unexpected tool call id in tool results", "3230"),
            "unanswered": Phrase("Not the same number of function calls and responses", "3230"),
            "last": Phrase(
                "Expected last role User or Tool (or Assistant with prefix True) for serving but got {value}", "3230"
            ),
            "tool_id": Phrase("Tool call id was {value} but must be a-z, A-Z, 0-9, with a length of 9.", "3280"),
        }
    ),
    params=PARAMS,
    bounds=MappingProxyType({**BOUNDS, "temperature": (0, 1.5)}),
    checks=(_check_forbidden, *COMMON, _check_message_fields, _check_tool_ids, _check_last_message, _check_choices),
)


@dataclass(frozen=True, slots=True)
class MistralWire(CompatibleWire):
    """The wire of api.mistral.ai."""

    faults: Mapping[Fault, Row] = field(default_factory=lambda: FAULTS)
    manners: Manners = MANNERS
    owner: str = "mistralai"

    def parse(self, incoming: Incoming) -> Ask:
        ask = CompatibleWire.parse(self, incoming)
        wishes = incoming.peek("reasoning_effort") == "high" or incoming.peek("prompt_mode") == "reasoning"
        return replace(ask, thinks=True) if wishes else ask

    def error(self, row: Row, problem: Problem) -> Any:
        message = row.message.format_map(problem.words())
        if row.status == 401:
            return {"detail": message}
        if problem.invalid and problem.invalid.status == 422:
            return _unprocessable(problem.invalid, bare=problem.stamp.ordinal % 2 == 1)
        code = problem.invalid.code if problem.invalid else row.code
        named = {"type": TYPES.get(code or "", row.kind), "param": None, "code": code}
        status = problem.invalid.status if problem.invalid else row.status
        return {"object": "error", "message": message, **named, "raw_status_code": status}

    def retry_headers(self, problem: Problem) -> dict[str, str]:
        """Headers that show which window is full, or that the model is outside the plan; it never names a wait."""
        return dict(TELLING.get(problem.fault, {}))

    def headers(self, stamp: Stamp) -> dict[str, str]:
        return {
            "mistral-correlation-id": stamp.uuid("request"),
            **minute_headers(stamp, "x-ratelimit-", "req-minute"),
            "x-ratelimit-limit-tokens-minute": str(TOKENS_PER_MINUTE),
            "x-ratelimit-remaining-tokens-minute": str(TOKENS_PER_MINUTE - 1_000),
            "x-ratelimit-tokens-query-cost": "100",
        }

    def answer_id(self, stamp: Stamp) -> str:
        return stamp.ident(32, HEX)

    def call_id(self, call: Call, at: int, stamp: Stamp) -> str:
        return stamp.ident(9, what=("call", at))

    def message(self, ask: Ask, reply: Reply, stamp: Stamp) -> Fields:
        calls = [{**self.call(call, at, stamp), "index": at} for at, call in enumerate(reply.calls)]
        said = [{"type": "text", "text": reply.text}] if reply.text else []
        content = [*_thinking(reply.reasoning, closed=True), *said] if reply.reasoning else reply.text
        return {"role": "assistant", "content": content, "tool_calls": calls or None}

    def usage(self, reply: Reply, stamp: Stamp) -> Fields:
        details = {"prompt_tokens_details": {"cached_tokens": 0}, "service_tier": "standard"}
        return CompatibleWire.usage(self, reply, stamp) | details

    def said(self, reply: Reply, stamp: Stamp) -> Iterator[Fields]:
        thoughts = pieces(reply.reasoning)
        for at, piece in enumerate(thoughts):
            yield {"content": _thinking(piece, closed=at == len(thoughts) - 1)}
        yield from CompatibleWire.said(self, replace(reply, reasoning=""), stamp)

    def deltas(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[tuple[Fields, str | None]]:
        """The finish reason comes with the last text or the tool calls, not after them."""
        plain = list(CompatibleWire.deltas(self, ask, reply, stamp))
        if plain:
            *before, (last, _), (_, finish) = plain
            yield from before
            yield last, finish

    def choice(self, delta: Fields, finish: str | None) -> Fields:
        return {"index": 0, "delta": delta, "finish_reason": finish}

    def beside(self, at: int, finish: str | None, reply: Reply, stamp: Stamp) -> Fields:
        padding = {"p": PADDING[: 1 + int(stamp.ident(1, HEX, ("padding", at)), 16) * 2]} if at else {}
        return padding | CompatibleWire.beside(self, at, finish, reply, stamp)


def _unprocessable(invalid: Invalid, *, bare: bool) -> Fields:
    """A list of what is wrong with the body, bare or wrapped in an error object."""
    where = ["body", *steps(invalid.param or ("model" if invalid.code == "missing" else ""))]
    detail = {"detail": [{"type": invalid.code, "loc": where, "msg": invalid.message, "input": invalid.given}]}
    wrapped = {"object": "error", "message": detail, "type": INVALID, "param": None, "code": None}
    return detail if bare else wrapped | {"raw_status_code": 422}


def _thinking(text: str, *, closed: bool) -> list[Fields]:
    chunk = {"type": "thinking", "thinking": [{"type": "text", "text": text}]}
    return [chunk | ({"closed": True} if closed else {})]
