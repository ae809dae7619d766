"""What Anthropic answers, whole or event by event: blocks of text, tool calls, and thoughts that it signs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from adapters.codec.json_values import count, items, json_text, obj, string, total, usage
from adapters.codec.reasoning_details import Details, detail, own
from adapters.types import DONE, Delta, FinishReason, ToolCallDelta, Usage

MAKER = "anthropic"
_THOUGHTS = frozenset({"thinking", "redacted_thinking"})
_THOUGHT_PIECES = ("thinking", "signature")
_FINISH: Mapping[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def thoughts(held: Details) -> list[Mapping[str, Any]]:
    """The blocks of thoughts that go back, as they came; it refuses a tool loop without them while it thinks."""
    return [block for block in own(MAKER, held) if block.get("type") in _THOUGHTS]


def message_deltas(message: Mapping[str, Any]) -> Iterator[Delta]:
    """What a whole answer says."""
    yield _about(message)
    for block in items(message.get("content")):
        yield from _block_deltas(block, None)


def event_deltas(event: Mapping[str, Any]) -> Iterable[Delta]:
    """What one stream event adds to the answer."""
    read = _EVENTS.get(string(event.get("type")))
    return () if read is None else read(event)


def _about(message: Mapping[str, Any]) -> Delta:
    return Delta(
        finish_reason=_finish(message.get("stop_reason")),
        usage=_usage(obj(message.get("usage"))),
        response_model=string(message.get("model")),
        response_id=string(message.get("id")),
    )


def _tool_use(block: Mapping[str, Any], index: int | None) -> Delta:
    arguments = json_text(block.get("input") or None)
    return Delta(tool_call=ToolCallDelta(index, string(block.get("id")), string(block.get("name")), arguments))


def _thought(block: Mapping[str, Any], index: int | None) -> Delta:
    return Delta(reasoning=string(block.get("thinking")), reasoning_details=detail(MAKER, block, index))


_BLOCKS: Mapping[str, Callable[[Mapping[str, Any], int | None], Delta]] = {
    "text": lambda block, _: Delta(text=string(block.get("text"))),
    "thinking": _thought,
    "redacted_thinking": _thought,
    "tool_use": _tool_use,
}


def _block_deltas(value: Any, index: int | None) -> Iterable[Delta]:
    """A whole block, or the beginning of one; of the tools that Anthropic runs itself nothing is told."""
    block = obj(value)
    read = _BLOCKS.get(string(block.get("type")))
    return () if read is None else (read(block, index),)


def _started(event: Mapping[str, Any]) -> Iterable[Delta]:
    return _block_deltas(event.get("content_block"), count(event.get("index")))


def _continued(event: Mapping[str, Any]) -> Iterable[Delta]:
    delta, index = obj(event.get("delta")), count(event.get("index"))
    if partial := string(delta.get("partial_json")):
        return (Delta(tool_call=ToolCallDelta(index, arguments=partial)),)
    if piece := {name: delta[name] for name in _THOUGHT_PIECES if string(delta.get(name))}:
        return (_thought({"type": "thinking", **piece}, index),)
    return (Delta(text=string(delta.get("text"))),)


def _ended(event: Mapping[str, Any]) -> Iterable[Delta]:
    reason = obj(event.get("delta")).get("stop_reason")
    return (Delta(finish_reason=_finish(reason), usage=_usage(obj(event.get("usage")))),)


_EVENTS: Mapping[str, Callable[[Mapping[str, Any]], Iterable[Delta]]] = {
    "message_start": lambda event: (_about(obj(event.get("message"))),),
    "content_block_start": _started,
    "content_block_delta": _continued,
    "message_delta": _ended,
    "message_stop": lambda event: (DONE,),
}


def _finish(reason: Any) -> FinishReason | None:
    return _FINISH.get(reason, "stop") if string(reason) else None


def _usage(used: Mapping[str, Any]) -> Usage | None:
    """What is read from the cache or written to it is no part of `input_tokens` here, but was sent and is billed."""
    fresh = count(used.get("input_tokens"))
    cached = count(used.get("cache_read_input_tokens"))
    sent = None if fresh is None else total(fresh, cached, count(used.get("cache_creation_input_tokens")))
    thought = count(obj(used.get("output_tokens_details")).get("thinking_tokens"))
    return usage(sent, cached, count(used.get("output_tokens")), thought) if used else None
