"""xAI: errors as two strings, reasoning counted outside the completion, and rate limits that show no reset."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from router.simulator.conversation import Ask, Call, Reply, thinks
from router.simulator.weather import Fault
from router.simulator.wire import HEX, Problem, Row, Stamp, sse
from router.simulator.wires.compatible import CompatibleWire, Fields, minute_headers
from router.simulator.wires.openai_checks import COMMON, PHRASES, Body, Manners, Phrase

INPUT_TICKS, OUTPUT_TICKS = 12_500, 25_000  # the price of one token, in 1e-10 USD
TOKENS_PER_MINUTE = 10_000_000
ARGUMENT = "Client specified an invalid argument"
FORBIDDEN = "The caller does not have permission to execute the specified operation"
EXHAUSTED, UNAVAILABLE = "Some resource has been exhausted", "The service is currently unavailable"
BODY = "Failed to deserialize the JSON body into the target type: "
CREDITS = (
    "Your team simulated has either used all available credits or reached its monthly spending limit. To continue "
    "making API requests, please purchase more credits or raise your spending limit."
)
FAULTS: Mapping[Fault, Row] = MappingProxyType(
    {
        Fault.NO_KEY: Row(401, "No API key provided. Please pass it as a Bearer token.", code="unauthenticated"),
        Fault.BAD_KEY: Row(
            400,
            "Incorrect API key provided: ***. You can obtain an API key from https://console.x.ai.",
            code=ARGUMENT,
        ),
        Fault.INVALID: Row(400, "{message}", code=ARGUMENT),
        Fault.TOO_LARGE: Row(413, "Failed to buffer the request body: length limit exceeded", code=ARGUMENT),
        Fault.RATE_LIMITED: Row(
            429,
            "Too many requests for team simulated and model {model}. Requests per Minute (actual/limit): "
            "{limit}/{limit}.",
            code="resource-exhausted",
        ),
        Fault.QUOTA_DAY: Row(429, CREDITS, code=EXHAUSTED),
        Fault.BILLING: Row(403, CREDITS, code=FORBIDDEN),
        Fault.MODEL_GONE: Row(
            404,
            "The model {model} does not exist or your team simulated does not have access to it. Please ensure you're "
            "using the correct API key.",
            code="Some requested entity was not found",
        ),
        Fault.NO_ACCESS: Row(403, "Your team simulated is not allowed to use the model {model}.", code=FORBIDDEN),
        Fault.CONTENT_FILTER: Row(
            403,
            "Content violates usage guidelines. Team: simulated, Model: {model}, Failed check: SAFETY_CHECK_TYPE_BIO",
            code=FORBIDDEN,
        ),
        Fault.CONTEXT_LENGTH: Row(
            400, "This model's maximum prompt length is 131072 but the request contains 537812 tokens.", code=ARGUMENT
        ),
        Fault.SERVER_ERROR: Row(500, "An internal error occurred. Please try again.", code="internal-error"),
        Fault.OVERLOADED: Row(
            503, "The service is currently unavailable, because the model is at capacity.", code=UNAVAILABLE
        ),
        Fault.OUTAGE: Row(503, "Service temporarily unavailable.", code=UNAVAILABLE),
        Fault.TIMEOUT: Row(504, "The deadline expired before the answer was ready.", code="deadline-exceeded"),
    }
)
ALSO: Mapping[Fault, Row] = MappingProxyType(
    {
        Fault.BAD_KEY: Row(
            400,
            "Incorrect API key provided. You can obtain an API key from https://console.x.ai.",
            code="invalid-argument",
        ),
        Fault.BILLING: Row(429, CREDITS, code=EXHAUSTED),
    }
)
# No model takes penalties; only those that do not reason take a stop.
PENALTIES = ("presence_penalty", "frequency_penalty")


def _check_model_takes(body: Body, manners: Manners) -> None:
    refused = (*PENALTIES, "stop") if thinks(body["model"]) else PENALTIES
    for name in refused:
        if body.get(name) is not None:
            raise manners.complain("unsupported", name, model=body["model"])


def camel(param: str) -> str:
    """`presence_penalty` as `presencePenalty`, the name that its error sentences use."""
    return re.sub(r"_(.)", lambda found: found[1].upper(), param)


MANNERS = Manners(
    phrases=MappingProxyType(
        {
            **PHRASES,
            "json": Phrase("Failed to parse the request body as JSON: expected value at line 1 column 1"),
            "model": Phrase(BODY + "missing field `model`", status=422),
            "missing": Phrase(BODY + "{param}: missing field", status=422),
            "empty": Phrase("At least one message is required."),
            "type": Phrase(BODY + "{param}: invalid type, expected {expected}", status=422),
            "role": Phrase(BODY + "{param}: unknown variant `{value}`", status=422),
            "high": Phrase("Argument out of range: {param} must be at most {bound}, got {value}"),
            "low": Phrase("Argument out of range: {param} must be at least {bound}, got {value}"),
            "unsupported": Phrase("Model {model} does not support parameter {param}."),
        }
    ),
    checks=(*COMMON, _check_model_takes),
    spelled=camel,
)


@dataclass(frozen=True, slots=True)
class XaiWire(CompatibleWire):
    """The wire of api.x.ai."""

    faults: Mapping[Fault, Row] = field(default_factory=lambda: FAULTS)
    also: Mapping[Fault, Row] = field(default_factory=lambda: ALSO)
    manners: Manners = MANNERS
    owner: str = "xai"

    def error(self, row: Row, problem: Problem) -> Any:
        return {"code": row.code, "error": row.message.format_map(problem.words())}

    def headers(self, stamp: Stamp) -> dict[str, str]:
        return {
            "x-request-id": stamp.uuid("request"),
            "x-zero-data-retention": "false",
            "x-data-retention": "general",
            **minute_headers(stamp, "x-ratelimit-", "requests"),
            "x-ratelimit-limit-tokens": str(TOKENS_PER_MINUTE),
            "x-ratelimit-remaining-tokens": str(TOKENS_PER_MINUTE - 1_000),
        }

    def answer_id(self, stamp: Stamp) -> str:
        return stamp.uuid()

    def call_id(self, call: Call, at: int, stamp: Stamp) -> str:
        return f"call_{stamp.ident(8, '0123456789', ('call', at))}"

    def head(self, kind: str, reply: Reply, stamp: Stamp) -> Fields:
        head = CompatibleWire.head(self, kind, reply, stamp)
        return head | {"system_fingerprint": f"fp_{stamp.ident(10, HEX, 'fingerprint')}"}

    def message(self, ask: Ask, reply: Reply, stamp: Stamp) -> Fields:
        said = CompatibleWire.message(self, ask, reply, stamp)
        return said | {"content": said["content"] or "", "refusal": None}

    def usage(self, reply: Reply, stamp: Stamp) -> Fields:
        output = reply.output_tokens + reply.reasoning_tokens
        unspoken = {"audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}
        return {
            "prompt_tokens": reply.input_tokens,
            "completion_tokens": reply.output_tokens,
            "total_tokens": reply.input_tokens + output,
            "prompt_tokens_details": {
                "text_tokens": reply.input_tokens,
                "audio_tokens": 0,
                "image_tokens": 0,
                "cached_tokens": 0,
            },
            "completion_tokens_details": {"reasoning_tokens": reply.reasoning_tokens, **unspoken},
            "num_sources_used": 0,
            "cost_in_usd_ticks": reply.input_tokens * INPUT_TICKS + output * OUTPUT_TICKS,
        }

    def deltas(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[tuple[Fields, str | None]]:
        for at, (delta, finish) in enumerate(CompatibleWire.deltas(self, ask, reply, stamp)):
            yield delta | ({"role": "assistant"} if at == 0 else {}), finish

    def opening(self) -> tuple[Fields, ...]:
        return ()

    def beside(self, at: int, finish: str | None, reply: Reply, stamp: Stamp) -> Fields:
        return {}

    def ending(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
        head = self.head("chat.completion.chunk", reply, stamp)
        yield sse(head | {"choices": [], "usage": self.usage(reply, stamp)})
        yield sse("[DONE]")
