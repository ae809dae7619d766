"""Hugging Face's router: its own refusals, and behind it the wire format of the backend that the model id names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from types import MappingProxyType
from typing import Any

from router.simulator.conversation import Ask, Reply, thought_aloud
from router.simulator.weather import Fault
from router.simulator.wire import Incoming, Problem, Refusal, Row, Stamp, bearer, sse
from router.simulator.wires.cerebras import CerebrasWire
from router.simulator.wires.compatible import CompatibleWire, Fields, told_to_wait
from router.simulator.wires.openai_checks import COMMON, PHRASES, Manners, Phrase

ANY = ("", "fastest", "cheapest", "preferred")  # no backend is named: the router chooses
CHOSEN = "ovhcloud"
CREDITS = (
    "You have exceeded your monthly included credits for Inference Providers. Subscribe to PRO to get 20x more monthly "
    "included credits."
)
INVALID = "invalid_request_error"
# Refusals of the router itself; a row with a kind is written as an object, one without as a string.
DOOR: Mapping[Fault, Row] = MappingProxyType(
    {
        Fault.NO_KEY: Row(401, "Invalid username or password."),
        Fault.BAD_KEY: Row(401, "Invalid username or password."),
        Fault.BILLING: Row(402, CREDITS),
        Fault.QUOTA_DAY: Row(402, CREDITS),
        Fault.TOO_LARGE: Row(413, "request entity too large"),
        Fault.MODEL_GONE: Row(400, "The requested model '{model}' does not exist", INVALID, "model_not_found", "model"),
        Fault.NO_ACCESS: Row(
            400,
            "The requested model '{model}' is not supported by any provider you have enabled.",
            INVALID,
            "model_not_supported",
            "model",
        ),
        Fault.OUTAGE: Row(503, "Service Unavailable"),
        Fault.TIMEOUT: Row(504, "Gateway Timeout"),
    }
)
# Errors of a model server in its usual configuration, as most backends run it.
BACKEND: Mapping[Fault, Row] = MappingProxyType(
    {
        Fault.INVALID: Row(400, "{message}", "BadRequestError"),
        Fault.RATE_LIMITED: Row(429, "API rate limit exceeded", "RateLimitError"),
        Fault.OVERLOADED: Row(503, "Model too busy, unable to get response in less than 60 seconds", "Overloaded"),
        Fault.CONTEXT_LENGTH: Row(
            400,
            "This model's maximum context length is 131072 tokens. However, you requested 300000 tokens in the "
            "messages. Please reduce the length of the messages.",
            "BadRequestError",
        ),
        Fault.SERVER_ERROR: Row(500, "Internal server error", "InternalServerError"),
    }
)
MANNERS = Manners(
    phrases=MappingProxyType(
        {
            **PHRASES,
            "json": Phrase("Invalid JSON payload"),
            "model": Phrase("body -> model: Field required"),
            "missing": Phrase("body -> {param}: Field required"),
            "type": Phrase("body -> {param}: Input should be {expected}"),
        }
    ),
    checks=COMMON,
)


@dataclass(frozen=True, slots=True)
class BackendWire(CompatibleWire):
    """A model server behind the router; `aloud` if it leaves reasoning in the text."""

    faults: Mapping[Fault, Row] = field(default_factory=lambda: BACKEND)
    manners: Manners = MANNERS
    owner: str = "huggingface"
    aloud: bool = False

    def error(self, row: Row, problem: Problem) -> Any:
        message = row.message.format_map(problem.words())
        return {"object": "error", "message": message, "type": row.kind, "param": None, "code": row.status}

    def headers(self, stamp: Stamp) -> dict[str, str]:
        standing = stamp.standing
        limit, left = str(standing.quota.per_minute or 10_000), str(standing.left_minute)
        reset = str(ceil(standing.minute_resets_s))
        return {
            "ratelimit-limit": limit,
            "ratelimit-remaining": left,
            "ratelimit-reset": reset,
            "x-ratelimit-limit-minute": limit,
            "x-ratelimit-remaining-minute": left,
        }

    def answer_id(self, stamp: Stamp) -> str:
        return f"chatcmpl-{stamp.uuid()}"

    def whole(self, ask: Ask, reply: Reply, stamp: Stamp) -> Any:
        body = CompatibleWire.whole(self, ask, self._shown(reply), stamp)
        for choice in body["choices"]:
            choice |= {"logprobs": None, "stop_reason": None}
        return body | {"service_tier": None, "system_fingerprint": None, "prompt_logprobs": None}

    def message(self, ask: Ask, reply: Reply, stamp: Stamp) -> Fields:
        blank: Fields = {"refusal": None, "annotations": None, "reasoning_content": None, "tool_calls": []}
        return blank | CompatibleWire.message(self, ask, reply, stamp)

    def usage(self, reply: Reply, stamp: Stamp) -> Fields:
        details = {"prompt_tokens_details": None, "completion_tokens_details": None}
        return CompatibleWire.usage(self, reply, stamp) | details

    def frames(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
        return CompatibleWire.frames(self, ask, self._shown(reply), stamp)

    def choice(self, delta: Fields, finish: str | None) -> Fields:
        return CompatibleWire.choice(self, {"role": "assistant", **delta, "name": "assistant"}, finish)

    def beside(self, at: int, finish: str | None, reply: Reply, stamp: Stamp) -> Fields:
        return {}

    def ending(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
        if "include_usage" in ask.asked:
            head = self.head("chat.completion.chunk", reply, stamp)
            yield sse(head | {"choices": [], "usage": CompatibleWire.usage(self, reply, stamp)})
        yield sse("[DONE]")

    def _shown(self, reply: Reply) -> Reply:
        return thought_aloud(reply) if self.aloud and reply.reasoning else reply


@dataclass(frozen=True, slots=True)
class CerebrasBehind(CerebrasWire):
    """Cerebras behind the router, which passes on only its `-remaining-` headers."""

    def headers(self, stamp: Stamp) -> dict[str, str]:
        theirs = CerebrasWire.headers(self, stamp)
        return {name: theirs[name] for name in theirs if "-remaining-" in name}


BACKENDS: Mapping[str, CompatibleWire] = MappingProxyType(
    {"cerebras": CerebrasBehind(), "together": BackendWire(aloud=True)}
)
OTHER = BackendWire()


@dataclass(frozen=True, slots=True)
class HuggingFaceWire:
    """The wire of router.huggingface.co."""

    door: Mapping[Fault, Row] = field(default_factory=lambda: DOOR)

    def key(self, incoming: Incoming) -> str | None:
        return bearer(incoming)

    def model(self, incoming: Incoming) -> str:
        model = incoming.peek("model")
        return model if isinstance(model, str) else ""

    def parse(self, incoming: Incoming) -> Ask:
        return _behind(self.model(incoming)).parse(incoming)

    def whole(self, ask: Ask, reply: Reply, stamp: Stamp) -> Any:
        return _behind(ask.model).whole(ask, _known_there(ask, reply), stamp)

    def frames(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
        return _behind(ask.model).frames(ask, _known_there(ask, reply), stamp)

    def stream_type(self, ask: Ask) -> str:
        return _behind(ask.model).stream_type(ask)

    def stream_error(self, ask: Ask, problem: Problem) -> bytes:
        return _behind(ask.model).stream_error(ask, problem)

    def refuse(self, problem: Problem) -> Refusal | None:
        row = self.door.get(problem.fault)
        if row is None:
            refusal = _behind(problem.stamp.model).refuse(problem)
            return refusal and replace(refusal, headers={**refusal.headers, **_passed_on(problem.stamp)})
        message = row.message.format_map(problem.words())
        named = {"message": message, "type": row.kind, "param": row.param, "code": row.code}
        waits = told_to_wait(problem, Fault.OUTAGE)
        return Refusal(row.status, {"error": named if row.kind else message}, waits)

    def headers(self, stamp: Stamp) -> dict[str, str]:
        """The backend's headers as they are passed on, and the backend's name."""
        return _behind(stamp.model).headers(stamp) | _passed_on(stamp)

    def models(self, names: Sequence[str], stamp: Stamp) -> Any:
        return OTHER.models(names, stamp)


def _backend(model: str) -> str:
    """The backend that a model id names after its colon."""
    wish = model.partition(":")[2]
    return CHOSEN if wish in ANY else wish


def _behind(model: str) -> CompatibleWire:
    return BACKENDS.get(_backend(model), OTHER)


def _known_there(ask: Ask, reply: Reply) -> Reply:
    """The reply with the model id that the backend uses."""
    return replace(reply, model=reply.model.replace(ask.model, ask.model.partition(":")[0]))


def _passed_on(stamp: Stamp) -> dict[str, str]:
    return {"inference-id": stamp.uuid("request"), "x-inference-provider": _backend(stamp.model)}
