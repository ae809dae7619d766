"""A streamed answer in OpenAI's format: deltas as `chat.completion.chunk` objects, one per server-sent event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from adapters.types import Delta, ToolCall, ToolCallDelta
from router.http.openai.completion import completion_id, tool_call
from router.http.openai.reasoning_details import sealed

DONE = b"data: [DONE]\n\n"


class Chunks:
    """Writes the chunks of one answer; the first chunk with content also carries the role.

    `model` is the answering model as its provider names it, None before the first delta.
    """

    def __init__(self, request_id: str, created: int, *, include_reasoning: bool) -> None:
        self._head = {"id": completion_id(request_id), "object": "chat.completion.chunk", "created": created}
        self._include_reasoning = include_reasoning
        self._spoken = False
        self.model: str | None = None

    def delta(self, delta: Delta) -> bytes:
        """The event of a delta; empty if the delta has nothing that the caller may see."""
        wire: dict[str, Any] = {}
        if delta.text:
            wire["content"] = delta.text
        if delta.refusal:
            wire["refusal"] = delta.refusal
        if delta.reasoning and self._include_reasoning:
            wire["reasoning_content"] = delta.reasoning
        if delta.tool_call:
            wire["tool_calls"] = [_tool_call(delta.tool_call)]
        if delta.reasoning_details:
            wire["reasoning_details"] = sealed(delta.reasoning_details)
        if not wire:
            return b""
        if not self._spoken:
            self._spoken = True
            wire = {"role": "assistant", "content": None if delta.tool_call else "", **wire}
        return event(self._chunk([{"index": 0, "delta": wire, "logprobs": None, "finish_reason": None}]))

    def last(self, finish_reason: str, usage: Mapping[str, Any] | None, quorum: Mapping[str, Any]) -> bytes:
        """The last events: finish reason, usage if `stream_options.include_usage`, the `quorum` object, `[DONE]`.

        `quorum` is in the last chunk. OpenAI sends usage in a chunk of its own, without choices, only when asked for.
        """
        delta = {} if self._spoken else {"role": "assistant", "content": ""}
        last = self._chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}])
        if usage is None:
            return event({**last, "quorum": quorum}) + DONE
        return event(last) + event({**self._chunk([]), "usage": usage, "quorum": quorum}) + DONE

    def note(self, document: Mapping[str, Any]) -> bytes:
        """A stage of the decision, as a chunk without choices."""
        return event({**self._chunk([]), "quorum": {"event": document}})

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {**self._head, "model": self.model, "choices": choices}


def event(document: Mapping[str, Any]) -> bytes:
    """One server-sent event: JSON from orjson has no line breaks, so a single `data` line holds it."""
    return b"data: " + orjson.dumps(document) + b"\n\n"


def _tool_call(piece: ToolCallDelta) -> dict[str, Any]:
    """The first piece of a call carries its id and name; later pieces only append to `arguments`."""
    if not piece.name:
        return {"index": piece.index, "function": {"arguments": piece.arguments}}
    whole = ToolCall(piece.id, piece.name, piece.arguments, piece.signature)
    return {"index": piece.index, **tool_call(whole)}
