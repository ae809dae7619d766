"""OpenRouter: keep-alives before the answer, reasoning twice, prices, and 429s that only their metadata tells apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import orjson

from router.simulator.conversation import Ask, Call, Reply
from router.simulator.weather import Fault
from router.simulator.wire import Incoming, Problem, Row, Stamp, sse
from router.simulator.wires import openrouter_reasoning as thinking
from router.simulator.wires.compatible import CompatibleWire, Fields, told_to_wait
from router.simulator.wires.openai import FINISH
from router.simulator.wires.openai_checks import COMMON, PHRASES, Manners, Phrase

PROVIDER = "SimulatedHost"
ALIVE = b": OPENROUTER PROCESSING\n\n"
BLANK = b"\n         \n"
PRICES = (1e-7, 4e-7)  # USD per token in and out; models that end in :free cost nothing
# Finish reasons in the words of the model's maker.
NATIVE: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "anthropic": {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"},
        "google": {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP"},
    }
)
FREE = "Rate limit exceeded: free-models-per-"
CONTEXT = (
    "This endpoint's maximum context length is 200000 tokens. However, you requested about 2500021 tokens (2500021 of "
    "text input). Please reduce the length of either one, or use the context-compression plugin to compress your "
    "prompt automatically."
)
# `kind` names a row of METADATA.
FAULTS: Mapping[Fault, Row] = MappingProxyType(
    {
        Fault.NO_KEY: Row(401, "Missing Authentication header"),
        Fault.BAD_KEY: Row(401, "Missing Authentication header"),
        Fault.INVALID: Row(400, "{message}"),
        Fault.TOO_LARGE: Row(413, "Request Entity Too Large"),
        Fault.RATE_LIMITED: Row(429, FREE + "min. ", "minute"),
        Fault.QUOTA_DAY: Row(429, FREE + "day. Add 10 credits to unlock 1000 free model requests per day", "day"),
        Fault.OVERLOADED: Row(429, "Provider returned error", "upstream"),
        Fault.BILLING: Row(
            402,
            "This request requires more credits, or fewer max_tokens. You requested up to 16384 tokens, but can only "
            "afford 2674. To increase, visit https://openrouter.ai/settings/credits and add more credits",
            "nobody",
        ),
        Fault.MODEL_GONE: Row(404, "No endpoints found for {model}."),
        Fault.NO_ACCESS: Row(
            404,
            "No endpoints found matching your data policy (Free model publication). Configure: "
            "https://openrouter.ai/settings/privacy",
        ),
        Fault.CONTENT_FILTER: Row(403, "The request was flagged by moderation", "moderation"),
        Fault.CONTEXT_LENGTH: Row(400, CONTEXT, "nobody"),
        Fault.SERVER_ERROR: Row(502, "Internal Server Error", "failed"),
        Fault.OUTAGE: Row(503, "There is no available model provider that meets your routing requirements"),
        Fault.TIMEOUT: Row(408, "The request timed out"),
    }
)
ALSO: Mapping[Fault, Row] = MappingProxyType(
    {
        Fault.BAD_KEY: Row(401, "User not found."),
        Fault.SERVER_ERROR: Row(502, "Provider returned error", "failed"),
        Fault.BILLING: Row(
            402, "Insufficient credits. Add more using https://openrouter.ai/settings/credits", "nobody"
        ),
    }
)
METADATA: Mapping[str, Fields] = MappingProxyType(
    {
        "nobody": {"provider_name": None},
        "minute": {"provider_name": None},
        "day": {"provider_name": None, "limit_source": "openrouter_free_tier_daily"},
        "moderation": {"reasons": ["violence"], "flagged_input": "…", "provider_name": PROVIDER},
        "failed": {"provider_name": PROVIDER, "raw": "error"},
        "upstream": {"provider_name": PROVIDER},
    }
)
UPSTREAM = (
    "{model} is temporarily rate-limited upstream. Please retry shortly, or add your own key to accumulate your rate "
    "limits: https://openrouter.ai/settings/integrations"
)
# It ignores parameters that it does not know or that the model does not take.
MANNERS = Manners(
    phrases=MappingProxyType(
        {
            **PHRASES,
            "json": Phrase("Invalid JSON in the request body"),
            "model": Phrase("No models provided"),
            "missing": Phrase('Input required: specify "prompt" or "messages"'),
            "empty": Phrase('Input required: specify "prompt" or "messages"'),
            "type": Phrase("{param}: Invalid input: expected {expected}"),
            "role": Phrase("{param}: Invalid input"),
            "high": Phrase("{param}: Number must be less than or equal to {bound}"),
            "low": Phrase("{param}: Number must be greater than or equal to {bound}"),
        }
    ),
    checks=COMMON,
)


@dataclass(frozen=True, slots=True)
class OpenRouterWire(CompatibleWire):
    """The wire of openrouter.ai."""

    faults: Mapping[Fault, Row] = field(default_factory=lambda: FAULTS)
    also: Mapping[Fault, Row] = field(default_factory=lambda: ALSO)
    manners: Manners = MANNERS
    owner: str = "openrouter"

    def parse(self, incoming: Incoming) -> Ask:
        ask = CompatibleWire.parse(self, incoming)
        wish = incoming.peek("reasoning")
        thinking.check_details(incoming.peek("messages"), wish, ask.model)
        if (thinks := thinking.wanted(wish)) is None:
            return ask
        asked = ask.asked | ({"reasoning_hidden"} if thinking.hides(wish) else frozenset())
        return replace(ask, thinks=thinks, asked=asked)

    # --- refusals

    def error(self, row: Row, problem: Problem) -> Any:
        metadata = METADATA.get(row.kind, {}) | self._particulars(row, problem)
        error = {"message": row.message.format_map(problem.words()), "code": row.status}
        user = {} if row.status in (401, 503) else {"user_id": "user_simulated"}
        return {"error": error | ({"metadata": metadata} if metadata else {})} | user

    def _particulars(self, row: Row, problem: Problem) -> Fields:
        if row.kind == "upstream":
            return {"raw": UPSTREAM.format_map(problem.words())}
        return {"headers": _limits(problem)} if row.kind in ("minute", "day") else {}

    def retry_headers(self, problem: Problem) -> dict[str, str]:
        if problem.fault in (Fault.RATE_LIMITED, Fault.QUOTA_DAY):
            return _limits(problem)
        return told_to_wait(problem, Fault.OVERLOADED, Fault.OUTAGE)

    def stream_error(self, ask: Ask, problem: Problem) -> bytes:
        """A chunk with an `error` beside its choices, then `[DONE]` as after a good answer."""
        row = self.faults[problem.fault]
        code: object = "server_error" if problem.stamp.ordinal % 2 else row.status
        head = self.head("chat.completion.chunk", Reply(problem.stamp.model), problem.stamp)
        choice = self.choice({"role": "assistant", "content": ""}, "error")
        error = {"code": code, "message": "Provider disconnected"}
        return sse(head | {"error": error, "choices": [choice]}) + sse("[DONE]")

    def headers(self, stamp: Stamp) -> dict[str, str]:
        return {"x-generation-id": self.answer_id(stamp)}

    # --- an answer

    def answer_id(self, stamp: Stamp) -> str:
        return f"gen-{int(stamp.wall)}-{stamp.ident(20)}"

    def head(self, kind: str, reply: Reply, stamp: Stamp) -> Fields:
        return CompatibleWire.head(self, kind, reply, stamp) | {"provider": PROVIDER}

    def whole(self, ask: Ask, reply: Reply, stamp: Stamp) -> Any:
        """A whole answer behind white space, which keeps the connection open while the answer is made."""
        body = CompatibleWire.whole(self, ask, _shown(ask, reply), stamp)
        for choice in body["choices"]:
            choice |= {"logprobs": None, "native_finish_reason": _native(reply.model, choice["finish_reason"])}
        body |= {"system_fingerprint": None, "service_tier": None}
        return BLANK * (1 + stamp.ordinal % 3) + orjson.dumps(body)

    def message(self, ask: Ask, reply: Reply, stamp: Stamp) -> Fields:
        said = CompatibleWire.message(self, ask, replace(reply, reasoning=""), stamp)
        return said | {"refusal": None, "reasoning": None} | thinking.signed(reply.model, reply.reasoning)

    def call(self, call: Call, at: int, stamp: Stamp) -> Fields:
        return {"index": at, **CompatibleWire.call(self, call, at, stamp)}

    def usage(self, reply: Reply, stamp: Stamp) -> Fields:
        usage = CompatibleWire.usage(self, reply, stamp)
        into, out = (0.0, 0.0) if reply.model.endswith(":free") else PRICES
        prompt, completion = usage["prompt_tokens"] * into, usage["completion_tokens"] * out
        cost = round(prompt + completion, 10)
        return usage | {
            "cost": cost,
            "is_byok": False,
            "prompt_tokens_details": dict.fromkeys(
                ("cached_tokens", "cache_write_tokens", "audio_tokens", "video_tokens"), 0
            ),
            "cost_details": {
                "upstream_inference_cost": cost,
                "upstream_inference_prompt_cost": round(prompt, 10),
                "upstream_inference_completions_cost": round(completion, 10),
            },
            "completion_tokens_details": {
                "reasoning_tokens": reply.reasoning_tokens,
                "image_tokens": 0,
                "audio_tokens": 0,
            },
        }

    def frames(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
        first, *rest = CompatibleWire.frames(self, ask, _shown(ask, reply), stamp)
        yield ALIVE * (1 + stamp.ordinal % 3) + first
        yield from rest

    def deltas(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[tuple[Fields, str | None]]:
        """Every delta has a role and a content; the finish reason comes twice, the second time with the usage."""
        for delta, finish in CompatibleWire.deltas(self, ask, reply, stamp):
            thought = thinking.reasoning(reply.model, delta.pop(self.thoughts, ""))
            yield {"content": "", "role": "assistant"} | delta | thought, finish

    def said(self, reply: Reply, stamp: Stamp) -> Iterator[Fields]:
        """As its base, with the signature after the reasoning."""
        yield from CompatibleWire.said(self, replace(reply, text="", calls=()), stamp)
        yield from thinking.signature(reply.model, reply.reasoning)
        yield from CompatibleWire.said(self, replace(reply, reasoning=""), stamp)

    def opening(self) -> tuple[Fields, ...]:
        return ()

    def choice(self, delta: Fields, finish: str | None) -> Fields:
        return {"index": 0, "delta": delta, "finish_reason": finish, "native_finish_reason": finish}

    def beside(self, at: int, finish: str | None, reply: Reply, stamp: Stamp) -> Fields:
        return {}

    def ending(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
        if reply.finish != "nothing":
            again = self.choice({"content": "", "role": "assistant"}, FINISH.get(reply.finish, reply.finish))
            head = self.head("chat.completion.chunk", reply, stamp)
            yield sse(head | {"service_tier": None, "choices": [again], "usage": self.usage(reply, stamp)})
        yield sse("[DONE]")


def _shown(ask: Ask, reply: Reply) -> Reply:
    return replace(reply, reasoning="") if "reasoning_hidden" in ask.asked else reply


def _native(model: str, finish: str) -> str:
    return NATIVE.get(model.partition("/")[0], {}).get(finish, finish)


def _limits(problem: Problem) -> dict[str, str]:
    """The headers of the window that is full; its reset is Unix time in milliseconds."""
    standing, day = problem.stamp.standing, problem.fault is Fault.QUOTA_DAY
    limit = standing.quota.per_day or 50 if day else standing.quota.per_minute or 20
    minute_s = standing.minute_resets_s if problem.retry_after_s is None else problem.retry_after_s
    reset_ms = round((problem.stamp.wall + (standing.day_resets_s if day else minute_s)) * 1_000)
    return {"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset_ms)}
