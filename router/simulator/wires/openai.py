"""OpenAI's chat completions API, and the base of every provider that speaks a dialect of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from types import MappingProxyType
from typing import Any

from router.simulator.conversation import Ask, Call, Reply, pieces
from router.simulator.weather import Fault
from router.simulator.wire import HEX, Incoming, Problem, Refusal, Row, Stamp, bearer, go_duration, sse
from router.simulator.wires.openai_checks import Manners
from router.simulator.wires.openai_request import read
from router.simulator.words import names

FINISH = {"stop_sequence": "stop"}
TOKENS_PER_MINUTE = 2_000_000

PARAMS = names(
    "model messages audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens "
    "max_tokens metadata modalities n parallel_tool_calls prediction presence_penalty prompt_cache_key "
    "prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier stop store stream "
    "stream_options temperature "
    "tool_choice tools top_logprobs top_p user verbosity web_search_options moderation"
)
INVALID = "invalid_request_error"
RATE = "Rate limit reached for {model} in organization org-simulated on requests per "
FAULTS: Mapping[Fault, Row] = MappingProxyType(
    {
        Fault.NO_KEY: Row(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer "
            "auth (i.e. Authorization: Bearer YOUR_KEY).",
            INVALID,
        ),
        Fault.BAD_KEY: Row(
            401,
            "Incorrect API key provided: ***. You can find your API key at "
            "https://platform.openai.com/account/api-keys.",
            INVALID,
            "invalid_api_key",
        ),
        Fault.INVALID: Row(400, "{message}", INVALID),
        Fault.TOO_LARGE: Row(413, "The request is too large.", INVALID, "request_too_large"),
        Fault.RATE_LIMITED: Row(
            429,
            RATE + "min (RPM): Limit {limit}, Used {limit}, Requested 1. Please try again in {wait}. "
            "Visit https://platform.openai.com/account/rate-limits to learn more.",
            "requests",
            "rate_limit_exceeded",
        ),
        Fault.QUOTA_DAY: Row(
            429,
            RATE + "day (RPD): Limit {day_limit}, Used {day_limit}, Requested 1. Please try again in {wait}.",
            "requests",
            "rate_limit_exceeded",
        ),
        Fault.BILLING: Row(
            429,
            "You exceeded your current quota, please check your plan and billing details. For more information on "
            "this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
            "insufficient_quota",
            "insufficient_quota",
        ),
        Fault.MODEL_GONE: Row(
            404,
            "The model `{model}` has been deprecated, learn more here: https://platform.openai.com/docs/deprecations",
            INVALID,
            "model_not_found",
        ),
        Fault.CONTEXT_LENGTH: Row(
            400,
            "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens. "
            "Please reduce the length of the messages.",
            INVALID,
            "context_length_exceeded",
            "messages",
        ),
        Fault.SERVER_ERROR: Row(
            500, "The server had an error while processing your request. Sorry about that!", "server_error"
        ),
        Fault.OVERLOADED: Row(
            503,
            "The server is currently overloaded with other requests. Sorry about that! You can retry your request.",
            "service_unavailable_error",
            "server_is_overloaded",
        ),
        Fault.OUTAGE: Row(503, "Service temporarily unavailable.", "service_unavailable_error"),
        Fault.TIMEOUT: Row(504, "Gateway timeout.", "server_error"),
        Fault.NO_ACCESS: Row(
            403, "Project `proj_simulated` does not have access to model `{model}`", INVALID, "model_not_found"
        ),
    }
)
MANNERS = Manners(
    params=PARAMS,
    plain_models=("gpt-3*", "gpt-4*", "chatgpt-*", "ft:gpt-[34]*"),
    json_word=True,
)


@dataclass(frozen=True, slots=True)
class OpenAIWire:
    """The wire of api.openai.com."""

    faults: Mapping[Fault, Row] = field(default_factory=lambda: FAULTS)
    manners: Manners = MANNERS
    owner: str = "openai"

    def key(self, incoming: Incoming) -> str | None:
        return bearer(incoming)

    def model(self, incoming: Incoming) -> str:
        model = incoming.peek("model")
        return model if isinstance(model, str) else ""

    def parse(self, incoming: Incoming) -> Ask:
        return read(incoming.body, self.manners)

    def stream_type(self, ask: Ask) -> str:
        return "text/event-stream; charset=utf-8"

    def refuse(self, problem: Problem) -> Refusal | None:
        row = self.row(problem)
        if row is None:
            return None
        invalid = problem.invalid
        status = invalid.status if invalid else row.status
        return Refusal(status, self.error(row, problem), self.headers(problem.stamp) | self.retry_headers(problem))

    def row(self, problem: Problem) -> Row | None:
        """The row of the error table for this fault; None if it is reported inside a 200."""
        return self.faults.get(problem.fault)

    def error(self, row: Row, problem: Problem) -> Any:
        """The body of a refusal."""
        code, param = (problem.invalid.code, problem.invalid.param) if problem.invalid else (row.code, row.param)
        message = row.message.format_map(problem.words())
        return {"error": {"message": message, "type": row.kind, "param": param, "code": code}}

    def retry_headers(self, problem: Problem) -> dict[str, str]:
        """Headers that name the wait."""
        if problem.fault is not Fault.RATE_LIMITED or problem.retry_after_s is None:
            return {}
        return {
            "retry-after": str(ceil(problem.retry_after_s)),
            "retry-after-ms": str(ceil(problem.retry_after_s * 1000)),
        }

    def stream_error(self, ask: Ask, problem: Problem) -> bytes:
        return sse(self.error(self.faults[problem.fault], problem))

    def headers(self, stamp: Stamp) -> dict[str, str]:
        standing = stamp.standing
        return {
            "x-request-id": f"req_{stamp.ident(32, HEX, 'request')}",
            "openai-version": "2020-10-01",
            "openai-processing-ms": "12",
            "x-ratelimit-limit-requests": str(standing.quota.per_minute or 10_000),
            "x-ratelimit-limit-tokens": str(TOKENS_PER_MINUTE),
            "x-ratelimit-remaining-requests": str(standing.left_minute if standing.quota.per_minute else 9_999),
            "x-ratelimit-remaining-tokens": str(TOKENS_PER_MINUTE - 1_000),
            "x-ratelimit-reset-requests": go_duration(standing.minute_resets_s),
            "x-ratelimit-reset-tokens": "30ms",
        }

    def models(self, names: Sequence[str], stamp: Stamp) -> Any:
        listed = [{"id": name, "object": "model", "created": int(stamp.wall), "owned_by": self.owner} for name in names]
        return {"object": "list", "data": listed}

    # --- an answer in one piece

    def whole(self, ask: Ask, reply: Reply, stamp: Stamp) -> Any:
        choice = {
            "index": 0,
            "message": self.message(ask, reply, stamp),
            "logprobs": None,
            "finish_reason": FINISH.get(reply.finish, reply.finish),
        }
        return self.head("chat.completion", reply, stamp) | {
            "choices": [] if reply.finish == "nothing" else [choice],
            "usage": self.usage(reply, stamp),
        }

    def head(self, kind: str, reply: Reply, stamp: Stamp) -> dict[str, Any]:
        """The fields that the body and every chunk of one answer begin with."""
        return {
            "id": self.answer_id(stamp),
            "object": kind,
            "created": int(stamp.wall),
            "model": reply.model,
            "service_tier": "default",
            "system_fingerprint": f"fp_{stamp.ident(10, HEX, 'fingerprint')}",
        }

    def answer_id(self, stamp: Stamp) -> str:
        """The id of the answer."""
        return f"chatcmpl-{stamp.ident(29)}"

    def message(self, ask: Ask, reply: Reply, stamp: Stamp) -> dict[str, Any]:
        """The assistant's message."""
        calls = [self.call(call, at, stamp) for at, call in enumerate(reply.calls)]
        content = None if calls else reply.text
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None, "annotations": []}
        return message | ({"tool_calls": calls} if calls else {})

    def call(self, call: Call, at: int, stamp: Stamp) -> dict[str, Any]:
        """One tool call, whole."""
        return {
            "id": self.call_id(call, at, stamp),
            "type": "function",
            "function": {"name": call.name, "arguments": call.json},
        }

    def call_id(self, call: Call, at: int, stamp: Stamp) -> str:
        """The id of the answer's n-th tool call."""
        return f"call_{stamp.ident(24, what=('call', at))}"

    def usage(self, reply: Reply, stamp: Stamp) -> dict[str, Any]:
        """The tokens of an answer."""
        output = reply.output_tokens + reply.reasoning_tokens
        return {
            "prompt_tokens": reply.input_tokens,
            "completion_tokens": output,
            "total_tokens": reply.input_tokens + output,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": reply.reasoning_tokens,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    # --- an answer in pieces

    def frames(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
        wants_usage = "include_usage" in ask.asked
        head = self.head("chat.completion.chunk", reply, stamp)
        for at, (delta, finish) in enumerate(self.deltas(ask, reply, stamp)):
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            tail = ({"usage": None} if wants_usage else {}) | {"obfuscation": _padding(stamp, at)}
            yield sse(head | {"choices": [choice]} | tail)
        if wants_usage:
            yield sse(head | {"choices": [], "usage": self.usage(reply, stamp), "obfuscation": _padding(stamp, -1)})
        yield sse("[DONE]")

    def deltas(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[tuple[dict[str, Any], str | None]]:
        """The deltas of the message, each with the finish reason that comes with it."""
        if reply.finish == "nothing":
            return
        first = {"role": "assistant", "content": None if reply.calls else "", "refusal": None}
        if not reply.calls:
            yield first, None
        for at, call in enumerate(reply.calls):
            whole = self.call(call, at, stamp)
            opened = {"index": at, **whole, "function": {"name": call.name, "arguments": ""}}
            yield (first if at == 0 else {}) | {"tool_calls": [opened]}, None
            for piece in pieces(call.json):
                yield {"tool_calls": [{"index": at, "function": {"arguments": piece}}]}, None
        for piece in pieces(reply.text):
            yield {"content": piece}, None
        yield {}, FINISH.get(reply.finish, reply.finish)


def _padding(stamp: Stamp, at: int) -> str:
    text = stamp.ident(17, what=("padding", at))
    return text[: 1 + ord(text[-1]) % 16]
