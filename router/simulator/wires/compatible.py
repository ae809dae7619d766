"""OpenAI's format in the dialects of others: what may differ, as data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from router.simulator.conversation import Ask, Reply, pieces
from router.simulator.weather import Fault
from router.simulator.wire import Problem, Row, Stamp, sse
from router.simulator.wires.openai import FAULTS, FINISH, OpenAIWire
from router.simulator.wires.openai_request import Manners

Envelope = Callable[[Row, Problem, str], Any]
LimitHeaders = Callable[[Stamp], dict[str, str]]


def nested(row: Row, problem: Problem, message: str) -> Any:
    """`{"error": {message, type, param, code}}`, OpenAI's own."""
    return {"error": error_fields(row, problem, message)}


def error_fields(row: Row, problem: Problem, message: str) -> dict[str, Any]:
    """The four fields of an error in OpenAI's format."""
    code, param = (problem.invalid.code, problem.invalid.param) if problem.invalid else (row.code, row.param)
    return {"message": message, "type": row.kind, "param": param, "code": code}


def no_headers(stamp: Stamp) -> dict[str, str]:
    """Providers that say nothing of their limits."""
    return {}


@dataclass(frozen=True, slots=True)
class Dialect:
    """What sets one provider apart.

    `reasoning` names its field for thoughts; with `outside` they are not in its count of output tokens.
    """

    owner: str
    faults: Mapping[Fault, Row]
    envelope: Envelope = nested
    limits: LimitHeaders = no_headers
    reasoning: str = "reasoning_content"
    outside: bool = False
    max_temperature: float = 2.0
    retry_after: bool = True


@dataclass(frozen=True, slots=True)
class CompatibleWire(OpenAIWire):
    """OpenAI's format in one provider's dialect: lenient with what it does not know."""

    dialect: Dialect = Dialect("compatible", FAULTS)

    def error(self, row: Row, problem: Problem) -> Any:
        return self.dialect.envelope(row, problem, row.message.format_map(problem.words()))

    def retry_headers(self, problem: Problem) -> dict[str, str]:
        told = self.dialect.retry_after and problem.fault is Fault.RATE_LIMITED and problem.retry_after_s is not None
        return {"retry-after": str(ceil(problem.retry_after_s or 0))} if told else {}

    def headers(self, stamp: Stamp) -> dict[str, str]:
        return {"x-request-id": stamp.uuid("request")} | self.dialect.limits(stamp)

    def head(self, kind: str, reply: Reply, stamp: Stamp) -> dict[str, Any]:
        return {"id": self.answer_id(stamp), "object": kind, "created": int(stamp.wall), "model": reply.model}

    def message(self, ask: Ask, reply: Reply, stamp: Stamp) -> dict[str, Any]:
        calls = [self.call(call, at, stamp) for at, call in enumerate(reply.calls)]
        said = {"role": "assistant", "content": None if calls else reply.text}
        thought = {self.dialect.reasoning: reply.reasoning} if reply.reasoning else {}
        return said | thought | ({"tool_calls": calls} if calls else {})

    def usage(self, reply: Reply, stamp: Stamp) -> dict[str, Any]:
        thought = 0 if self.dialect.outside else reply.reasoning_tokens
        return {
            "prompt_tokens": reply.input_tokens,
            "completion_tokens": reply.output_tokens + thought,
            "total_tokens": reply.input_tokens + reply.output_tokens + reply.reasoning_tokens,
            "completion_tokens_details": {"reasoning_tokens": reply.reasoning_tokens},
        }

    def frames(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
        head = self.head("chat.completion.chunk", reply, stamp)
        for delta, finish in self.deltas(ask, reply, stamp):
            chunk = head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
            yield sse(chunk | ({"usage": self.usage(reply, stamp)} if finish else {}))
        yield sse("[DONE]")

    def deltas(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[tuple[dict[str, Any], str | None]]:
        if reply.finish == "nothing":
            return
        yield {"role": "assistant", "content": ""}, None
        for piece in pieces(reply.reasoning):
            yield {self.dialect.reasoning: piece}, None
        for at, call in enumerate(reply.calls):
            yield {"tool_calls": [{"index": at, **self.call(call, at, stamp)}]}, None
        for piece in pieces(reply.text):
            yield {"content": piece}, None
        yield {}, FINISH.get(reply.finish, reply.finish)


def compatible(dialect: Dialect) -> CompatibleWire:
    """The wire of a dialect."""
    manners = Manners(max_temperature=dialect.max_temperature)
    return CompatibleWire(dialect.faults, manners, dialect.owner, dialect)
