"""What the dialects of OpenAI's format have in common; each dialect has a file of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil
from types import MappingProxyType
from typing import Any

from router.simulator.conversation import Ask, Reply, pieces
from router.simulator.weather import Fault
from router.simulator.wire import Problem, Row, Stamp, sse
from router.simulator.wires.openai import FINISH, OpenAIWire

Fields = dict[str, Any]
NO_ROWS: Mapping[Fault, Row] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class CompatibleWire(OpenAIWire):
    """OpenAI's format without OpenAI's own extras: tool calls stream whole, usage comes with the finish reason.

    `also` holds second wordings: a provider that reports one fault in two ways uses the second every other time.
    `thoughts` is the field that holds reasoning.
    """

    also: Mapping[Fault, Row] = field(default_factory=lambda: NO_ROWS)
    thoughts: str = "reasoning_content"

    # --- refusals

    def row(self, problem: Problem) -> Row | None:
        second = self.also.get(problem.fault) if problem.stamp.ordinal % 2 else None
        return second or self.faults.get(problem.fault)

    def retry_headers(self, problem: Problem) -> dict[str, str]:
        return told_to_wait(problem, Fault.RATE_LIMITED)

    def headers(self, stamp: Stamp) -> dict[str, str]:
        return {"x-request-id": stamp.uuid("request")}

    # --- an answer in one piece

    def whole(self, ask: Ask, reply: Reply, stamp: Stamp) -> Any:
        choice = {
            "index": 0,
            "message": self.message(ask, reply, stamp),
            "finish_reason": FINISH.get(reply.finish, reply.finish),
        }
        return self.head("chat.completion", reply, stamp) | {
            "choices": [] if reply.finish == "nothing" else [choice],
            "usage": self.usage(reply, stamp),
        }

    def head(self, kind: str, reply: Reply, stamp: Stamp) -> Fields:
        return {"id": self.answer_id(stamp), "object": kind, "created": int(stamp.wall), "model": reply.model}

    def message(self, ask: Ask, reply: Reply, stamp: Stamp) -> Fields:
        calls = [self.call(call, at, stamp) for at, call in enumerate(reply.calls)]
        said: Fields = {"role": "assistant", "content": None if calls else reply.text}
        thought = {self.thoughts: reply.reasoning} if reply.reasoning else {}
        return said | thought | ({"tool_calls": calls} if calls else {})

    def usage(self, reply: Reply, stamp: Stamp) -> Fields:
        output = reply.output_tokens + reply.reasoning_tokens
        return {
            "prompt_tokens": reply.input_tokens,
            "completion_tokens": output,
            "total_tokens": reply.input_tokens + output,
        }

    # --- an answer in pieces

    def frames(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
        head = self.head("chat.completion.chunk", reply, stamp)
        for at, (delta, finish) in enumerate(self.deltas(ask, reply, stamp)):
            chunk = head | {"choices": [self.choice(delta, finish)]}
            yield sse(chunk | self.beside(at, finish, reply, stamp))
        yield from self.ending(ask, reply, stamp)

    def deltas(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[tuple[Fields, str | None]]:
        if reply.finish == "nothing":
            return
        for delta in (*self.opening(), *self.said(reply, stamp)):
            yield delta, None
        yield {}, FINISH.get(reply.finish, reply.finish)

    def opening(self) -> tuple[Fields, ...]:
        """The deltas before the first token."""
        return ({"role": "assistant", "content": ""},)

    def said(self, reply: Reply, stamp: Stamp) -> Iterator[Fields]:
        """Reasoning, then whole tool calls or text, delta by delta."""
        for piece in pieces(reply.reasoning):
            yield {self.thoughts: piece}
        for at, call in enumerate(reply.calls):
            yield {"tool_calls": [{"index": at, **self.call(call, at, stamp)}]}
        for piece in pieces(reply.text):
            yield {"content": piece}

    def choice(self, delta: Fields, finish: str | None) -> Fields:
        """One choice of a chunk; it has no `finish_reason` key until the end."""
        return {"index": 0, "delta": delta} | ({"finish_reason": finish} if finish else {})

    def beside(self, at: int, finish: str | None, reply: Reply, stamp: Stamp) -> Fields:
        """Fields beside the choices of the n-th chunk."""
        return {"usage": self.usage(reply, stamp)} if finish else {}

    def ending(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
        """What follows the chunk with the finish reason."""
        yield sse("[DONE]")


def told_to_wait(problem: Problem, *faults: Fault) -> dict[str, str]:
    """`retry-after` in seconds for these faults, unless the weather says to leave it out."""
    told = problem.fault in faults and problem.retry_after_s is not None
    return {"retry-after": str(ceil(problem.retry_after_s or 0))} if told else {}


def minute_headers(stamp: Stamp, prefix: str, suffix: str) -> dict[str, str]:
    """Limit and remainder of the minute's requests, under the provider's header names."""
    standing = stamp.standing
    limit = standing.quota.per_minute
    left = standing.left_minute if limit else 9_999
    return {f"{prefix}limit-{suffix}": str(limit or 10_000), f"{prefix}remaining-{suffix}": str(left)}
