"""Gemini's generateContent: parts and candidates, CRLF events or a JSON array, and no rate limit headers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import orjson

from router.simulator.conversation import Ask, Reply, pieces
from router.simulator.weather import Fault
from router.simulator.wire import Incoming, Problem, Refusal, Row, Stamp, sse
from router.simulator.wires.gemini_request import read, signs

FINISH = {"length": "MAX_TOKENS"}
PIECES_PER_FRAME = 4
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. For more information on this "
    "error, head to: https://ai.google.dev/gemini-api/docs/rate-limits. \n* Quota exceeded for metric: "
    "generativelanguage.googleapis.com/generate_content_free_tier_requests, limit: {value}, model: {model}\nPlease "
    "retry in {wait_s}s."
)
FAULTS: Mapping[Fault, Row] = MappingProxyType(
    {
        Fault.NO_KEY: Row(
            403,
            "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or "
            "other form of API consumer identity to call this API.",
            "PERMISSION_DENIED",
        ),
        Fault.BAD_KEY: Row(400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT"),
        Fault.INVALID: Row(400, "{message}", "INVALID_ARGUMENT"),
        Fault.TOO_LARGE: Row(413, "Request payload size exceeds the limit.", "INVALID_ARGUMENT"),
        Fault.RATE_LIMITED: Row(429, QUOTA.replace("{value}", "{limit}"), "RESOURCE_EXHAUSTED", "PerMinute"),
        Fault.QUOTA_DAY: Row(429, QUOTA.replace("{value}", "{day_limit}"), "RESOURCE_EXHAUSTED", "PerDay"),
        Fault.BILLING: Row(
            429,
            "Your prepayment credits are depleted. Please go to AI Studio to manage your project.",
            "RESOURCE_EXHAUSTED",
        ),
        Fault.MODEL_GONE: Row(
            404,
            "models/{model} is not found for API version v1beta, or is not supported for generateContent. Call "
            "ModelService.ListModels to see the list of available models and their supported methods.",
            "NOT_FOUND",
        ),
        Fault.CONTEXT_LENGTH: Row(
            400,
            "The input token count (1250074) exceeds the maximum number of tokens allowed (1048576).",
            "INVALID_ARGUMENT",
        ),
        Fault.SERVER_ERROR: Row(
            500,
            "An internal error has occurred. Please retry or report in "
            "https://developers.generativeai.google/guide/troubleshooting",
            "INTERNAL",
        ),
        Fault.OVERLOADED: Row(503, "The model is overloaded. Please try again later.", "UNAVAILABLE"),
        Fault.OUTAGE: Row(503, "The service is currently unavailable.", "UNAVAILABLE"),
        Fault.TIMEOUT: Row(504, "The request timed out. Please try again.", "DEADLINE_EXCEEDED"),
        Fault.NO_ACCESS: Row(403, "The caller does not have permission to use models/{model}.", "PERMISSION_DENIED"),
    }
)


@dataclass(frozen=True, slots=True)
class GeminiWire:
    """The wire of generativelanguage.googleapis.com."""

    def key(self, incoming: Incoming) -> str | None:
        return incoming.headers.get("x-goog-api-key") or incoming.query.get("key")

    def model(self, incoming: Incoming) -> str:
        return incoming.path_model or ""

    def parse(self, incoming: Incoming) -> Ask:
        return read(incoming)

    def stream_type(self, ask: Ask) -> str:
        return "application/json; charset=UTF-8" if "array" in ask.asked else "text/event-stream"

    def refuse(self, problem: Problem) -> Refusal | None:
        row = FAULTS.get(problem.fault)
        return None if row is None else Refusal(row.status, self._error(row, problem), self.headers(problem.stamp))

    def _error(self, row: Row, problem: Problem) -> Any:
        message = row.message.format_map(problem.words())
        details = _details(row, problem)
        error = {"code": row.status, "message": message, "status": row.kind} | ({"details": details} if details else {})
        return {"error": error}

    def stream_error(self, ask: Ask, problem: Problem) -> bytes:
        error = self._error(FAULTS[problem.fault], problem)
        return b",\r\n" + orjson.dumps(error) + b"]" if "array" in ask.asked else sse(error, end="\r\n")

    def headers(self, stamp: Stamp) -> dict[str, str]:
        return {"x-gemini-service-tier": "standard", "server-timing": "gfet4t7; dur=12"}

    def models(self, names: Sequence[str], stamp: Stamp) -> Any:
        methods = ["generateContent", "countTokens"]
        listed = [
            {
                "name": f"models/{name}",
                "displayName": name,
                "inputTokenLimit": 1_048_576,
                "outputTokenLimit": 65_536,
                "supportedGenerationMethods": methods,
            }
            for name in names
        ]
        return {"models": listed}

    def whole(self, ask: Ask, reply: Reply, stamp: Stamp) -> Any:
        parts = [*_thoughts(ask, reply), *_calls(reply, stamp), *([{"text": reply.text}] if reply.text else [])]
        note = {"finishMessage": "Model generated function call(s)."} if reply.calls else {}
        return _body(reply, stamp, parts, FINISH.get(reply.finish, "STOP"), reply.output_tokens, note)

    def frames(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
        bodies = list(self._bodies(ask, reply, stamp))
        if "array" in ask.asked:
            for at, body in enumerate(bodies):
                yield (b"[" if at == 0 else b",\r\n") + orjson.dumps(body)
            yield b"]"
        else:
            yield from (sse(body, end="\r\n") for body in bodies)

    def _bodies(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[Any]:
        if reply.finish in ("nothing", "content_filter"):
            yield _body(reply, stamp, [], None, 0, {})
            return
        for thought in _thoughts(ask, reply):
            yield _body(reply, stamp, [thought], None, 0, {})
        for call in _calls(reply, stamp):
            yield _body(reply, stamp, [call], None, reply.output_tokens, {})
        parts = pieces(reply.text)
        for at in range(0, len(parts), PIECES_PER_FRAME):
            said = "".join(parts[at : at + PIECES_PER_FRAME])
            yield _body(reply, stamp, [{"text": said}], None, min(at + PIECES_PER_FRAME, len(parts)), {})
        yield _body(reply, stamp, [{"text": ""}], FINISH.get(reply.finish, "STOP"), reply.output_tokens, {})


def _body(reply: Reply, stamp: Stamp, parts: list[Any], finish: str | None, output: int, note: dict[str, str]) -> Any:
    """A whole answer or one event of it; a blocked prompt has a promptFeedback and no candidates."""
    usage = {"promptTokenCount": reply.input_tokens}
    usage |= {"candidatesTokenCount": output} if output else {}
    usage |= {"totalTokenCount": reply.input_tokens + output + reply.reasoning_tokens}
    details = {"promptTokensDetails": [{"modality": "TEXT", "tokenCount": reply.input_tokens}]}
    thoughts = {"thoughtsTokenCount": reply.reasoning_tokens} if reply.reasoning_tokens else {}
    tail = {
        "usageMetadata": usage | details | thoughts | {"serviceTier": "standard"},
        "modelVersion": reply.model,
        "responseId": stamp.ident(23),
    }
    if reply.finish == "content_filter":
        return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}} | tail
    if reply.finish == "nothing":
        return tail
    content = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    finished = {"finishReason": finish} if finish else {}
    return {"candidates": [{"content": content, **finished, "index": 0, **note}]} | tail


def _thoughts(ask: Ask, reply: Reply) -> list[Any]:
    return [{"text": reply.reasoning, "thought": True}] if reply.reasoning and "thoughts" in ask.asked else []


def _calls(reply: Reply, stamp: Stamp) -> list[Any]:
    """Function calls, whole; the first of a reasoning model has a signature, those of newer models have ids."""
    found: list[Any] = []
    newer = signs(stamp.model)
    for at, call in enumerate(reply.calls):
        named = {"name": call.name, "args": call.arguments}
        named |= {"id": stamp.ident(8, what=("call", at))} if newer else {}
        signs_this = at == 0 and (newer or reply.reasoning_tokens > 0)
        signed = {"thoughtSignature": stamp.ident(64, what="signature")} if signs_this else {}
        found.append({"functionCall": named, **signed})
    return found


def _details(row: Row, problem: Problem) -> list[Any]:
    """The machine-readable details of an error (google.rpc); empty for most."""
    if problem.fault is Fault.BAD_KEY:
        service = {"service": "generativelanguage.googleapis.com"}
        return [{"@type": ERROR_INFO, "reason": "API_KEY_INVALID", "domain": "googleapis.com", "metadata": service}]
    if row.code is None:
        return []
    words = problem.words()
    violation = {
        "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
        "quotaId": f"GenerateRequests{row.code}PerProjectPerModel-FreeTier",
        "quotaDimensions": {"location": "global", "model": problem.stamp.model},
        "quotaValue": str(words["limit" if row.code == "PerMinute" else "day_limit"]),
    }
    failure = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}
    delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{problem.retry_after_s}s"}
    return [failure, delay] if problem.retry_after_s is not None else [failure]
