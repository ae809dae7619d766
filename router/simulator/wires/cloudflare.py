"""Cloudflare Workers AI: errors as numbers in an envelope, 256 tokens by default, and JSON mode as an object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from types import MappingProxyType
from typing import Any

import orjson

from router.simulator.conversation import Ask, Reply, thought_aloud
from router.simulator.weather import Fault
from router.simulator.wire import HEX, Incoming, Problem, Row, Stamp
from router.simulator.wires.compatible import CompatibleWire, Fields
from router.simulator.wires.openai_checks import BOUNDS, COMMON, PHRASES, Body, Manners, Phrase, steps

DEFAULT_MAX_TOKENS = 256
RAW_MODELS = ("*qwen3*", "*qwq*", "*deepseek-r1*")  # their reasoning comes inside the text
BAD_INPUT, NO_STREAM = "5006", "5023"
BAD = "AiError: Bad input: Error: "
# `code` is Cloudflare's number of the error.
FAULTS: Mapping[Fault, Row] = MappingProxyType(
    {
        Fault.NO_KEY: Row(401, "Authentication error", code="10000"),
        Fault.BAD_KEY: Row(401, "Authentication error", code="10000"),
        Fault.INVALID: Row(400, "{message}", code=BAD_INPUT),
        Fault.TOO_LARGE: Row(413, "Request is too large", code="3006"),
        Fault.RATE_LIMITED: Row(429, "Please wait and consider throttling your request speed", code="971"),
        Fault.QUOTA_DAY: Row(
            429,
            "AiError: AiError: you have used up your daily free allocation of 10,000 neurons, please upgrade to "
            "Cloudflare's Workers Paid plan if you would like to continue usage. (f24e675b)",
            code="4006",
        ),
        Fault.OVERLOADED: Row(429, "No more data centers to forward the request to", code="3040"),
        Fault.BILLING: Row(403, "This model requires the Workers Paid plan", code="5035"),
        Fault.MODEL_GONE: Row(400, "No such model {model} or task", code="5007"),
        Fault.NO_ACCESS: Row(403, "The licence of {model} must be agreed to before it is used", code="5016"),
        Fault.CONTEXT_LENGTH: Row(
            400,
            "AiError: The estimated number of input and maximum output tokens (32000) exceeded this model context "
            "window limit (24000).",
            code="5021",
        ),
        Fault.SERVER_ERROR: Row(500, "AiError: Internal server error", code="3043"),
        Fault.OUTAGE: Row(503, "Upstream service unavailable", code="7009"),
        Fault.TIMEOUT: Row(408, "Request timeout", code="3007"),
    }
)
ALSO: Mapping[Fault, Row] = MappingProxyType(
    {
        Fault.BAD_KEY: Row(403, "Authentication error", code="10000"),
        Fault.QUOTA_DAY: Row(
            429,
            "You have used up your daily free allocation of 10,000 neurons. Please upgrade to Cloudflare's Workers "
            "Paid plan if you would like to continue usage.",
            code="3036",
        ),
        Fault.MODEL_GONE: Row(404, "The model name is invalid", code="3042"),
        Fault.TIMEOUT: Row(408, "Request aborted", code="3008"),
    }
)


def _check_no_stream_of_json(body: Body, manners: Manners) -> None:
    kind = (body.get("response_format") or {}).get("type")
    if body.get("stream") and kind in ("json_schema", "json_object"):
        raise manners.complain("json_stream")


def pointer(param: str) -> str:
    """`messages[0].role` as `/messages/0/role`."""
    return "/" + "/".join(str(step) for step in steps(param))


MANNERS = Manners(
    phrases=MappingProxyType(
        {
            **PHRASES,
            "json": Phrase("AiError: Bad input: SyntaxError: Unexpected token in JSON", BAD_INPUT),
            "model": Phrase(BAD + "required properties at '/' are 'model'", BAD_INPUT),
            "missing": Phrase(BAD + "required properties at '{param}' are missing", BAD_INPUT),
            "empty": Phrase(BAD + "length at '{param}' must be at least 1", BAD_INPUT),
            "type": Phrase(BAD + "type mismatch of '{param}', it is not {expected}", BAD_INPUT),
            "role": Phrase(BAD + "enum {value} not in {allowed} at '{param}'", BAD_INPUT),
            "high": Phrase(BAD + "value at '{param}' must be <= {bound}", BAD_INPUT),
            "low": Phrase(BAD + "value at '{param}' must be >= {bound}", BAD_INPUT),
            "json_stream": Phrase("AiError: JSON Schema mode is not supported with stream mode.", NO_STREAM),
        }
    ),
    bounds=MappingProxyType({**BOUNDS, "temperature": (0, 5), "top_p": (0, 2)}),
    checks=(*COMMON, _check_no_stream_of_json),
    spelled=pointer,
)


@dataclass(frozen=True, slots=True)
class CloudflareWire(CompatibleWire):
    """The wire of api.cloudflare.com, below one account."""

    faults: Mapping[Fault, Row] = field(default_factory=lambda: FAULTS)
    also: Mapping[Fault, Row] = field(default_factory=lambda: ALSO)
    manners: Manners = MANNERS
    owner: str = "cloudflare"

    def parse(self, incoming: Incoming) -> Ask:
        ask = CompatibleWire.parse(self, incoming)
        return ask if ask.max_tokens is not None else replace(ask, max_tokens=DEFAULT_MAX_TOKENS)

    def stream_type(self, ask: Ask) -> str:
        return "text/event-stream"

    def error(self, row: Row, problem: Problem) -> Any:
        code = (problem.invalid.code if problem.invalid else row.code) or BAD_INPUT
        errors = [{"code": int(code), "message": row.message.format_map(problem.words())}]
        return {"result": {} if code == "4006" else None, "success": False, "errors": errors, "messages": []}

    def retry_headers(self, problem: Problem) -> dict[str, str]:
        return {}

    def headers(self, stamp: Stamp) -> dict[str, str]:
        return {"cf-ray": f"{stamp.ident(16, HEX, 'request')}-SIM", "api-version": "2025-12-31"}

    def answer_id(self, stamp: Stamp) -> str:
        return f"id-{int(stamp.wall * 1_000) + stamp.ordinal}"

    def models(self, names: Sequence[str], stamp: Stamp) -> Any:
        listed = [{"id": stamp.uuid(name), "name": name, "task": {"name": "Text Generation"}} for name in names]
        return {"result": listed, "success": True, "errors": [], "messages": []}

    def whole(self, ask: Ask, reply: Reply, stamp: Stamp) -> Any:
        """A whole answer; in JSON mode its content is an object and it has no usage."""
        body = CompatibleWire.whole(self, ask, _shown(reply), stamp)
        if ask.form != "text":
            del body["usage"]
        for choice in body["choices"]:
            choice["logprobs"] = None
            choice["message"] |= {"refusal": None}
        return body

    def message(self, ask: Ask, reply: Reply, stamp: Stamp) -> Fields:
        said = CompatibleWire.message(self, ask, reply, stamp)
        return said | {"content": _object(said["content"])} if ask.form != "text" else said

    def frames(self, ask: Ask, reply: Reply, stamp: Stamp) -> Any:
        return CompatibleWire.frames(self, ask, _shown(reply), stamp)

    def opening(self) -> tuple[Fields, ...]:
        return ()


def _shown(reply: Reply) -> Reply:
    raw = reply.reasoning and any(fnmatch(reply.model.lower(), pattern) for pattern in RAW_MODELS)
    return thought_aloud(reply) if raw else reply


def _object(text: str | None) -> Any:
    """The text as a JSON value, or the text itself if it is not JSON, as when it was cut."""
    try:
        return orjson.loads(text or "null")
    except orjson.JSONDecodeError:
        return text
