"""A streamed answer on OpenAI's wire: deltas as `chat.completion.chunk` objects, in events of `data: …`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from adapters.types import Delta, ToolCall, ToolCallDelta
from router.http.openai.completion import completion_id, tool_call
from router.http.openai.reasoning_details import sealed

DONE = b"data: [DONE]\n\n"


class Chunks:
    """Writes the chunks of one answer; the first that says anything carries the role.

    `model` is the model that speaks, as its provider names it; None before anybody has.
    """

    def __init__(self, request_id: str, created: int, *, include_reasoning: bool) -> None:
        self._head = {"id": completion_id(request_id), "object": "chat.completion.chunk", "created": created}
        self._include_reasoning = include_reasoning
        self._spoken = False
        self.model: str | None = None

    def delta(self, delta: Delta) -> bytes:
        """The event of a delta; empty where the caller may see nothing of it."""
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
        """The last events: finish reason, usage if it was asked for, the `quorum` object in the last one, `[DONE]`."""
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
    """One server-sent event."""
    return b"data: " + orjson.dumps(document) + b"\n\n"


def _tool_call(piece: ToolCallDelta) -> dict[str, Any]:
    """A call's first piece names it, the later ones only add to its arguments."""
    if not piece.name:
        return {"index": piece.index, "function": {"arguments": piece.arguments}}
    whole = ToolCall(piece.id, piece.name, piece.arguments, piece.signature)
    return {"index": piece.index, **tool_call(whole)}
