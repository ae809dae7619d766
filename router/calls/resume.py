"""Resumes an answer whose stream was cut: whether another model may continue it, and the request that asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from adapters.types import ChatRequest, Message, Text
from router.core.tokens import text_tokens

_LEAST_TOKENS = 32  # room for the repeated last words, and for an end
_WORDS_TAKEN_UP = 6
_CHARS_TAKEN_UP = 80
# After a bare "go on" it is a guess whether a space or half a word is missing between the two texts. Repeating the last
# words makes the seam certain, and `Splice` removes them.
_GO_ON = (
    "Your answer was cut off. Write only the rest of it: take up its last words once more, exactly as they stand, "
    "then go on from there.\nIts last words: {}\nDo not start over, and add no remark, label or quotes."
)


def may_continue(request: ChatRequest, said: str, *, tool_calls_seen: bool) -> bool:
    """True if another model can continue unnoticed: plain text was sent, without JSON or a tool call.

    Half a JSON document or half a tool call is never continued: one wrong character makes it useless, and the caller
    may act on a call.
    """
    free = request.response_format is None or request.response_format.kind == "text"
    return free and not tool_calls_seen and bool(said.strip())


def continuation_request(request: ChatRequest, said: str, *, prefill: bool) -> ChatRequest:
    """The request that asks for the rest of an answer of which the caller has received `said`.

    With `prefill` the conversation ends with the answer so far, which the model continues; its provider must support
    that. Without, a user message asks to go on. White space at the end of `said` is not sent: some providers refuse it
    there, and the model brings its own, which `Splice` joins. `said` counts towards the caller's `max_tokens`.
    """
    heard = said.rstrip()
    messages = tuple(_with_answer(request.messages, heard))
    if not prefill:
        messages = (*messages, Message("user", (Text(_GO_ON.format(_last_words(heard))),)))
    params = dict(request.params)
    if (asked := params.get("max_tokens")) is not None:
        params["max_tokens"] = max(_LEAST_TOKENS, asked - text_tokens(len(heard)))
    return replace(request, messages=messages, params=params)


def _with_answer(messages: tuple[Message, ...], heard: str) -> Iterator[Message]:
    """The messages, then the answer so far; merged into the last message if the caller itself prefilled the answer."""
    last = messages[-1]
    if last.role == "assistant" and not last.tool_calls:
        yield from messages[:-1]
        yield replace(last, content=(*last.content[:-1], *_joined(last, heard)))
    else:
        yield from messages
        yield Message("assistant", (Text(heard),))


def _joined(last: Message, heard: str) -> Iterator[Text]:
    match last.content[-1:]:
        case (Text(begun),):
            yield Text(begun + heard)
        case _:
            yield Text(heard)


def _last_words(heard: str) -> str:
    line = heard.rsplit("\n", 1)[-1]
    return " ".join(line.split()[-_WORDS_TAKEN_UP:])[-_CHARS_TAKEN_UP:]
