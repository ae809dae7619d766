"""NVIDIA's API catalog: problem details (RFC 9457), pending answers, and reasoning in a field or in the text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from types import MappingProxyType
from typing import Any

from router.simulator.conversation import Ask, Reply, thought_aloud
from router.simulator.weather import Fault
from router.simulator.wire import Incoming, Problem, Refusal, Row, Stamp, sse
from router.simulator.wires.compatible import CompatibleWire, Fields
from router.simulator.wires.openai import PARAMS
from router.simulator.wires.openai_checks import COMMON, PHRASES, Body, Manners, Phrase
from router.simulator.words import names

RAW_MODELS = ("*deepseek-r1*", "*qwen3*", "*minimax*")  # their reasoning comes inside the text
FUNCTION = "ffffffff-0000-4000-8000-000000000000"
PROBLEM = "application/problem+json"
URN = "urn:inference-service:problem-details:"
OWN_PARAMS = PARAMS - names("prompt_cache_key prompt_cache_retention safety_identifier store metadata")
OWN_PARAMS |= names("chat_template_kwargs guided_json min_p min_tokens nvext reasoning_budget repetition_penalty top_k")
# Parameters that only some models refuse.
REFUSED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"*minimax*": ("reasoning_budget",), "google/gemma-2*": ("presence_penalty", "frequency_penalty", "n")}
)
# `kind` is the title of the problem.
FAULTS: Mapping[Fault, Row] = MappingProxyType(
    {
        Fault.NO_KEY: Row(401, "Header of type `authorization` was missing", "Unauthorized"),
        Fault.BAD_KEY: Row(403, "Authorization failed", "Forbidden"),
        Fault.INVALID: Row(400, "{message}", "Bad Request"),
        Fault.TOO_LARGE: Row(413, "The payload is too large", "Payload Too Large"),
        Fault.RATE_LIMITED: Row(429, "", "Too Many Requests"),
        Fault.QUOTA_DAY: Row(429, "", "Too Many Requests"),
        Fault.OVERLOADED: Row(400, f"Function id '{FUNCTION}': DEGRADED function cannot be invoked", "Bad Request"),
        Fault.BILLING: Row(402, "Cloud credits expired - Please contact NVIDIA representatives", "Payment Required"),
        Fault.MODEL_GONE: Row(
            410,
            "The model '{model}' has reached its end of life on 2026-08-26T09:00:00Z and is no longer available.",
            "Gone",
        ),
        Fault.NO_ACCESS: Row(404, f"Function '{FUNCTION}': Not found for account 'simulated'", "Not Found"),
        Fault.CONTEXT_LENGTH: Row(
            400,
            "This model's maximum context length is 131072 tokens. However, you requested 300000 tokens in the "
            "messages. Please reduce the length of the messages.",
            "BadRequestError",
        ),
        Fault.SERVER_ERROR: Row(500, "Inference error", "Internal Server Error"),
        Fault.OUTAGE: Row(503, "The service is unavailable", "Service Unavailable"),
        Fault.TIMEOUT: Row(504, ""),
        Fault.PENDING: Row(202, ""),
    }
)
ALSO: Mapping[Fault, Row] = MappingProxyType({Fault.BAD_KEY: Row(401, "Authorization failed", "Unauthorized")})
# Faults reported by the model's own server, in another shape than the gateway's.
OF_THE_MODEL = (Fault.CONTEXT_LENGTH,)
EMPTY = MappingProxyType({Fault.TIMEOUT: "errored", Fault.PENDING: "pending-evaluation"})


def _check_model_takes(body: Body, manners: Manners) -> None:
    refused = {name for models, params in REFUSED.items() if fnmatch(body["model"].lower(), models) for name in params}
    for name in sorted(refused & body.keys()):
        raise manners.complain("forbidden", name)


MANNERS = Manners(
    phrases=MappingProxyType(
        {
            **PHRASES,
            "json": Phrase("Expecting value: line 1 column 1 (char 0)"),
            "model": Phrase("body -> model\n  Field required (type=missing)", status=422),
            "missing": Phrase("body -> {param}\n  Field required (type=missing)", status=422),
            "empty": Phrase("body -> {param}\n  List should have at least 1 item (type=too_short)", status=422),
            "type": Phrase("body -> {param}\n  Input should be {expected} (type=invalid_type)", status=422),
            "role": Phrase("body -> {param}\n  Input should be {allowed} (type=literal_error)", status=422),
            "high": Phrase("body -> {param}\n  Input should be at most {bound} (type=less_than_equal)", status=422),
            "low": Phrase("body -> {param}\n  Input should be at least {bound} (type=greater_than_equal)", status=422),
            "unknown": Phrase("Validation: Unsupported parameter(s): `{param}`"),
            "forbidden": Phrase("body -> {param}\n  Extra inputs are not permitted (type=extra_forbidden)", status=422),
        }
    ),
    params=OWN_PARAMS,
    checks=(*COMMON, _check_model_takes),
)


@dataclass(frozen=True, slots=True)
class NvidiaWire(CompatibleWire):
    """The wire of integrate.api.nvidia.com."""

    faults: Mapping[Fault, Row] = field(default_factory=lambda: FAULTS)
    also: Mapping[Fault, Row] = field(default_factory=lambda: ALSO)
    manners: Manners = MANNERS
    owner: str = "nvidia"

    def parse(self, incoming: Incoming) -> Ask:
        ask = CompatibleWire.parse(self, incoming)
        wish = incoming.peek("chat_template_kwargs")
        told = [wish[key] for key in ("thinking", "enable_thinking") if key in wish] if isinstance(wish, dict) else []
        silenced = any(turn.role == "system" and "/no_think" in turn.text for turn in ask.turns)
        return replace(ask, thinks=False if silenced else bool(told[0]) if told else ask.thinks)

    # --- refusals

    def refuse(self, problem: Problem) -> Refusal | None:
        refusal = CompatibleWire.refuse(self, problem)
        if refusal is None or problem.fault not in EMPTY:
            return refusal
        return replace(refusal, body=None)

    def error(self, row: Row, problem: Problem) -> Any:
        detail = row.message.format_map(problem.words())
        if problem.fault in OF_THE_MODEL:
            return {"error": {"message": detail, "type": row.kind, "param": None, "code": row.status}}
        status = problem.invalid.status if problem.invalid else row.status
        title = "Unprocessable Entity" if status == 422 else row.kind
        about = {"type": f"{URN}{title.lower().replace(' ', '-')}"} if status in (422, 500) else {}
        gone = {"type": "about:blank"} if status == 410 else {}
        return {**about, **gone, "status": status, "title": title} | ({"detail": detail} if detail else {})

    def retry_headers(self, problem: Problem) -> dict[str, str]:
        if (state := EMPTY.get(problem.fault)) is not None:
            status = {"location": f"/v1/status/{_request(problem.stamp)}"} if problem.fault is Fault.PENDING else {}
            return {"nvcf-status": state} | status
        plain = problem.fault in (Fault.RATE_LIMITED, Fault.QUOTA_DAY, *OF_THE_MODEL)
        return {"nvcf-status": "rejected"} | ({} if plain else {"Content-Type": PROBLEM})

    def stream_error(self, ask: Ask, problem: Problem) -> bytes:
        row = self.faults[problem.fault]
        return sse({"error": {"message": row.message, "type": row.kind, "param": None, "code": row.status}})

    def headers(self, stamp: Stamp) -> dict[str, str]:
        return {"nvcf-reqid": _request(stamp), "nvcf-status": "fulfilled"}

    # --- an answer

    def stream_type(self, ask: Ask) -> str:
        return "text/event-stream"

    def answer_id(self, stamp: Stamp) -> str:
        return f"chatcmpl-{stamp.uuid()}"

    def whole(self, ask: Ask, reply: Reply, stamp: Stamp) -> Any:
        return CompatibleWire.whole(self, ask, _shown(reply), stamp)

    def frames(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
        return CompatibleWire.frames(self, ask, _shown(reply), stamp)

    def choice(self, delta: Fields, finish: str | None) -> Fields:
        thinking = {"content": None} if self.thoughts in delta else {}
        return {"index": 0, "delta": delta | thinking, "finish_reason": finish}

    def beside(self, at: int, finish: str | None, reply: Reply, stamp: Stamp) -> Fields:
        return {}

    def ending(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
        if "include_usage" in ask.asked:
            head = self.head("chat.completion.chunk", reply, stamp)
            yield sse(head | {"choices": [], "usage": self.usage(reply, stamp)})
        yield sse("[DONE]")


def _shown(reply: Reply) -> Reply:
    raw = reply.reasoning and any(fnmatch(reply.model.lower(), pattern) for pattern in RAW_MODELS)
    return thought_aloud(reply) if raw else reply


def _request(stamp: Stamp) -> str:
    return stamp.uuid("request")
